"""What the protocol is made of: keystreams and masks, Shamir shares, key agreement, signatures, packed words.

For layers above and for measurements. Each function is safe only as the protocol uses it: it checks types and lengths,
not that a key is fresh.
"""

from secagg.primitives.agreement import KeyPair
from secagg.primitives.masking import MaskTask, apply_masks, sum_masks
from secagg.primitives.packing import add_packed, pack, unpack
from secagg.primitives.prg import SEEK_BYTES, Suite, WordDtype, keystream, open_keystream, word_dtype
from secagg.primitives.shamir import limbs_to_secret, reconstruct, split
from secagg.primitives.signing import Identity, verify
from secagg.primitives.sparse_shamir import reconstruct_rows

__all__ = [
    "SEEK_BYTES",
    "Identity",
    "KeyPair",
    "MaskTask",
    "Suite",
    "WordDtype",
    "add_packed",
    "apply_masks",
    "keystream",
    "limbs_to_secret",
    "open_keystream",
    "pack",
    "reconstruct",
    "reconstruct_rows",
    "split",
    "sum_masks",
    "unpack",
    "verify",
    "word_dtype",
]

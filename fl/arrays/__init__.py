"""A model's arrays: what they look like, as one vector and back, and which of them stay with the client.

`ArraySchema` says what the arrays look like, and its digest lets all parties compare. `flatten` and `restore` turn
the arrays into one float64 vector and back. `SharedPart` keeps some arrays on the client, as FedBN does with its
normalisation layers (Li et al. 2021, "FedBN: Federated Learning on Non-IID Features via Local Batch Normalization").

`docs/training.md` has an example of `SharedPart`, and says when not to use it.
"""

from typing import TYPE_CHECKING

from fl.arrays.flatten import flatten, restore
from fl.arrays.schema import Arrays, ArraySchema, ArraySpec, NamedArrays
from fl.lazy import loader

if TYPE_CHECKING:
    from fl.arrays.partial import NORM_LAYERS, SharedPart

__all__ = ["NORM_LAYERS", "ArraySchema", "ArraySpec", "Arrays", "NamedArrays", "SharedPart", "flatten", "restore"]

__getattr__ = loader(__name__, {"NORM_LAYERS": "partial", "SharedPart": "partial"})

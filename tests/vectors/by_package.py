"""What the vectors ask for, by the package. Each function takes a vector's inputs and returns its outputs."""

import numpy as np

from secagg import (
    AdversaryModel,
    Identity,
    InvalidInputError,
    InvalidParameterError,
    SessionParams,
    Suite,
    TooFewClientsError,
)
from secagg.errors import AuthenticationError, InconsistentServerError, MalformedMessageError
from secagg.graph.choosing import certify
from secagg.graph.ring import Graph
from secagg.primitives.agreement import KeyPair, check_public_key
from secagg.primitives.bitmap import encode_bitmap
from secagg.primitives.masking import MaskTask, reduce_to_modulus, sum_masks
from secagg.primitives.packing import pack, unpack, word_dtype
from secagg.primitives.shamir import decode_shares, encode_shares, limbs_to_secret, reconstruct, split
from secagg.primitives.signing import verify
from secagg.protocol.cohort import Cohort
from secagg.protocol.dealing import _as_committed
from secagg.protocol.roster import Roster, RosterEntry
from secagg.protocol.transcript import (
    advertisement_digest,
    consistency_digest,
    graph_seed,
    session_context,
    task_digest,
)
from tests.vectors import drive
from tests.vectors.forms import Json, Refused, hex_of_words, number, session_arguments, session_outputs, u64, words


def key_schedule(given: Json) -> Json:
    params, session_id = session_params(given["params"]), bytes.fromhex(given["session_id"])
    suite, session_ctx = params.suite, session_context(params, session_id)
    people = [_Person(client, params, session_ctx) for client in given["clients"]]
    roster = Roster([person.entry for person in people])
    cohort = Cohort(params, session_id, roster)
    task_ctx = cohort.task_context(bytes.fromhex(given["model_digest"]), dealers=_bitmap(given["dealers"], len(roster)))
    dealer, holder = given["dealer"], given["holder"]
    secret = people[dealer].seal.shared_secret(roster.entries[holder].seal_key, 0)
    outward, inward = cohort.seal_context(dealer, receiver=holder), cohort.seal_context(holder, receiver=dealer)
    pair = [bytes.fromhex(given["mask_key_share"]), bytes.fromhex(given["self_mask_share"])]
    survivors = _bitmap(given["survivors"], len(roster))
    signed = consistency_digest(
        suite, task_ctx, roster_hash=cohort.roster_hash, survivors=survivors, total=len(given["survivors"])
    )
    seed = bytes.fromhex(given["self_mask_seed"])
    return {
        "params": params.encode().hex(),
        "session_ctx": session_ctx.hex(),
        "advertisement_digests": [person.digest.hex() for person in people],
        "entries": roster.encode().hex(),
        "roster_hash": cohort.roster_hash.hex(),
        "roster_ctx": cohort.roster_ctx.hex(),
        "graph_seed": graph_seed(suite, cohort.roster_hash).hex(),
        "neighbours": cohort.graph.table.tolist(),
        "task_ctx": task_ctx.hex(),
        "task_digest": task_digest(suite, task_ctx).hex(),
        "seal_shared_secret": secret.hex(),
        "seal_key": outward.derive_key(secret).hex(),
        "seal_key_back": inward.derive_key(secret).hex(),
        "seal_associated_data": outward._associated_data.hex(),
        "sealed": outward.seal(
            outward.derive_key(secret), nonce=bytes.fromhex(given["nonce"]), plaintext=b"".join(pair)
        ).hex(),
        "share_commitments": [
            cohort.share_commitment(dealer, holder=holder, kind=kind, share=share).hex()
            for kind, share in enumerate(pair, 1)
        ],
        "self_mask_commitment": cohort.self_mask_commitment(dealer, seed).hex(),
        "self_mask": cohort.self_mask(dealer, seed=seed, task_ctx=task_ctx).hex(),
        "pairwise_mask": cohort.pairwise_mask(dealer, people[dealer].mask, peer=holder, task_ctx=task_ctx).hex(),
        "survivors": survivors.hex(),
        "consistency_digest": signed.hex(),
        "consistency_signature": people[dealer].identity.sign(signed).hex() if params.active else "",
    }


def parameters(given: Json) -> Json:
    try:
        params = SessionParams.decode(bytes.fromhex(given["encoded"]))
    except InvalidParameterError:
        raise Refused from None
    if params.encode().hex() != given["encoded"]:
        raise AssertionError("what was decoded is not encoded alike")
    return {
        "suite": int(params.suite),
        "adversary": int(params.adversary),
        "cohort_size": params.cohort_size,
        "neighbours": params.neighbours,
        "threshold": params.threshold,
        "min_survivors": params.min_survivors,
        "vector_length": params.vector_length,
        "modulus_bits": params.modulus_bits,
        "round_number": u64(params.round_number),
        "application": params.application.hex(),
    }


def graph(given: Json) -> Json:
    drawn = Graph(
        given["clients"], neighbours=given["neighbours"], seed=bytes.fromhex(given["seed"]), suite=Suite(given["suite"])
    )
    return {"neighbours": drawn.table.tolist()}


def certificate(given: Json) -> Json:
    certified = certify(
        given["cohort_size"],
        neighbours=given["neighbours"],
        threshold=given["threshold"],
        corrupt=float(given["corrupt"]),
        dropout=float(given["dropout"]),
        adversary=AdversaryModel(given["adversary"]),
        security_bits=given["security_bits"],
        correctness_bits=given["correctness_bits"],
        grinding_bits=given["grinding_bits"],
        roster=given["roster"],
    )
    return {bound.name: bound.holds for bound in certified.bounds}


def public_key(given: Json) -> Json:
    try:
        check_public_key(bytes.fromhex(given["key"]), 0)
    except AuthenticationError:
        raise Refused from None
    return {}


def signature(given: Json) -> Json:
    key, digest, signed = (bytes.fromhex(given[field]) for field in ("key", "digest", "signature"))
    try:
        verify(key, digest=digest, signature=signed, signer=0, what="a vector")
    except AuthenticationError:
        raise Refused from None
    return {}


def expand(given: Json) -> Json:
    bits, first, length = given["modulus_bits"], given["first_word"], given["length"]
    seed, coordinates = bytes.fromhex(given["seed"]), range(first, first + length)
    mask = sum_masks(
        MaskTask(Suite(given["suite"]), word_dtype(bits), add=[seed], subtract=[], coordinates=coordinates)
    )
    reduce_to_modulus(mask, bits)
    return {"words": hex_of_words(mask.tolist())}


def deal(given: Json) -> Json:
    points = np.array(given["points"])
    secret, seed = bytes.fromhex(given["secret"]), bytes.fromhex(given["seed"])
    limbs = split([secret], given["threshold"], points, seed, suite=Suite(given["suite"]))
    table = encode_shares(points, limbs[0])
    return {"shares": [table[at : at + 40].hex() for at in range(0, len(table), 40)]}


def rebuild(given: Json) -> Json:
    available = np.array([[bool(share) for share in given["shares"]]])
    _, limbs, _ = decode_shares(b"".join(bytes.fromhex(share) or bytes(40) for share in given["shares"]))
    points, dealer = np.array(given["responders"]), np.array([given["dealer"]])
    try:
        values = reconstruct(
            limbs[np.newaxis], points=points, available=available, dealer_points=dealer, threshold=given["threshold"]
        )
    except InvalidInputError:
        raise Refused from None
    secret = limbs_to_secret(values[0])
    if secret is None:
        raise Refused
    return {"secret": secret.hex()}


def accept_share(given: Json) -> Json:
    """Judges a share by itself: its commitments are right, whatever it is."""
    params = SessionParams.for_cohort(cohort_size=4, vector_length=0, modulus_bits=8)
    cohort = Cohort(params, bytes(16), Roster([RosterEntry(i, b"", b"", b"") for i in range(4)]))
    dealer, holder, share = given["dealer"], given["holder"], bytes.fromhex(given["share"])
    commitments = b"".join(cohort.share_commitment(dealer, holder=holder, kind=kind, share=share) for kind in (1, 2))
    if not _as_committed(cohort, dealer=dealer, holder=holder, pair=share + share, commitments=commitments):
        raise Refused
    return {}


def pack_words(given: Json) -> Json:
    bits = given["modulus_bits"]
    values = np.array(words(given["words"]), word_dtype(bits))
    packed = pack(values, bits)
    if unpack(packed, length=len(values), modulus_bits=bits).tolist() != values.tolist():
        raise AssertionError("what was packed does not unpack")
    return {"packed": packed.hex()}


def unpack_words(given: Json) -> Json:
    try:
        values = unpack(bytes.fromhex(given["packed"]), length=given["length"], modulus_bits=given["modulus_bits"])
    except InvalidInputError:
        raise Refused from None
    return {"words": hex_of_words(values.tolist())}


def session(given: Json) -> Json:
    params = session_params(given["params"])
    try:
        run = drive.run_session(params, **session_arguments(given))
    except TooFewClientsError as error:
        raise Refused(f"too few at {error.stage}") from None
    except AuthenticationError:
        raise Refused("authentication") from None
    except MalformedMessageError:
        raise Refused("malformed") from None
    except InconsistentServerError as error:
        raise Refused(error.rule) from None
    return session_outputs(run.messages, run.aggregate, run.survivors)


OPERATIONS = {
    "key_schedule": key_schedule,
    "params": parameters,
    "graph": graph,
    "certificate": certificate,
    "public_key": public_key,
    "signature": signature,
    "expand": expand,
    "deal": deal,
    "rebuild": rebuild,
    "accept_share": accept_share,
    "pack": pack_words,
    "unpack": unpack_words,
    "session": session,
}


def session_params(given: Json) -> SessionParams:
    """Returns the parameters that a vector gives."""
    return SessionParams(
        cohort_size=given["cohort_size"],
        neighbours=given["neighbours"],
        threshold=given["threshold"],
        vector_length=given["vector_length"],
        modulus_bits=given["modulus_bits"],
        adversary=AdversaryModel(given["adversary"]),
        suite=Suite(given["suite"]),
        min_survivors=given["min_survivors"],
        round_number=number(given["round_number"]),
        application=bytes.fromhex(given["application"]),
    )


def _bitmap(indices: list[int], size: int) -> bytes:
    present = np.zeros(size, np.bool_)
    present[indices] = True
    return encode_bitmap(present)


class _Person:
    def __init__(self, given: Json, params: SessionParams, session_ctx: bytes) -> None:
        client = number(given["id"])
        self.seal = KeyPair(bytes.fromhex(given["seal_private"]))
        self.mask = KeyPair(bytes.fromhex(given["mask_private"]))
        self.identity = Identity(bytes.fromhex(given["identity_seed"]))
        self.digest = advertisement_digest(
            params.suite, session_ctx, client=client, seal_key=self.seal.public, mask_key=self.mask.public
        )
        signed = self.identity.sign(self.digest) if params.active else b""
        self.entry = RosterEntry(client, self.seal.public, self.mask.public, signed)

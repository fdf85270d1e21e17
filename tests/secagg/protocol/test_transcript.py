"""What is hashed: injective framing, and contexts that differ wherever anything does."""

import hashlib
import itertools
import struct

from hypothesis import given
from hypothesis import strategies as st

from secagg import AdversaryModel, Suite
from secagg.protocol import labels
from secagg.protocol.transcript import (
    COMMITMENT_BYTES,
    CONTEXT_BYTES,
    NO_MODEL,
    advertisement_digest,
    consistency_digest,
    derive_key,
    frame,
    graph_seed,
    hash_fields,
    roster_context,
    self_mask_commitment,
    session_context,
    share_commitment,
    task_context,
    task_digest,
    u64,
)
from tests.kit.sessions import make_params

fields = st.lists(st.binary(max_size=300), max_size=5)
SUITE = Suite.CHACHA20


@given(fields)
def test_a_frame_is_each_field_behind_its_length(parts: list[bytes]):
    assert frame(*parts) == b"".join(struct.pack("<Q", len(part)) + part for part in parts)


@given(fields, fields)
def test_two_lists_of_fields_have_one_frame_only_if_they_are_equal(one: list[bytes], other: list[bytes]):
    assert (frame(*one) == frame(*other)) == (one == other)


def test_a_hash_is_over_the_label_and_the_frame():
    found = hash_fields(SUITE, labels.ROSTER, b"a", b"bc")
    assert found == hashlib.sha256(frame(b"secagg/2/suite-2/roster", b"a", b"bc")).digest()


def test_a_key_depends_on_secret_salt_use_and_fields():
    made = [
        derive_key(suite, secret, *more, salt=salt, use=use)
        for suite, secret, salt, use, more in itertools.product(
            Suite, (b"s", b"t"), (b"", b"x"), (labels.SEAL_KEY, labels.SELF_MASK), ((), (b"",), (b"f",))
        )
    ]
    assert len(set(made)) == len(made)
    assert {len(key) for key in made} == {32}


def test_a_session_context_differs_with_anything_in_the_parameters_and_the_id():
    usual = make_params()
    offers = [
        usual,
        make_params(AdversaryModel.HONEST_BUT_CURIOUS),
        make_params(n=6),
        make_params(vector_length=7),
        make_params(modulus_bits=14),
        make_params(round_number=1),
        make_params(application=b"x"),
        make_params(suite=Suite.AES_128_CTR),
    ]
    contexts = [session_context(params, bytes([number]) * 16) for params in offers for number in (0, 1)]
    assert len(set(contexts)) == len(contexts)
    assert {len(context) for context in contexts} == {CONTEXT_BYTES}


def test_roster_and_dealers_are_in_the_contexts_where_every_client_sees_them():
    complete = make_params()
    sparse = make_params(AdversaryModel.HONEST_BUT_CURIOUS, n=7, neighbours=4, min_survivors=6)
    for params, shown in ((complete, True), (sparse, False)):
        assert params.shows_roster is shown
        rosters = {roster_context(params, session_ctx=bytes(32), roster_hash=digest * 32) for digest in (b"a", b"b")}
        tasks = {
            task_context(params, roster_ctx=bytes(32), model_digest=NO_MODEL, dealers=dealers)
            for dealers in (b"\x01", b"\x03")
        }
        assert (len(rosters), len(tasks)) == ((2, 2) if shown else (1, 1))
    other = task_context(complete, roster_ctx=bytes(32), model_digest=b"m" * 32, dealers=b"")
    assert task_context(complete, roster_ctx=bytes(32), model_digest=NO_MODEL, dealers=b"") != other


def test_digests_of_different_uses_and_subjects_differ():
    made = [
        graph_seed(SUITE, bytes(32)),
        task_digest(SUITE, bytes(32)),
        *(advertisement_digest(SUITE, bytes(32), client=client, seal_key=b"s", mask_key=b"m") for client in (1, 2)),
        advertisement_digest(SUITE, bytes(32), client=1, seal_key=b"m", mask_key=b"s"),
        *(
            consistency_digest(SUITE, bytes(32), roster_hash=bytes(32), survivors=b"\x07", total=total)
            for total in (3, 4)
        ),
        *(self_mask_commitment(SUITE, roster_ctx=bytes(32), client=client, seed=bytes(32)) for client in (1, 2)),
    ]
    assert len(set(made)) == len(made)
    commitments = [
        share_commitment(SUITE, bytes(32), dealer=dealer, holder=holder, kind=kind, share=share)
        for dealer, holder in ((1, 2), (2, 1))
        for kind in (1, 2)
        for share in (bytes(40), b"x" * 40)
    ]
    assert len(set(commitments)) == len(commitments)
    assert {len(commitment) for commitment in commitments} == {COMMITMENT_BYTES}


def test_numbers_are_eight_little_endian_bytes():
    assert u64(2**64 - 2) == b"\xfe" + b"\xff" * 7

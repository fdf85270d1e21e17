"""The roster as bytes, as a part that one client sees, and one advertisement of it checked."""

import numpy as np
import pytest

from secagg.errors import SERVER, AuthenticationError
from secagg.primitives.agreement import KeyPair
from secagg.primitives.signing import Identity
from secagg.protocol.roster import Roster, RosterEntry, check_advertisement, decode_roster, entry_bytes
from secagg.protocol.transcript import advertisement_digest
from tests.kit.sessions import ACTIVE, CURIOUS, make_params, models

CONTEXT = bytes(32)
IDENTITY = Identity(bytes(32))


def entry(client: int, *, signed: bool) -> RosterEntry:
    seal, mask = (KeyPair(bytes([client, use]) * 16).public for use in (1, 2))
    digest = advertisement_digest(make_params().suite, CONTEXT, client=client, seal_key=seal, mask_key=mask)
    return RosterEntry(client, seal, mask, IDENTITY.sign(digest) if signed else b"")


@models
def test_a_roster_comes_back_from_its_bytes(adversary):
    params = make_params(adversary)
    roster = Roster([entry(client, signed=params.active) for client in (2, 3, 250)])
    data = roster.encode()
    assert len(data) == 3 * entry_bytes(params)
    again = decode_roster(data, params)
    assert (again.entries, again.ranks) == (roster.entries, (0, 1, 2))
    assert again.index == {2: 0, 3: 1, 250: 2}
    assert again.points.tolist() == [1, 2, 3]
    assert again.digest(params, CONTEXT) == roster.digest(params, CONTEXT)


def test_a_part_keeps_its_ranks_and_so_its_points():
    params = make_params(CURIOUS)
    roster = Roster([entry(client, signed=False) for client in (2, 3, 9, 250)])
    part = roster.part(np.array([1, 3]))
    assert (part.ranks, part.points.tolist(), len(part)) == ((1, 3), [2, 4], 2)
    again = decode_roster(part.encode(), params)
    assert (again.entries, again.ranks) == (part.entries, part.ranks)
    assert part.digest(params, CONTEXT) != roster.digest(params, CONTEXT)


def test_a_sound_advertisement_is_taken():
    check_advertisement(
        make_params(ACTIVE), CONTEXT, entry=entry(2, signed=True), identities={2: IDENTITY.public_key}, culprit=2
    )
    check_advertisement(make_params(CURIOUS), CONTEXT, entry=entry(2, signed=False), identities={}, culprit=2)


@pytest.mark.parametrize("culprit", [2, SERVER])
def test_who_checks_names_who_is_at_fault(culprit):
    good, known = entry(2, signed=True), {2: IDENTITY.public_key}
    params = make_params(ACTIVE)
    low_order = RosterEntry(2, bytes(32), good.mask_key, good.signature)
    for wrong, keys, context in (
        (low_order, known, CONTEXT),
        (RosterEntry(2, good.mask_key, good.seal_key, good.signature), known, CONTEXT),
        (RosterEntry(3, good.seal_key, good.mask_key, good.signature), {3: IDENTITY.public_key}, CONTEXT),
        (good, {}, CONTEXT),
        (good, {2: Identity(b"x" * 32).public_key}, CONTEXT),
        (good, known, b"x" * 32),
    ):
        with pytest.raises(AuthenticationError) as caught:
            check_advertisement(params, context, entry=wrong, identities=keys, culprit=culprit)
        assert caught.value.culprit == culprit

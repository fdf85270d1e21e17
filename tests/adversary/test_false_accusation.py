"""Clients claim that an honest dealer's seals did not open."""

import pytest

from secagg.errors import InvalidShareError, MalformedMessageError, TooFewClientsError
from secagg.params import AdversaryModel
from secagg.shamir import SHARE_BYTES
from tests.adversary.scene import IDS, PEER, THRESHOLD, Scene, bitmap, both_models, records, without

HOLDERS = without(IDS, PEER)


def accused(model: AdversaryModel, accusers: list[int]) -> Scene:
    """Runs round 2 with some clients who claim that they cannot open the peer's seal."""
    scene = Scene(model).until("masked_input")
    replies = scene.answers()
    for client in accusers:
        replies[client] = scene.altered(replies[client], unopened=bitmap([PEER]))
    scene.upload(replies)
    return scene


def withheld(scene: Scene, accusers: list[int]) -> dict[int, bytes]:
    """The accusers stand by their claim and return no share of the peer's."""
    replies = scene.until("unmask").answers()
    for client in accusers:
        shares = records(scene.read(replies[client]).table, SHARE_BYTES)
        del shares[without(IDS, client).index(PEER)]
        replies[client] = scene.altered(replies[client], table=b"".join(shares))
    return replies


@both_models
@pytest.mark.parametrize("accusers", [HOLDERS[:1], HOLDERS[:2], HOLDERS[-2:]])
def test_as_many_as_the_threshold_allows_for_change_nothing(model: AdversaryModel, accusers: list[int]):
    scene = accused(model, accusers)
    scene.close()
    scene.upload(withheld(scene, accusers))
    result = scene.close()
    scene.assert_exact(result)
    assert not result.culprits


@both_models
def test_half_of_the_holders_cannot_get_an_honest_dealer_blamed(model: AdversaryModel):
    accusers = HOLDERS[: len(HOLDERS) // 2]
    scene = accused(model, accusers)
    with pytest.raises(TooFewClientsError) as raised:
        scene.close()
    error = raised.value
    assert (error.stage, error.neighbourhood) == ("masked_input", PEER)
    assert (error.needed, error.remaining) == (THRESHOLD, len(HOLDERS) - len(accusers))
    assert scene.server.faults[PEER].error == "DisputedShares"
    assert scene.server.faults[PEER].detail.endswith("it lies, or they do")


@both_models
def test_closing_too_early_gets_nobody_named(model: AdversaryModel):
    scene = Scene(model).until("masked_input")
    replies = scene.answers()
    liar = HOLDERS[0]
    scene.upload({liar: scene.altered(replies.pop(liar), unopened=bitmap([PEER]))})
    with pytest.raises(TooFewClientsError) as raised:
        scene.close()
    assert (raised.value.neighbourhood, raised.value.remaining) == (None, 1)
    assert not scene.server.faults
    scene.upload(replies)
    scene.close()
    scene.upload(withheld(scene, [liar]))
    result = scene.close()
    scene.assert_exact(result)
    assert not result.culprits


@both_models
def test_more_than_half_are_believed(model: AdversaryModel):
    # So many corrupt clients are beyond what either model defends against.
    scene = accused(model, HOLDERS[: len(HOLDERS) // 2 + 1])
    with pytest.raises(InvalidShareError) as raised:
        scene.close()
    assert (raised.value.culprit, raised.value.role) == (PEER, "dealer")


@both_models
def test_an_accuser_that_returns_the_share_after_all_is_named(model: AdversaryModel):
    accuser = HOLDERS[0]
    scene = accused(model, [accuser])
    scene.close()
    replies = scene.until("unmask").answers()
    error = scene.accused(accuser, replies.pop(accuser), MalformedMessageError)
    assert error.reason == f"UnmaskingShares: {len(IDS) - 2} shares are awaited"
    scene.upload(replies)
    result = scene.close()
    scene.assert_exact(result)
    assert set(result.culprits) == {accuser}

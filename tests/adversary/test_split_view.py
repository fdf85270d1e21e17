"""A server shows one survivor set to some and another to the rest, to get both kinds of share of one client.

Corrupt clients sign both. With 2 t > m + c no split gives two quorums; where the policy assumes fewer corrupt clients
than there are, the attack succeeds.
"""

import pytest

from secagg.errors import AuthenticationError, InconsistentServerError
from secagg.messages import ConsistencySignature, UnmaskingRequest
from secagg.transcript import consistency_digest
from tests.adversary.scene import ACTIVE, IDS, Scene, bitmap, without

TARGET = IDS[0]


def split(scene: Scene, corrupt: list[int], surviving: list[int], dropped: list[int]) -> dict[int, bytes]:
    """Runs the attack; returns who released its shares.

    Args:
        corrupt: clients that sign whatever the server wants.
        surviving: honest clients that are told that everyone survived.
        dropped: honest clients that are told that the target did not.
    """
    scene.until("consistency")
    cohort = scene.cohort()
    views = {view: bitmap(view) for view in (IDS, tuple(without(IDS, TARGET)))}
    answers: dict[int, bytes] = {}
    for (view, survivors), honest in zip(views.items(), (surviving, dropped), strict=True):
        digest = consistency_digest(
            scene.params.suite, cohort.task_context(scene.models[TARGET]), cohort.roster_hash, survivors, len(view)
        )
        signatures = {client: scene.identities[client].sign(digest) for client in corrupt}
        for client in honest:
            message = scene.read(scene.deliver(client, scene.survivor_set(view)))
            assert isinstance(message, ConsistencySignature)
            signatures[client] = message.signature
        everyone = sorted(signatures)
        request = UnmaskingRequest(bitmap(everyone), b"".join(signatures[client] for client in everyone))
        for client in honest:
            if len(everyone) > scene.params.threshold:
                answers[client] = scene.deliver(client, scene.write(request))
            else:
                assert scene.refused(client, scene.write(request), InconsistentServerError).rule == "quorum"
    return answers


@pytest.mark.parametrize("size", range(7))
def test_no_split_gets_an_answer_from_both_sides(size: int):
    scene = Scene(ACTIVE)
    corrupt, honest = list(IDS[-2:]), list(IDS[1:-2])
    surviving, dropped = [TARGET, *honest[:size]], honest[size:]
    answers = split(scene, corrupt, surviving, dropped)
    assert not (set(answers) & set(surviving) and set(answers) & set(dropped))
    assert len(answers) in {0, len(surviving), len(dropped)}


def test_a_split_in_the_middle_gets_no_answer_at_all():
    assert split(Scene(ACTIVE), list(IDS[-2:]), [TARGET, *IDS[1:4]], list(IDS[4:-2])) == {}


def test_signatures_of_the_other_side_do_not_fill_a_quorum():
    scene = Scene(ACTIVE).until("consistency")
    views = {client: IDS if client in IDS[:5] else tuple(without(IDS, TARGET)) for client in IDS}
    signatures = [scene.read(scene.deliver(client, scene.survivor_set(views[client]))).signature for client in IDS]
    lie = scene.write(UnmaskingRequest(bitmap(IDS), b"".join(signatures)))
    without_target = scene.write(UnmaskingRequest(bitmap(without(IDS, TARGET)), b"".join(signatures[1:])))
    for client in IDS:
        error = scene.refused(client, lie if client in IDS[:5] else without_target, AuthenticationError)
        assert error.reason == "the signature over the survivor set does not verify"


def test_against_a_policy_that_assumes_too_few_corrupt_clients_the_attack_succeeds():
    careless = {"policy": {"corrupt_fraction": 0.0}, "params": {"threshold": 5}}
    corrupt, surviving, dropped = list(IDS[-4:]), [TARGET, IDS[1]], list(IDS[2:5])
    answers = split(Scene(ACTIVE, **careless), corrupt, surviving, dropped)
    of_the_seed = set(corrupt) | set(surviving) - {TARGET}
    of_the_mask_key = set(corrupt) | set(dropped)
    assert set(answers) == {*surviving, *dropped}
    assert len(of_the_seed) >= 5
    assert len(of_the_mask_key) >= 5

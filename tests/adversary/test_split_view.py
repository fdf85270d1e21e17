"""A server shows one survivor set to some and another to the rest, to get both kinds of share of one client.

Corrupt clients sign both. With 2 t > k + c no split gives two quorums in the target's neighbourhood; where the policy
assumes fewer corrupt clients than there are, the attack succeeds. In a sparse graph the target's strangers lend their
signatures to either side, and neither side has more than half of the roster.
"""

from collections.abc import Collection
from itertools import combinations

import pytest

from secagg.errors import AuthenticationError, InconsistentServerError
from secagg.protocol.messages import ConsistencySignature, UnmaskingRequest
from secagg.protocol.transcript import consistency_digest
from tests.kit.attack_scene import ACTIVE, COMPLETE, Scene, without

TARGET = COMPLETE[0]


def quorate(scene: Scene, client: int, signers: Collection[int]) -> bool:
    """Whether these signatures are enough for an honest client: in every neighbourhood, and in the roster."""
    involved = [client, *scene.neighbours(client)]
    corrupt = scene.clients[client]._policy.assumed_corrupt(len(scene.ids))
    everywhere = all(len(set(scene.neighbours(one)) & set(signers)) >= scene.params.threshold for one in involved)
    return everywhere and 2 * len(signers) > len(scene.ids) + corrupt


def split(scene: Scene, corrupt: list[int], surviving: list[int], dropped: list[int]) -> dict[int, bytes]:
    """Runs the attack; returns who released its shares.

    Args:
        corrupt: clients that sign whatever the server wants.
        surviving: honest clients that are told that everyone survived.
        dropped: honest clients that are told that the target did not.
    """
    scene.until("consistency")
    cohort = scene.public()
    task_ctx = cohort.task_context(scene.models[TARGET], dealers=scene.bitmap(TARGET, scene.ids))
    answers: dict[int, bytes] = {}
    for view, honest in ((list(scene.ids), surviving), (without(scene.ids, TARGET), dropped)):
        survivors = scene.bitmap(TARGET, view)
        digest = consistency_digest(
            scene.params.suite, task_ctx, roster_hash=cohort.roster_hash, survivors=survivors, total=len(view)
        )
        signatures = {client: scene.identities[client].sign(digest) for client in corrupt}
        for client in honest:
            message = scene.read(scene.deliver(client, scene.survivor_set(client, view)))
            assert isinstance(message, ConsistencySignature)
            signatures[client] = message.signature
        everyone = sorted(signatures)
        request = UnmaskingRequest(scene.bitmap(TARGET, everyone), b"".join(signatures[client] for client in everyone))
        for client in honest:
            if quorate(scene, client, everyone):
                answers[client] = scene.deliver(client, scene.write(request))
            else:
                assert scene.refused(client, scene.write(request), InconsistentServerError).rule == "quorum"
    return answers


def parties(scene: Scene) -> tuple[list[int], list[int]]:
    """As many corrupt clients as the policies assume, and the honest ones other than the target."""
    corrupt = 3 if scene.sparse else 2
    assert corrupt == scene.clients[TARGET]._policy.assumed_corrupt(len(scene.ids))
    return list(scene.ids[-corrupt:]), list(scene.ids[1:-corrupt])


@pytest.mark.parametrize("size", range(8))
def test_no_split_gets_an_answer_from_both_sides(size: int):
    scene = Scene(ACTIVE)
    corrupt, honest = parties(scene)
    surviving, dropped = [TARGET, *honest[:size]], honest[size:]
    answers = set(split(scene, corrupt, surviving, dropped))
    assert answers <= set(surviving) or answers <= set(dropped)
    if size in {0, 7}:
        # Nearly everyone on one side: who is left alone there gets no answer, and neither does the server.
        assert answers == set(surviving if size else dropped)


def test_a_split_in_the_middle_gets_no_answer_at_all():
    scene = Scene(ACTIVE)
    corrupt, honest = parties(scene)
    assert split(scene, corrupt, [TARGET, *honest[:3]], honest[3:]) == {}


def test_signatures_of_the_other_side_do_not_fill_a_quorum():
    scene = Scene(ACTIVE).until("consistency")
    views = {client: scene.ids if client in scene.ids[:5] else without(scene.ids, TARGET) for client in scene.ids}
    signatures = [
        scene.read(scene.deliver(client, scene.survivor_set(client, view))).signature for client, view in views.items()
    ]
    everyone = scene.write(UnmaskingRequest(scene.bitmap(TARGET, scene.ids), b"".join(signatures)))
    others = UnmaskingRequest(scene.bitmap(TARGET, without(scene.ids, TARGET)), b"".join(signatures[1:]))
    for client, view in views.items():
        lie = everyone if view is scene.ids else scene.write(others)
        error = scene.refused(client, lie, AuthenticationError)
        assert error.reason == "the signature over the survivor set does not verify"


@pytest.mark.slow
def test_against_a_policy_that_assumes_too_few_corrupt_clients_the_attack_succeeds():
    scene = Scene(ACTIVE, policy={"corrupt_fraction": 0.0}, params={"threshold": 5}).until("consistency")
    corrupt, surviving, dropped = next(
        (list(corrupt), [TARGET, *lured], honest)
        for corrupt in combinations(without(scene.ids, TARGET), 4)
        for lured in combinations(without(scene.ids, TARGET, *corrupt), 3 if scene.sparse else 1)
        for honest in [without(scene.ids, TARGET, *corrupt, *lured)]
        if all(quorate(scene, client, [*corrupt, TARGET, *lured]) for client in (TARGET, *lured))
        and all(quorate(scene, client, [*corrupt, *honest]) for client in honest)
    )
    answers = split(scene, corrupt, surviving, dropped)
    assert set(answers) == {*surviving, *dropped}
    holders = set(scene.neighbours(TARGET))
    of_the_seed = holders & {*corrupt, *surviving}
    of_the_mask_key = holders & {*corrupt, *dropped}
    assert len(of_the_seed) >= 5
    assert len(of_the_mask_key) >= 5

"""Rebuilding: of a survivor the self-mask seed, of others the mask key, each checked against what is public."""

import numpy as np

from secagg.primitives.agreement import KeyPair
from secagg.server.rebuilding import rebuild_secrets, remove_masks
from secagg.server.unmasking import CollectingUnmasking
from tests.kit.sessions import CURIOUS, E, Live, at_stage, make_params, models


def collected(live: Live) -> CollectingUnmasking:
    """Returns the last stage with everyone's shares, client E having vanished before it masked."""
    at_stage(live, "masked_input")
    live.collect(silent=[E])
    live.close()
    at_stage(live, "unmask")
    live.collect()
    return live.server._current


def rebuilt(stage: CollectingUnmasking, **changes: np.ndarray) -> tuple:
    usual = {
        "dealers": stage._dealers,
        "survivors": stage._survivors,
        "seed_commitments": stage.facts.summed.dealt.seed_commitments,
        "limbs": stage._limbs,
        "available": stage._available,
    }
    return rebuild_secrets(stage._cohort, **(usual | changes))


@models
def test_of_each_dealer_one_secret_is_rebuilt_and_the_masks_come_off(adversary):
    live = Live(make_params(adversary))
    stage = collected(live)
    secrets, errors = rebuilt(stage)
    assert not errors
    gone = sorted(live.clients).index(E)
    assert {index: type(secret) for index, secret in secrets.items()} == {
        index: KeyPair if index == gone else bytes for index in range(5)
    }
    summed = stage.facts.summed
    total = summed.masked_sum.copy()
    task = stage._cohort.task_context(summed.dealt.model_digest, dealers=summed.dealt.dealers)
    remove_masks(stage._cohort, secrets, survivors=stage._survivors, task_ctx=task, masked_sum=total, executor=None)
    assert total.tolist() == live.plain_sum(set(live.clients) - {E})


@models
def test_a_secret_that_is_not_what_is_known_of_it_names_its_dealer(adversary):
    live = Live(make_params(adversary))
    stage = collected(live)
    limbs = stage._limbs.copy()
    # Not the lowest bits: X25519 ignores three of them.
    limbs[:, :, 0] ^= 1 << 10
    secrets, errors = rebuilt(stage, limbs=limbs)
    assert not secrets
    assert [error.dealer for error in errors] == sorted(live.clients)
    assert {error.role for error in errors} == {"dealer"}
    kinds = {error.dealer: error.kind for error in errors}
    assert kinds.pop(E) == "mask key"
    assert set(kinds.values()) == {"self-mask seed"}


def test_a_sparse_graph_is_rebuilt_from_each_neighbourhood():
    live = Live(make_params(CURIOUS, n=7, neighbours=4, threshold=2, min_survivors=6))
    stage = collected(live)
    secrets, errors = rebuilt(stage)
    assert (len(secrets), errors) == (7, [])

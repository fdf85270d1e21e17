"""A server changes what is summed: another length, modulus, application or round."""

import numpy as np
import pytest

from secagg.errors import AuthenticationError, InvalidInputError, PolicyViolationError
from secagg.params import AdversaryModel
from secagg.primitives.agreement import KeyPair
from secagg.protocol.roster import RosterEntry
from tests.kit.attack_scene import ACTIVE, VICTIM, Scene, both_models, offer

CHANGES = {"vector_length": 12, "modulus_bits": 21, "application": b"another plan"}


@both_models
@pytest.mark.parametrize("rule", CHANGES)
def test_an_offer_unlike_the_policy_is_refused(model: AdversaryModel, rule: str):
    scene = Scene(model)
    accepted = getattr(scene.params, rule)
    scene = Scene(model, policies={VICTIM: {rule: accepted}})
    error = scene.refused(VICTIM, offer(scene.outbound[VICTIM], **{rule: CHANGES[rule]}), PolicyViolationError)
    assert (error.rule, error.offered, error.accepted) == (rule, CHANGES[rule], accepted)
    scene.assert_exact(scene.finish(), missing={VICTIM})


@pytest.mark.parametrize(("rule", "value"), [*CHANGES.items(), ("round_number", 1)])
def test_a_client_with_other_parameters_than_its_peers_refuses_their_signatures(rule: str, value: object):
    scene = Scene(ACTIVE)
    scene.outbound = {**scene.outbound, VICTIM: offer(scene.outbound[VICTIM], **{rule: value})}
    replies = scene.answers()
    # An honest server sees it at once, for the signature is over other parameters.
    scene.accused(VICTIM, replies.pop(VICTIM), AuthenticationError)
    # A lying one goes on, and now every signature is wrong for somebody.
    scene.upload(replies)
    scene.close()
    own = scene.clients[VICTIM]._state._peek()
    keys = (KeyPair(private).public for private in (own.seal_private, own.mask_private))
    entries = [*scene.roster(), RosterEntry(VICTIM, *keys, own.signature)]
    lie = scene.roster_message(sorted(entries, key=lambda entry: entry.client))
    scene.refused(VICTIM, lie, AuthenticationError)
    for client in replies:
        scene.refused(client, lie, AuthenticationError)


@both_models
def test_a_vector_of_the_length_that_the_host_knows_is_never_stretched(model: AdversaryModel):
    scene = Scene(model, params={"vector_length": 12}).until("masked_input")
    with pytest.raises(InvalidInputError) as raised:
        scene.clients[VICTIM].receive(scene.outbound[VICTIM], vector=np.zeros(11, np.uint32))
    assert raised.value.field == "vector"
    scene.assert_exact(scene.finish())

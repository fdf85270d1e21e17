"""Evidence for the pictures: what the server received of one client, and what rounding costs at which modulus."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fl.app.demo.result import Evidence, Rounding
from fl.arrays.flatten import flatten
from fl.arrays.schema import Arrays
from fl.codecs.quantize import Quantizer
from fl.codecs.weighted_mean import WeightedMean
from secagg import AdversaryModel, ClientPolicy, ClientSession, Identity, ServerSession, SessionParams
from secagg.primitives import unpack
from secagg.protocol import MaskedInput, decode

__all__ = ["gather"]

_PEERS: Final = 5
"""Clients in the session whose messages are looked at."""

_FINEST_BITS: Final = 40
"""Beyond it float64 itself is what rounds."""

_STRIDE: Final = 2


def gather(
    codec: WeightedMean, updates: Mapping[int, Arrays], weights: Mapping[int, int], adversary: AdversaryModel
) -> Evidence:
    """Returns the evidence, from a round's updates.

    A session of a few of the clients is run once more, and a copy kept of what the server received from one of them:
    that with the most examples.

    Args:
        codec: the demo's.
        updates: by client id.
        weights: by client id; at least one is above 0.
        adversary: the model that the session defends against.
    """
    chosen = sorted(sorted(updates, key=lambda client: -weights[client])[:_PEERS])
    shown = max(chosen, key=lambda client: weights[client])
    words = {client: codec.encode(updates[client], weights[client]) for client in chosen}
    return Evidence(
        client=shown,
        update=flatten(updates[shown], codec.schema),
        seen=_seen(words, shown=shown, modulus_bits=codec.modulus_bits, adversary=adversary),
        modulus_bits=codec.modulus_bits,
        peers=len(chosen),
        rounding=tuple(_rounding(codec, updates, weights)),
    )


def _seen(
    words: Mapping[int, npt.NDArray[Any]], *, shown: int, modulus_bits: int, adversary: AdversaryModel
) -> npt.NDArray[Any]:
    """Returns the masked vector of one client as the server received it."""
    params = SessionParams.for_cohort(
        cohort_size=len(words), vector_length=len(words[shown]), modulus_bits=modulus_bits, adversary=adversary
    )
    active = adversary is AdversaryModel.ACTIVE
    identities = {client: Identity.generate() for client in words} if active else {}
    keys = {client: identity.public_key for client, identity in identities.items()}
    policy = ClientPolicy(identities=keys, adversary=adversary, corrupt_fraction=0.0)
    server = ServerSession(params, tuple(words), keys or None)
    clients = {client: ClientSession(client, policy, identities.get(client)) for client in words}
    outbound: Mapping[int, bytes] = dict.fromkeys(words, server.invitation)
    seen: npt.NDArray[Any] | None = None
    while seen is None:
        for client, message in outbound.items():
            session = clients[client]
            reply = session.receive(message, vector=words[client] if session.wants_input else None)
            if reply is not None and client == shown:
                content = decode(reply, client, params, session_id=server.session_id)
                if isinstance(content, MaskedInput):
                    seen = unpack(content.vector, length=params.vector_length, modulus_bits=modulus_bits)
            if reply is not None:
                server.receive(client, reply)
        closed = server.close_stage()
        outbound = closed if isinstance(closed, Mapping) else {}
    return seen


def _rounding(codec: WeightedMean, updates: Mapping[int, Arrays], weights: Mapping[int, int]) -> Sequence[Rounding]:
    """Returns error and bound at a number of moduli, from the fewest bits that hold such a sum."""
    clients, total = len(updates), sum(weights.values())
    mean = np.zeros(codec.schema.size)
    for client, update in updates.items():
        mean += weights[client] / total * np.clip(flatten(update, codec.schema), -codec.clip, codec.clip)
    found = []
    for bits in range(math.ceil(math.log2(clients + 1)), _FINEST_BITS + 1, _STRIDE):
        # The grid alone: the coarsest are such that no mean is taken on them.
        grid = Quantizer(codec.clip, bits, clients, codec.weight_cap)
        summed = np.zeros(codec.schema.size + grid.weight_digits, np.uint64)
        for client, update in updates.items():
            summed += grid.encode(flatten(update, codec.schema), weights[client])
        decoded, _ = grid.decode(summed, clients)
        error = np.abs(decoded - mean)
        bound = grid.error_bound(clients, total)
        found.append(Rounding(bits, float(np.sqrt(np.mean(error**2))), float(error.max()), bound))
    return found

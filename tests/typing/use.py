"""Right uses of the library, for mypy alone: nothing here is ever run."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

import secagg
from secagg import ClientPolicy, ClientSession, Identity, Result, ServerSession, SessionParams, simulate
from secagg.client.states import AdvertisingKeys, AwaitingSurvivors, CheckingConsistency
from secagg.protocol.messages import (
    AdvertiseKeys,
    ConsistencySignature,
    KeyRoster,
    MaskedInput,
    ShareDelivery,
    ShareKeys,
    SurvivorSet,
    UnmaskingRequest,
    UnmaskingShares,
)
from secagg.server import CollectingKeys, CollectingSignatures, CollectingUnmasking


def one_client(
    params: SessionParams,
    policy: ClientPolicy,
    identity: Identity,
    roster: KeyRoster,
    delivery: ShareDelivery,
    survivors: SurvivorSet,
    request: UnmaskingRequest,
    vector: npt.NDArray[np.uint32],
) -> UnmaskingShares:
    advertising = AdvertisingKeys(params, bytes(16), 5, policy, identity=identity)
    sharing, keys = advertising.advertise_keys()
    masking, shares = sharing.share_keys(roster)
    checking, masked = masking.mask_input(delivery, vector, executor=ThreadPoolExecutor())
    sent: list[AdvertiseKeys | ShareKeys | MaskedInput | ConsistencySignature] = [keys, shares, masked]
    if isinstance(checking, AwaitingSurvivors):
        return checking.unmask(survivors)
    unmasking, signature = checking.check_consistency(survivors)
    sent.append(signature)
    return unmasking.unmask(request)


def one_server(keys: CollectingKeys, adverts: Mapping[int, AdvertiseKeys], shares: Mapping[int, ShareKeys]) -> Result:
    for client, advert in adverts.items():
        keys.receive(client, advert)
    collecting_shares, rosters = keys.close()
    for client in rosters:
        collecting_shares.receive(client, shares[client])
    inputs, deliveries = collecting_shares.close(secagg.NO_MODEL)
    table: list[bytes] = [delivery.table for delivery in deliveries.values()]
    following, survivors = inputs.close()
    total: int = sum(survivor_set.total for survivor_set in survivors.values()) + len(table)
    if isinstance(following, CollectingSignatures):
        following, _ = following.close()
    unmasking: CollectingUnmasking = following
    return unmasking.close() if total else unmasking.close(ThreadPoolExecutor())


def bytes_in_bytes_out(policy: ClientPolicy, vector: npt.NDArray[np.int64]) -> bytes | None:
    params = SessionParams.for_cohort(
        cohort_size=5, vector_length=3, modulus_bits=20, adversary=secagg.AdversaryModel.HONEST_BUT_CURIOUS
    )
    server = ServerSession(params, range(5))
    client = ClientSession(1, policy)
    reply = client.receive(server.invitation, vector=vector if client.wants_input else None)
    if reply is not None:
        server.receive(1, memoryview(reply))
    snapshot: bytes = client.to_bytes(bytes(32))
    client = ClientSession.from_bytes(snapshot, wrapping_key=bytes(32))
    closed = server.close_stage()
    if isinstance(closed, Result):
        survivors: frozenset[int] = closed.survivors
        return bytes(len(survivors))
    return closed[1]


def simulated(params: SessionParams) -> int:
    vectors = {client: np.zeros(3, np.uint16) for client in range(5)}
    result = simulate(vectors, params, dropouts={"unmask": {1}})
    return int(result.sum[0]) + result.traffic.up[1]


def refused(error: secagg.RemoteError) -> str:
    if error.culprit is secagg.SERVER:
        return "the server"
    client: int = error.culprit
    return str(client)


def signing_is_optional(state: CheckingConsistency | AwaitingSurvivors, survivors: SurvivorSet) -> bool:
    return isinstance(state, CheckingConsistency) and bool(state.check_consistency(survivors)[1].signature)

# ruff: noqa: B018, F841, RUF059 (what is looked at or assigned is wrong, which is the point)
"""Wrong uses that mypy refuses, each with the code of its error; nothing here is ever run."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from secagg import AdversaryModel, ClientPolicy, ClientSession, Identity, Result, ServerSession, SessionParams, simulate
from secagg.client.states import (
    AdvertisingKeys,
    AwaitingSurvivors,
    CheckingConsistency,
    MaskingInput,
    SharingKeys,
    Unmasking,
)
from secagg.errors import ClientId, InvalidShareError, RemoteError, TooFewClientsError
from secagg.protocol.messages import (
    AdvertiseKeys,
    KeyRoster,
    MaskedInput,
    ShareDelivery,
    ShareKeys,
    SurvivorSet,
    UnmaskingRequest,
    UnmaskingShares,
)
from secagg.server import (
    CollectingKeys,
    CollectingMaskedInputs,
    CollectingShares,
    CollectingSignatures,
    CollectingUnmasking,
)

Words = npt.NDArray[np.uint32]


# A state has the one transition of its round.
def skipped_rounds(
    advertising: AdvertisingKeys,
    sharing: SharingKeys,
    masking: MaskingInput,
    checking: CheckingConsistency,
    unmasking: Unmasking,
    awaiting: AwaitingSurvivors,
    roster: KeyRoster,
    survivors: SurvivorSet,
    request: UnmaskingRequest,
) -> None:
    masking.unmask(request)  # expect: attr-defined
    advertising.share_keys(roster)  # expect: attr-defined
    sharing.advertise_keys()  # expect: attr-defined
    checking.unmask(request)  # expect: attr-defined
    awaiting.check_consistency(survivors)  # expect: attr-defined
    unmasking.check_consistency(survivors)  # expect: attr-defined


def a_second_survivor_set(checking: CheckingConsistency, first: SurvivorSet, second: SurvivorSet) -> None:
    unmasking, _ = checking.check_consistency(first)
    unmasking.check_consistency(second)  # expect: attr-defined
    checking, _ = unmasking, second  # expect: assignment


def the_model_decides_what_follows(
    masking: MaskingInput, delivery: ShareDelivery, vector: Words, survivors: SurvivorSet
) -> None:
    state, _ = masking.mask_input(delivery, vector)
    state.check_consistency(survivors)  # expect: union-attr
    state.unmask(survivors)  # expect: union-attr


# A state takes the one message of its round.
def wrong_messages(
    sharing: SharingKeys,
    masking: MaskingInput,
    checking: CheckingConsistency,
    unmasking: Unmasking,
    awaiting: AwaitingSurvivors,
    advert: AdvertiseKeys,
    shares: ShareKeys,
    survivors: SurvivorSet,
    request: UnmaskingRequest,
    vector: Words,
) -> None:
    sharing.share_keys(advert)  # expect: arg-type
    sharing.share_keys(b"SAGG")  # expect: arg-type
    masking.mask_input(shares, vector)  # expect: arg-type
    checking.check_consistency(request)  # expect: arg-type
    unmasking.unmask(survivors)  # expect: arg-type
    awaiting.unmask(request)  # expect: arg-type


def unusable_inputs(masking: MaskingInput, delivery: ShareDelivery, floats: npt.NDArray[np.float32]) -> None:
    masking.mask_input(delivery, floats)  # expect: arg-type
    masking.mask_input(delivery, np.zeros(3))  # expect: arg-type
    masking.mask_input(delivery, [1, 2, 3])  # expect: arg-type
    masking.mask_input(delivery)  # expect: call-arg
    masking.mask_input(delivery, np.zeros(3, np.uint8), "digest")  # expect: arg-type


# A round on the server has its own message and its own successor.
def rounds(
    keys: CollectingKeys,
    shares: CollectingShares,
    inputs: CollectingMaskedInputs,
    signatures: CollectingSignatures,
    unmasking: CollectingUnmasking,
    advert: AdvertiseKeys,
) -> None:
    after_keys, rosters = keys.close()
    after_keys.receive(5, b"SAGG")  # expect: arg-type
    wrong_shares: CollectingUnmasking = after_keys  # expect: assignment
    result: Result = after_keys.close()  # expect: assignment
    wrong_rosters: Mapping[ClientId, ShareDelivery] = rosters  # expect: assignment
    rosters[5].table  # expect: attr-defined
    keys = shares  # expect: assignment
    following: CollectingSignatures
    following, _ = inputs.close()  # expect: assignment
    result = signatures.close()  # expect: assignment
    after, outbound = unmasking.close()  # expect: misc
    keys.receive("client", advert)  # expect: arg-type


# Parameters.
def parameters() -> None:
    SessionParams(cohort_size=5, threshold="3", vector_length=1, modulus_bits=8)  # expect: arg-type
    SessionParams(cohort_size=5, threshold=3.5, vector_length=1, modulus_bits=8)  # expect: arg-type
    SessionParams(cohort_size=5, threshold=3, vector_length=1)  # expect: call-arg
    SessionParams(5, 3, 1, 8)  # expect: call-arg
    SessionParams(cohort_size=5, threshold=3, vector_length=1, modulus_bits=8, adversary=2)  # expect: arg-type
    SessionParams.for_cohort(cohort_size=5, threshold=3, vector_length=1, modulus_bits=8)  # expect: call-arg
    ClientPolicy(adversary="active")  # expect: arg-type
    ClientPolicy(identities={"alice": bytes(32)})  # expect: dict-item
    ClientPolicy(suites={1, 2})  # expect: arg-type


def nothing_changes(params: SessionParams, policy: ClientPolicy, message: SurvivorSet, result: Result) -> None:
    params.threshold = 1  # expect: misc
    policy.adversary = AdversaryModel.HONEST_BUT_CURIOUS  # expect: misc
    message.total = 5  # expect: misc
    result.survivors = frozenset()  # expect: misc


# Bytes in, bytes out.
def sessions(params: SessionParams, policy: ClientPolicy, server: ServerSession, client: ClientSession) -> None:
    ClientSession("alice", policy)  # expect: arg-type
    ClientSession(1, policy, bytes(32))  # expect: arg-type
    ServerSession(params, 5)  # expect: arg-type
    ServerSession(params, range(5), {1: Identity.generate()})  # expect: dict-item
    client.receive("SAGG")  # expect: arg-type
    client.receive(b"SAGG", vector=np.zeros(3))  # expect: arg-type
    client.receive(b"SAGG", np.zeros(3, np.uint8))  # expect: call-arg
    server.receive(b"SAGG", 5)  # expect: arg-type
    server.receive(1, client.receive(server.invitation))  # expect: arg-type
    server.close_stage().sum  # expect: union-attr
    total: bytes = server.close_stage()  # expect: assignment
    ServerSession.from_bytes(client)  # expect: arg-type
    client.to_bytes("password")  # expect: arg-type
    simulate({1: [1, 2, 3]}, params)  # expect: dict-item
    simulate({1: np.zeros(3)}, params)  # expect: dict-item
    simulate({}, params, dropouts=["unmask"])  # expect: arg-type


def errors(error: RemoteError, shortage: TooFewClientsError) -> None:
    client: int = error.culprit  # expect: assignment
    shortage.culprit  # expect: attr-defined
    InvalidShareError(1, "server", 2, "mask key")  # expect: arg-type


def messages(masked: MaskedInput, shares: UnmaskingShares) -> None:
    vector: bytes = masked.vector  # expect: assignment
    UnmaskingShares(b"", b"")  # expect: call-arg
    shares.shares  # expect: attr-defined

"""The client's state machine, told once: what each state expects, what it answers and what follows.

`TRANSITIONS` is the table. The session drives it, errors name what it expects, docs/protocol.md shows it and the tests
walk it. Each state has a file of its own, with the paper's step above its code.
"""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Final, TypeAlias, TypeVar

from secagg.client.advertising_keys import AdvertisingKeys
from secagg.client.awaiting_survivors import AwaitingSurvivors
from secagg.client.checking_consistency import CheckingConsistency
from secagg.client.held import Advertised, Fixed, Masked, Shared
from secagg.client.masking_input import MaskingInput
from secagg.client.sharing_keys import SharingKeys
from secagg.client.state import Vector
from secagg.client.unmasking import Unmasking
from secagg.errors import SERVER, InvalidInputError, InvalidStateError, UnexpectedMessageError
from secagg.params import AdversaryModel
from secagg.primitives.signing import Identity
from secagg.protocol.messages import (
    ConsistencySignature,
    KeyRoster,
    MaskedInput,
    Message,
    ShareDelivery,
    ShareKeys,
    SurvivorSet,
    UnmaskingRequest,
    UnmaskingShares,
)
from secagg.protocol.transcript import NO_MODEL
from secagg.stages import Stage

__all__ = [
    "TRANSITIONS",
    "AdvertisingKeys",
    "AwaitingSurvivors",
    "CheckingConsistency",
    "ClientState",
    "Holding",
    "Input",
    "MaskingInput",
    "SharingKeys",
    "Transition",
    "Unmasking",
    "restored",
    "transition_of",
]

ClientState: TypeAlias = SharingKeys | MaskingInput | CheckingConsistency | AwaitingSurvivors | Unmasking
"""A state between two messages. `AdvertisingKeys` is not among them: it answers the invitation at once."""

Holding: TypeAlias = Advertised | Shared | Masked | Fixed
"""What such a state holds."""


@dataclass(frozen=True, slots=True, eq=False)
class Input:
    """What the caller gives with a message.

    Args:
        vector: this client's vector; needed by the one state that masks it.
        model_digest: digest of what this client was given to work on.
        executor: runs the mask generation; None is serial.
    """

    vector: Vector | None = field(default=None, repr=False)
    model_digest: bytes = NO_MODEL
    executor: Executor | None = None


_Answer: TypeAlias = tuple[ClientState | None, Message]
_State = TypeVar("_State", bound=ClientState)
_Expected = TypeVar("_Expected", bound=Message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One row of the table.

    Args:
        state: the state.
        models: in which adversary models it exists.
        holds: what the state holds, and a snapshot of it keeps.
        expects: the message that it takes.
        stage: the stage that it answers.
        answers: the message that it gives.
        follows: the next state in each model, None where the session is over.
        take: makes the transition.
    """

    state: type[ClientState]
    models: frozenset[AdversaryModel]
    holds: type[Holding]
    expects: type[Message]
    stage: Stage
    answers: type[Message]
    follows: tuple[type[ClientState] | None, ...]
    take: Callable[[ClientState, Message, Input], _Answer]

    @property
    def takes_input(self) -> bool:
        """Whether the message has to come with the vector."""
        return self.answers is MaskedInput


def _typed(
    state: type[_State], expects: type[_Expected], take: Callable[[_State, _Expected, Input], _Answer]
) -> Callable[[ClientState, Message, Input], _Answer]:
    """Returns a transition for any state and message: it refuses all but its own."""

    def checked(current: ClientState, message: Message, given: Input) -> _Answer:
        if not isinstance(current, state) or not isinstance(message, expects):
            raise UnexpectedMessageError(SERVER, type(message).__name__, expects.__name__)
        return take(current, message, given)

    return checked


def _mask_input(state: MaskingInput, message: ShareDelivery, given: Input) -> _Answer:
    if given.vector is None:
        raise InvalidInputError("vector", "none was given", "this client's vector: wants_input was true")
    return state.mask_input(message, given.vector, given.model_digest, executor=given.executor)


_ACTIVE: Final = frozenset({AdversaryModel.ACTIVE})
_CURIOUS: Final = frozenset({AdversaryModel.HONEST_BUT_CURIOUS})

TRANSITIONS: Final = (
    Transition(
        state=SharingKeys,
        models=_ACTIVE | _CURIOUS,
        holds=Advertised,
        expects=KeyRoster,
        stage=Stage.SHARE_KEYS,
        answers=ShareKeys,
        follows=(MaskingInput,),
        take=_typed(SharingKeys, KeyRoster, lambda state, roster, _: state.share_keys(roster)),
    ),
    Transition(
        state=MaskingInput,
        models=_ACTIVE | _CURIOUS,
        holds=Shared,
        expects=ShareDelivery,
        stage=Stage.MASKED_INPUT,
        answers=MaskedInput,
        follows=(CheckingConsistency, AwaitingSurvivors),
        take=_typed(MaskingInput, ShareDelivery, _mask_input),
    ),
    Transition(
        state=CheckingConsistency,
        models=_ACTIVE,
        holds=Masked,
        expects=SurvivorSet,
        stage=Stage.CONSISTENCY,
        answers=ConsistencySignature,
        follows=(Unmasking,),
        take=_typed(CheckingConsistency, SurvivorSet, lambda state, survivors, _: state.check_consistency(survivors)),
    ),
    Transition(
        state=Unmasking,
        models=_ACTIVE,
        holds=Fixed,
        expects=UnmaskingRequest,
        stage=Stage.UNMASK,
        answers=UnmaskingShares,
        follows=(None,),
        take=_typed(Unmasking, UnmaskingRequest, lambda state, request, _: (None, state.unmask(request))),
    ),
    Transition(
        state=AwaitingSurvivors,
        models=_CURIOUS,
        holds=Masked,
        expects=SurvivorSet,
        stage=Stage.UNMASK,
        answers=UnmaskingShares,
        follows=(None,),
        take=_typed(AwaitingSurvivors, SurvivorSet, lambda state, survivors, _: (None, state.unmask(survivors))),
    ),
)
"""Every state that waits for a message, in the order of a session."""

_BY_STATE: Final = {row.state: row for row in TRANSITIONS}
_BY_HOLDING: Final = {(row.holds, model): row.state for row in TRANSITIONS for model in row.models}


def transition_of(state: ClientState) -> Transition:
    """Returns the row of a state."""
    return _BY_STATE[type(state)]


def restored(held: Holding, adversary: AdversaryModel, identity: Identity | None) -> ClientState:
    """Returns the state that holds this, as a snapshot kept it.

    Raises:
        InvalidStateError: no state of the model holds this.
    """
    state = _BY_HOLDING.get((type(held), adversary))
    if state is None:
        raise InvalidStateError(f"no state in the model {adversary.name} holds what the snapshot does")
    return state(held, identity)  # type: ignore[arg-type]  # the table says that this state holds this type

"""What tests of sessions have in common: small parameters, live sessions, and the stages of either model."""

import pytest

from secagg import SERVER, AdversaryModel
from secagg.protocol.messages import Message
from secagg.protocol.wire import decode
from tests.vectors.live import IDS, MODEL, Live, make_params

__all__ = [
    "ACTIVE",
    "CURIOUS",
    "IDS",
    "MODEL",
    "STAGES",
    "A",
    "B",
    "C",
    "D",
    "E",
    "Live",
    "at_stage",
    "given",
    "make_params",
    "models",
    "stages_of",
]

ACTIVE, CURIOUS = AdversaryModel.ACTIVE, AdversaryModel.HONEST_BUT_CURIOUS
models = pytest.mark.parametrize("adversary", AdversaryModel, ids=lambda model: model.name)
STAGES = ("advertise_keys", "share_keys", "masked_input", "consistency", "unmask")
A, B, C, D, E = IDS[:5]


def stages_of(adversary: AdversaryModel) -> tuple[str, ...]:
    """Returns the stages that sessions of a model have."""
    return STAGES if adversary is ACTIVE else tuple(stage for stage in STAGES if stage != "consistency")


def at_stage(live: Live, stage: str) -> Live:
    """Runs honestly until the messages that are answered at `stage` lie in `outbound`."""
    while live.server.stage != stage:
        live.collect()
        live.close()
    return live


def given(live: Live, client: int = A) -> Message:
    """Returns the server's message that lies in `outbound` for a client."""
    return decode(live.outbound[client], SERVER, live.params, session_id=live.server.session_id)

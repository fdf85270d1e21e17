"""Differential privacy that an auditor can trust: exact noise on the integers, an accountant and a ledger."""

from dp.accountant import Bound, Method, RdpAccountant
from dp.adaptive_clipping import AdaptiveClipping
from dp.auditing import AuditReport, audit
from dp.calibration import calibrate, noise_multiplier
from dp.clipping import Clipped, ClippedLayers, clip, clip_layers
from dp.distributed import InfeasiblePlanError, plan
from dp.distributed_plan import DistributedPlan
from dp.errors import (
    BudgetExceededError,
    DPError,
    InvalidParameterError,
    MissingExtraError,
    UnlikeEventsError,
    UnsupportedEventError,
)
from dp.events import (
    Composed,
    DiscreteGaussian,
    DistributedDiscreteGaussian,
    Event,
    Gaussian,
    NonPrivate,
    PoissonSampled,
    SampledWithoutReplacement,
    Skellam,
)
from dp.gaussian_mechanism import GaussianMechanism
from dp.ledger import Ledger
from dp.ledger_errors import BadRecordError, LedgerError, LedgerLockedError, LedgerRefusedError, RoundRefusedError
from dp.ledger_fields import SampleKnownTo, Sampling
from dp.ledger_records import Adversary, Central, Header, Reserve, Settle
from dp.opacus_history import from_opacus
from dp.relation import Relation, Unit
from dp.round_counter import RoundCounter
from dp.sampling import discrete_gaussian, skellam
from dp.signing import LedgerKey

__all__ = [
    "AdaptiveClipping",
    "Adversary",
    "AuditReport",
    "BadRecordError",
    "Bound",
    "BudgetExceededError",
    "Central",
    "Clipped",
    "ClippedLayers",
    "Composed",
    "DPError",
    "DiscreteGaussian",
    "DistributedDiscreteGaussian",
    "DistributedPlan",
    "Event",
    "Gaussian",
    "GaussianMechanism",
    "Header",
    "InfeasiblePlanError",
    "InvalidParameterError",
    "Ledger",
    "LedgerError",
    "LedgerKey",
    "LedgerLockedError",
    "LedgerRefusedError",
    "Method",
    "MissingExtraError",
    "NonPrivate",
    "PoissonSampled",
    "RdpAccountant",
    "Relation",
    "Reserve",
    "RoundCounter",
    "RoundRefusedError",
    "SampleKnownTo",
    "SampledWithoutReplacement",
    "Sampling",
    "Settle",
    "Skellam",
    "Unit",
    "UnlikeEventsError",
    "UnsupportedEventError",
    "audit",
    "calibrate",
    "clip",
    "clip_layers",
    "discrete_gaussian",
    "from_opacus",
    "noise_multiplier",
    "plan",
    "skellam",
]

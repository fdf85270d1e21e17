"""Differential privacy that an auditor can trust: exact noise on the integers, an accountant and a ledger.

The rooms, each of which imports only those after it:

* `dp.ledger`: what was spent, in a file that proves it.
* `dp.shares`: plans of sums in which every participant adds a share of the noise.
* `dp.accounting`: from curves to epsilon and delta.
* `dp.renyi`: divergences of each mechanism; and `dp.mechanisms`: clipping, rounding, noise on a vector.
* `dp.noise`: exact samples.
* `dp.events`, `dp.vocabulary`, `dp.errors`: releases as data, and the words that all rooms share.
* `dp.exact_json`, `dp.durable`, `dp.checks`: JSON values, files and arguments.

Nothing here knows a protocol. Scipy is loaded when a figure first needs it.
"""

from dp.accounting.accountant import Bound, Method, RdpAccountant
from dp.accounting.calibration import calibrate, noise_multiplier
from dp.accounting.opacus_history import from_opacus
from dp.errors import (
    BudgetExceededError,
    ComputationTooLargeError,
    DPError,
    FileLockedError,
    FileRefusedError,
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
from dp.ledger.audit import AuditReport, audit
from dp.ledger.errors import (
    BadRecordError,
    LedgerError,
    LedgerLockedError,
    LedgerRefusedError,
    RolledBackError,
    RoundRefusedError,
)
from dp.ledger.records import Central, Header, Reserve, Settle
from dp.ledger.round_counter import RoundCounter
from dp.ledger.signing import LedgerKey
from dp.ledger.witnesses import FileWitness, MonotoneWitness
from dp.ledger.writer import Ledger
from dp.mechanisms.adaptive_clipping import AdaptiveClipping
from dp.mechanisms.clipping import Clipped, ClippedLayers, clip, clip_layers
from dp.mechanisms.gaussian import GaussianMechanism
from dp.noise.samplers import discrete_gaussian, skellam
from dp.shares.plan import DistributedPlan
from dp.shares.planning import InfeasiblePlanError, plan
from dp.vocabulary import (
    DISCRETE_GAUSSIAN,
    DISTRIBUTED_DISCRETE_GAUSSIAN,
    GAUSSIAN,
    NO_NOISE,
    SKELLAM,
    Adversary,
    Relation,
    SampleKnownTo,
    Sampling,
    Unit,
)

__all__ = [
    "DISCRETE_GAUSSIAN",
    "DISTRIBUTED_DISCRETE_GAUSSIAN",
    "GAUSSIAN",
    "NO_NOISE",
    "SKELLAM",
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
    "ComputationTooLargeError",
    "DPError",
    "DiscreteGaussian",
    "DistributedDiscreteGaussian",
    "DistributedPlan",
    "Event",
    "FileLockedError",
    "FileRefusedError",
    "FileWitness",
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
    "MonotoneWitness",
    "NonPrivate",
    "PoissonSampled",
    "RdpAccountant",
    "Relation",
    "Reserve",
    "RolledBackError",
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

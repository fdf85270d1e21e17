"""From divergences to epsilon: accountants, and calibration the other way round."""

from dp.accounting.accountant import Bound, Method, RdpAccountant
from dp.accounting.calibration import calibrate, noise_multiplier
from dp.accounting.opacus_history import from_opacus

__all__ = ["Bound", "Method", "RdpAccountant", "calibrate", "from_opacus", "noise_multiplier"]

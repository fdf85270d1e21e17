"""From Renyi curves to epsilon and delta: the accountant, and calibration, which is the other way round.

* `RdpAccountant`: adds up releases; its `epsilon` and `delta` are a `Bound`, which says by which `Method` it was found.
  Conversion: Canonne, Kamath, Steinke 2020. Gaussian releases alone: Balle, Wang 2018, exactly.
* `calibrate`, `noise_multiplier`: the least noise for a target.
* `from_opacus`: the history of a training by Opacus as an event.
"""

from dp.accounting.accountant import Bound, Method, RdpAccountant
from dp.accounting.calibration import calibrate, noise_multiplier
from dp.accounting.opacus_history import from_opacus

__all__ = ["Bound", "Method", "RdpAccountant", "calibrate", "from_opacus", "noise_multiplier"]

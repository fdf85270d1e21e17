"""What is done to a vector before anybody else sees it: clipping, rounding to a lattice, noise.

* `clip`, `clip_layers`, with `Clipped`, `ClippedLayers`: an L2 norm bound that holds in exact arithmetic. `CLIP_RANGE`:
  the clip norms that can be had.
* `AdaptiveClipping`: a clip norm that follows a quantile of the norms (Andrew, Thakkar, McMahan, Ramaswamy 2021).
* `GaussianMechanism`: clipping and noise of one trusted party, on a lattice, so that no float leaks.
* `round_within`, `squared_norm_bound`, `LIKELY`: random rounding under a norm bound (Kairouz, Liu, Steinke 2021).
"""

from dp.mechanisms.adaptive_clipping import AdaptiveClipping
from dp.mechanisms.clipping import CLIP_RANGE, Clipped, ClippedLayers, clip, clip_layers
from dp.mechanisms.conditional_rounding import round_within
from dp.mechanisms.gaussian import GaussianMechanism
from dp.mechanisms.rounding import LIKELY, squared_norm_bound

__all__ = [
    "CLIP_RANGE",
    "LIKELY",
    "AdaptiveClipping",
    "Clipped",
    "ClippedLayers",
    "GaussianMechanism",
    "clip",
    "clip_layers",
    "round_within",
    "squared_norm_bound",
]

"""What is done to a vector before anyone else sees it: clipping, rounding to a lattice, noise."""

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

"""Renyi divergences of each mechanism, alone and sampled, as functions of the order."""

from dp.renyi.curve import RenyiCurve, discrete_gaussian_rdp
from dp.renyi.distributed import distributed_discrete_gaussian_rdp, skellam_rdp
from dp.renyi.sampled_gaussian import poisson_gaussian_rdp
from dp.renyi.sampled_without_replacement import gaussian_without_replacement_rdp
from dp.renyi.skellam_numerical import numerical_skellam_rdp

__all__ = [
    "RenyiCurve",
    "discrete_gaussian_rdp",
    "distributed_discrete_gaussian_rdp",
    "gaussian_without_replacement_rdp",
    "numerical_skellam_rdp",
    "poisson_gaussian_rdp",
    "skellam_rdp",
]

"""Renyi divergences of each mechanism, alone and sampled, as functions of the order: no epsilon yet.

Everything here is an upper bound, rounding included. Curves are added up, and converted by `dp.accounting`.

* `RenyiCurve`: the sum of the curves of many events.
* `discrete_gaussian_rdp`: Canonne, Kamath, Steinke 2020.
* `distributed_discrete_gaussian_rdp`: Kairouz, Liu, Steinke 2021.
* `skellam_rdp`: Agarwal, Kairouz, Liu 2021; `numerical_skellam_rdp`: the divergence itself, evaluated and rounded up.
* `poisson_gaussian_rdp`: Mironov, Talwar, Zhang 2019; `poisson_discrete_gaussian_rdp`: the same for discrete noise.
* `gaussian_without_replacement_rdp`: a sample of a fixed size, under replace-one.
"""

from dp.renyi.curve import RenyiCurve
from dp.renyi.distributed import distributed_discrete_gaussian_rdp, skellam_rdp
from dp.renyi.formulas import discrete_gaussian_rdp
from dp.renyi.sampled_discrete_gaussian import poisson_discrete_gaussian_rdp
from dp.renyi.sampled_gaussian import poisson_gaussian_rdp
from dp.renyi.sampled_without_replacement import gaussian_without_replacement_rdp
from dp.renyi.skellam_numerical import numerical_skellam_rdp

__all__ = [
    "RenyiCurve",
    "discrete_gaussian_rdp",
    "distributed_discrete_gaussian_rdp",
    "gaussian_without_replacement_rdp",
    "numerical_skellam_rdp",
    "poisson_discrete_gaussian_rdp",
    "poisson_gaussian_rdp",
    "skellam_rdp",
]

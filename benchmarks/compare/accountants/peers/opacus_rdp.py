"""Opacus' RDP accountant, with its default orders or, with --extended, with some above 63 as well."""

import sys
import warnings
from importlib.metadata import version

import contest
from opacus.accountants import RDPAccountant
from opacus.accountants.analysis.rdp import compute_rdp
from opacus.accountants.utils import get_noise_multiplier

MORE_ORDERS = [72, 80, 96, 112, 128, 160, 192, 256, 320, 384, 512, 640, 768, 1000]
"""Above 1029 its binomial coefficients overflow."""


class Opacus(contest.Accountant):
    library = "opacus"
    version = version("opacus")

    def __init__(self, *, extended: bool) -> None:
        self.orders = RDPAccountant.DEFAULT_ALPHAS + (MORE_ORDERS if extended else [])

    def value(self, setting: contest.Setting) -> contest.Value:
        accountant = RDPAccountant()
        accountant.history = [(setting.sigma, setting.q, setting.count)]
        epsilon, order = accountant.get_privacy_spent(delta=setting.delta, alphas=self.orders)
        return contest.Value(float(epsilon), float(order))

    def rdp(self, setting: contest.Setting, order: float) -> float:
        whole = compute_rdp(q=setting.q, noise_multiplier=setting.sigma, steps=setting.count, orders=[order])
        return float(whole[0])

    def epsilon_of_rounds(self, rounds: list[tuple[float, float]], delta: float) -> float:
        accountant = RDPAccountant()
        accountant.history = [(sigma, q, 1) for q, sigma in rounds]
        return float(accountant.get_epsilon(delta, alphas=self.orders))

    def sigma_for(self, epsilon: float, setting: contest.Setting) -> float:
        return float(
            get_noise_multiplier(
                target_epsilon=epsilon,
                target_delta=setting.delta,
                sample_rate=setting.q,
                steps=setting.count,
                accountant="rdp",
            )
        )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    extended = "--extended" in sys.argv
    sys.argv = [argument for argument in sys.argv if argument != "--extended"]
    contest.main(Opacus(extended=extended), __doc__)

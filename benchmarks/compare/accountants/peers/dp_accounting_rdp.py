"""Google's dp-accounting: its RDP accountant with its default orders."""

import warnings
from importlib.metadata import version

import absl.logging
import contest
import dp_accounting
from dp_accounting import rdp


def event_of(setting: contest.Setting) -> dp_accounting.DpEvent:
    return dp_accounting.PoissonSampledDpEvent(setting.q, dp_accounting.GaussianDpEvent(setting.sigma))


class DpAccounting(contest.Accountant):
    library = "dp-accounting"
    version = version("dp-accounting")

    def value(self, setting: contest.Setting) -> contest.Value:
        accountant = rdp.RdpAccountant()
        accountant.compose(event_of(setting), setting.count)
        epsilon, order = accountant.get_epsilon_and_optimal_order(setting.delta)
        return contest.Value(float(epsilon), float(order))

    def rdp(self, setting: contest.Setting, order: float) -> float:
        accountant = rdp.RdpAccountant([order])
        accountant.compose(event_of(setting), setting.count)
        return float(accountant._rdp[0])  # There is no public way to see it.

    def epsilon_of_rounds(self, rounds: list[tuple[float, float]], delta: float) -> float:
        accountant = rdp.RdpAccountant()
        for q, sigma in rounds:
            accountant.compose(event_of(contest.Setting(q, sigma, 1, delta)))
        return float(accountant.get_epsilon(delta))

    def sigma_for(self, epsilon: float, setting: contest.Setting) -> float:
        def make_event(sigma: float) -> dp_accounting.DpEvent:
            one = event_of(contest.Setting(setting.q, sigma, 1, setting.delta))
            return dp_accounting.SelfComposedDpEvent(one, setting.count)

        return float(dp_accounting.calibrate_dp_mechanism(rdp.RdpAccountant, make_event, epsilon, setting.delta))


def quiet() -> None:
    """Keeps the library's warnings of orders that it leaves out from the terminal."""
    warnings.simplefilter("ignore")
    absl.logging.set_verbosity(absl.logging.ERROR)


if __name__ == "__main__":
    quiet()
    contest.main(DpAccounting(), __doc__)

"""This library's accountant."""

from importlib.metadata import version

import contest

from dp import Gaussian, PoissonSampled, RdpAccountant, noise_multiplier


def spent(setting: contest.Setting) -> RdpAccountant:
    return RdpAccountant().compose(PoissonSampled(setting.q, Gaussian(setting.sigma)), setting.count)


class Ours(contest.Accountant):
    library = "secagg"
    version = version("secagg")
    rounds = contest.ROUNDS

    def value(self, setting: contest.Setting) -> contest.Value:
        bound = spent(setting).epsilon(setting.delta)
        return contest.Value(bound.value, bound.order, bound.method)

    def rdp(self, setting: contest.Setting, order: float) -> float:
        return float(spent(setting).rdp([order])[0])

    def epsilon_of_rounds(self, rounds: list[tuple[float, float]], delta: float) -> float:
        accountant = RdpAccountant()
        for q, sigma in rounds:
            accountant.compose(PoissonSampled(q, Gaussian(sigma)))
        return accountant.epsilon(delta).value

    def sigma_for(self, epsilon: float, setting: contest.Setting) -> float:
        return noise_multiplier(epsilon, setting.delta, probability=setting.q, count=setting.count)


if __name__ == "__main__":
    contest.main(Ours(), __doc__)

"""Google's dp-accounting: privacy loss distributions, the tight reference. It is not timed.

The losses are discretised finely enough for the sum: what their rounding adds is far below epsilon. Settings that take
too long or too much memory, or whose epsilon means no privacy, are left out.
"""

import math
import resource
import signal
import sys
from functools import lru_cache
from importlib.metadata import version
from types import FrameType

import contest
import dp_accounting_rdp
from dp_accounting.pld import privacy_loss_distribution

LARGEST_EPSILON = 30.0
LIMIT_S = 20
MEMORY_BYTES = 6 * 2**30
COARSEST, FINEST = -3, -7
"""Of the discretisation, powers of ten."""


class Pld(dp_accounting_rdp.DpAccounting):
    version = version("dp-accounting")

    def value(self, setting: contest.Setting) -> contest.Value:
        rough = super().value(setting).epsilon
        if rough is None or not 0 < rough <= LARGEST_EPSILON:
            return contest.Value(None, note=f"its RDP accountant says {rough:.3g}: left out")
        # Each loss is off by half an interval at most, and the errors of many add up like their root.
        interval = 10.0 ** min(COARSEST, max(FINEST, math.floor(math.log10(rough / 30 / math.sqrt(setting.count)))))
        signal.alarm(LIMIT_S)
        try:
            composed = _composed(setting.q, setting.sigma, setting.count, interval)
            return contest.Value(float(composed.get_epsilon_for_delta(setting.delta)), note=f"interval {interval:g}")
        finally:
            signal.alarm(0)


@lru_cache(maxsize=2)
def _composed(q: float, sigma: float, count: int, interval: float) -> privacy_loss_distribution.PrivacyLossDistribution:
    one = privacy_loss_distribution.from_gaussian_mechanism(
        sigma, sampling_prob=q, value_discretization_interval=interval
    )
    return one.self_compose(count)


def _too_long(_number: int, _frame: FrameType | None) -> None:
    raise TimeoutError(f"more than {LIMIT_S} s")


if __name__ == "__main__":
    if "--turn" in sys.argv:
        sys.exit("the reference is not timed")
    signal.signal(signal.SIGALRM, _too_long)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    dp_accounting_rdp.quiet()
    contest.main(Pld(), __doc__)

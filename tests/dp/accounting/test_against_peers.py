"""Our epsilon beside those of other libraries, and how the comparison of accountants judges which are valid."""

import math
from collections.abc import Mapping

import numpy as np
import pytest

from benchmarks.compare.accountants import exact, report, run
from benchmarks.compare.accountants.peers import contest
from benchmarks.compare.accountants.report import Judged
from dp.accounting.accountant import Method, RdpAccountant
from dp.events import Gaussian, PoissonSampled

OPACUS = [
    (1e-4, 2.0, 10**6, 1e-7, 0.26678232261072526, 63.0),
    (1e-4, 0.3, 10**4, 1e-7, 20.096178252453573, 1.9),
    (1e-4, 1.0, 100, 1e-5, 0.45008275028285033, 18.0),
    (1e-3, 1.0, 10**4, 1e-5, 0.7876595344277287, 13.0),
    (1e-3, 5.0, 10**6, 1e-10, 1.2530059631660855, 32.0),
    (0.01, 1.0, 100, 1e-5, 1.2141452107864754, 8.8),
    (0.01, 1.0, 10**4, 1e-7, 8.060468663342464, 4.7),
    (0.01, 2.0, 10**4, 1e-7, 2.8805473974612523, 10.6),
    (0.01, 5.0, 10**6, 1e-5, 10.862669756671425, 3.2),
    (0.01, 50.0, 10**6, 1e-7, 0.9953327080427653, 26.0),
    (0.1, 2.0, 100, 1e-7, 3.22407447666746, 8.7),
    (0.1, 5.0, 10**4, 1e-7, 12.766428402820042, 3.7),
    (0.1, 50.0, 10**6, 1e-10, 14.873249005928562, 4.3),
    (0.5, 0.3, 1, 1e-5, 19.19629378194738, 2.3),
    (0.5, 1.0, 100, 1e-5, 42.86520221182576, 1.7),
    (0.5, 5.0, 10**4, 1e-7, 105.98112747449055, 1.6),
    (0.5, 50.0, 10**4, 1e-7, 5.672861724697084, 6.3),
    (1.0, 0.7, 1, 1e-5, 7.162778443058905, 4.1),
    (1.0, 5.0, 100, 1e-7, 12.570016298289048, 3.7),
    (1.0, 50.0, 10**6, 1e-10, 334.41195181611647, 1.3),
    (1e-8, 0.3, 1, 1e-7, 4.336023219876034, 4.3),
    (1e-6, 0.3, 100, 1e-10, 9.839610879024262, 3.2),
]
"""q, sigma, T, delta, epsilon, order: opacus 1.6.0 with its default orders, by
`.venv-peers/opacus/bin/python benchmarks/compare/accountants/peers/opacus_rdp.py --matrix full`."""


def ours(q: float, sigma: float, count: int, delta: float) -> float:
    return RdpAccountant().compose(PoissonSampled(q, Gaussian(sigma)), count).epsilon(delta).value


@pytest.mark.parametrize(("q", "sigma", "count", "delta", "epsilon", "order"), OPACUS)
def test_epsilon_is_at_most_that_of_opacus(
    q: float, sigma: float, count: int, delta: float, epsilon: float, order: float
) -> None:
    # What was recorded is valid: it is the exact curve at their order, converted.
    if q < 1e-5:
        assert epsilon >= exact.converted(count * exact.renyi(q, sigma, order), order, delta) * (1 - 1e-9)
    else:
        converted = float(exact.converted(count * exact.renyi(q, sigma, order), order, delta))
        assert epsilon == pytest.approx(converted, rel=1e-7)
    assert ours(q, sigma, count, delta) <= epsilon * (1 + report.ALLOWED)


def test_epsilon_is_below_all_others_where_their_orders_end_too_early() -> None:
    setting = contest.HEADLINE
    bound = RdpAccountant().compose(PoissonSampled(setting.q, Gaussian(setting.sigma)), setting.count)
    assert math.isclose(bound.epsilon(setting.delta).value, 0.25481, abs_tol=5e-6)
    assert OPACUS[0][:4] == (setting.q, setting.sigma, setting.count, setting.delta)
    assert OPACUS[0][4] > 1.04 * bound.epsilon(setting.delta).value


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_epsilon_is_at_most_that_of_the_rdp_accountant_of_dp_accounting_wherever_that_is_valid() -> None:
    dp_accounting = pytest.importorskip("dp_accounting")
    rdp = pytest.importorskip("dp_accounting.rdp")
    absl = pytest.importorskip("absl.logging")
    before = absl.get_verbosity()
    absl.set_verbosity(absl.ERROR)
    rng = np.random.default_rng(21)
    settings = [contest.HEADLINE, contest.USUAL, contest.Setting(1e-8, 50.0, 10**6, 1e-5)]
    for _ in range(35):
        q, sigma = 10.0 ** rng.uniform(-8, math.log10(0.5)), 10.0 ** rng.uniform(math.log10(0.3), math.log10(50))
        settings.append(contest.Setting(q, sigma, int(10 ** rng.uniform(0, 6)), 10.0 ** rng.uniform(-10, -5)))
    valid = 0
    for setting in settings:
        theirs = rdp.RdpAccountant()
        event = dp_accounting.PoissonSampledDpEvent(setting.q, dp_accounting.GaussianDpEvent(setting.sigma))
        theirs.compose(event, setting.count)
        epsilon, order = theirs.get_epsilon_and_optimal_order(setting.delta)
        divergence = theirs._rdp[list(theirs._orders).index(order)]
        value = {"epsilon": float(epsilon), "order": float(order), "rdp": float(divergence), "note": ""}
        if report.judged(setting, value, exact.renyi).valid:
            valid += 1
            our = ours(setting.q, setting.sigma, setting.count, setting.delta)
            assert our <= epsilon * (1 + report.ALLOWED), setting
    absl.set_verbosity(before)
    assert valid > 25


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("q", "sigma", "count", "delta", "method"),
    [
        (0.01, 1.0, 1000, 1e-5, Method.RDP),
        (0.5, 20.0, 100, 1e-6, Method.RDP),
        (0.1, 0.5, 20, 1e-5, Method.RDP),
        (0.5, 0.3, 3, 1e-5, Method.RDP),
        (0.9, 2.0, 5, 1e-6, Method.RDP),
        (0.99, 1.0, 10, 1e-6, Method.UNSAMPLED_GAUSSIAN),
        (0.3, 3.0, 1, 1e-4, Method.SINGLE_RELEASE),
        (0.2, 4.0, 5, 0.2, Method.TOTAL_VARIATION),
        (0.1, 0.4, 2, 0.158, Method.TOTAL_VARIATION),
        # A little less than the total variation, so that epsilon is above 0.
        (0.1, 0.4, 2, 0.13, Method.RDP),
        (0.2, 4.0, 1, 0.018, Method.SINGLE_RELEASE),
    ],
)
def test_epsilon_is_no_less_than_the_truth(q: float, sigma: float, count: int, delta: float, method: Method) -> None:
    """The truth is bounded from below by a privacy loss distribution with every loss rounded down."""
    pld = pytest.importorskip("dp_accounting.pld.privacy_loss_distribution")
    one = pld.from_gaussian_mechanism(
        sigma,
        sampling_prob=q,
        value_discretization_interval=1e-3,
        pessimistic_estimate=False,
        use_connect_dots=False,
    )
    least = one.self_compose(count).get_epsilon_for_delta(delta)
    bound = RdpAccountant().compose(PoissonSampled(q, Gaussian(sigma)), count).epsilon(delta)
    assert bound.method is method
    assert bound.value >= least
    assert least > 0 or method is Method.TOTAL_VARIATION
    # One release is exact, and the rounding costs at most one interval.
    assert method is not Method.SINGLE_RELEASE or bound.value <= least + 1.001e-3


# --- How the comparison judges ---


def value(epsilon: float | None, order: float | None = None, rdp: float | None = None) -> dict[str, object]:
    return {"epsilon": epsilon, "order": order, "rdp": rdp, "note": ""}


def judged(setting: contest.Setting, said: Mapping[str, object]) -> Judged:
    return report.judged(setting, said, exact.renyi)


def test_a_divergence_below_the_exact_one_is_not_valid() -> None:
    setting = contest.Setting(1e-8, 50.0, 1, 1e-5)
    negative = judged(setting, value(0.10287, 63.0, -4.97978e-17))
    assert not negative.valid
    assert negative.below == pytest.approx(40.5, rel=0.01)
    truth = float(exact.renyi(1e-8, 50.0, 63.0))
    assert judged(setting, value(0.1, 63.0, truth)).valid
    assert judged(setting, value(0.1, 63.0, 2 * truth)).valid
    assert judged(setting, value(0.1, 63.0, truth * (1 - 1e-12))).valid
    assert not judged(setting, value(0.1, 63.0, truth * (1 - 1e-9))).valid
    # All releases together have the sum.
    many = contest.Setting(1e-8, 50.0, 1000, 1e-5)
    assert judged(many, value(0.1, 63.0, 1000 * truth)).valid
    assert not judged(many, value(0.1, 63.0, truth)).valid


@pytest.mark.parametrize("nothing", [None, math.inf, math.nan])
def test_no_figure_is_no_valid_figure(nothing: float | None) -> None:
    assert not judged(contest.USUAL, value(nothing, 2.0, 1.0)).valid


def truth_of_gaussian(sigma: float, count: int, delta: float) -> float:
    return 3.0


def test_whatever_should_not_be_is_a_line_of_its_own() -> None:
    usual, headline, everybody = contest.USUAL, contest.HEADLINE, contest.Setting(1.0, 2.0, 10, 1e-6)

    def lines(setting: contest.Setting, **figures: Judged) -> list[str]:
        named = {name.replace("_", "-"): figure for name, figure in figures.items()}
        return report.violations({setting: named}, truth_of_gaussian)

    fine, low = Judged(2.0), Judged(1.0, 5.0, 1.0, 0.5)
    assert lines(usual, ours=fine, opacus=Judged(2.0), dp_accounting=Judged(3.0)) == []
    assert lines(usual, ours=fine, opacus=low, dp_accounting=Judged(3.0)) == []
    assert lines(usual, ours=Judged(2.0 * (1 + 1e-10)), opacus=Judged(2.0)) == []
    assert "above 2.0" in lines(usual, ours=Judged(2.0 * (1 + 1e-8)), opacus=Judged(2.0))[0]
    assert "above 2.0" in lines(usual, ours=Judged(2.1), opacus=Judged(3.0), dp_accounting=Judged(2.0))[0]
    assert "no upper bound" in lines(usual, ours=low)[0]
    assert "no upper bound" in lines(usual, ours=Judged(None))[0]
    # The reference is tighter, and no peer.
    assert lines(usual, ours=fine, dp_accounting_pld=Judged(1.0)) == []
    assert lines(headline, ours=fine, opacus=Judged(2.1)) == []
    assert "not strictly below opacus" in lines(headline, ours=fine, opacus=Judged(2.0))[0]
    assert lines(everybody, ours=Judged(3.0)) == lines(everybody, ours=Judged(3.0 * (1 + 1e-10))) == []
    for wrong in (3.0 * (1 - 1e-15), 3.0 * (1 + 1e-8)):
        assert "exact Gaussian 3.0" in lines(everybody, ours=Judged(wrong))[0]


def test_the_exact_gaussian_is_where_its_two_tails_say() -> None:
    # delta(epsilon) at sigma = 1, epsilon = 1 is Phi(-1/2) - e Phi(-3/2).
    delta = 0.5 * math.erfc(0.5 / math.sqrt(2)) - math.e * 0.5 * math.erfc(1.5 / math.sqrt(2))
    assert float(exact.gaussian_epsilon(1.0, 1, delta)) == pytest.approx(1.0, abs=1e-12)
    assert exact.gaussian_epsilon(2.0, 4, delta) == exact.gaussian_epsilon(1.0, 1, delta)
    assert exact.gaussian_epsilon(1.0, 1, 0.5) == 0


def test_tables_show_what_is_missing_and_what_is_not_valid() -> None:
    low = Judged(0.1, 63.0, -5e-17, 41.0)
    everything = {contest.USUAL: {"ours": Judged(2.0), "opacus": low, "dp-accounting": Judged(None)}}
    row = report.values_table(everything, [contest.USUAL]).splitlines()[-1]
    assert [cell.strip() for cell in row.split("|")[5:8]] == ["2", "-", ""]
    assert report.cell(Judged(None)) == "-"
    lines = report.summary(everything, {"ours": "a 1", "opacus": "b 2", "dp-accounting": "c 3"}).splitlines()
    assert [cell.strip() for cell in lines[3].split("|")[3:5]] == ["1", "0"]
    assert [cell.strip() for cell in lines[4].split("|")[3:5]] == ["0", "0"]


def test_times_are_the_fastest_turn_beside_the_target() -> None:
    assert report.fastest_of([{"rounds": 3.0, "sigma": 1.0}, {"rounds": 2.0, "sigma": 4.0}]) == {
        "rounds": 2,
        "sigma": 1,
    }
    fastest = {"ours": {"rounds": 0.5, "sigma": 0.05}, "opacus": {"rounds": 100.0, "sigma": 0.2}}
    table = report.times_table(fastest, {"ours": 10**4, "opacus": 100}).splitlines()
    assert "met" in table[2]
    assert "100.00 s from 100" in table[2]
    assert "200" in table[2]
    assert "MISSED" in table[3]
    assert "from" not in table[3].split("|")[5]


def test_every_matrix_holds_the_corners_and_the_headline() -> None:
    for settings in contest.MATRICES.values():
        assert contest.HEADLINE in settings
        assert {min(s.q for s in settings), max(s.q for s in settings)} == {1e-8, 1.0}
        assert {min(s.sigma for s in settings), max(s.sigma for s in settings)} == {0.3, 50.0}
        assert {min(s.count for s in settings), max(s.count for s in settings)} == {1, 10**6}
    assert {s.delta for s in contest.FULL} == {1e-5, 1e-7, 1e-10}
    assert run.parse([]).turns == 3
    assert run.parse(["--quick"]).turns == 1
    assert run.parse(["--quick", "--turns", "2"]).turns == 2


class Fake(contest.Accountant):
    library, version = "fake", "0"

    def value(self, setting: contest.Setting) -> contest.Value:
        if setting.q == 1:
            raise OverflowError("too much")
        return contest.Value(setting.sigma, 2.0 if setting.count > 1 else None)

    def rdp(self, setting: contest.Setting, order: float) -> float:
        return 0.25

    def epsilon_of_rounds(self, rounds: list[tuple[float, float]], delta: float) -> float:
        assert len(set(rounds)) == contest.ROUNDS_OF_PEERS
        return 1.0

    def sigma_for(self, epsilon: float, setting: contest.Setting) -> float:
        return 1.0


def test_what_a_library_raises_is_its_answer() -> None:
    settings = [contest.Setting(1.0, 2.0, 1, 1e-5), contest.Setting(0.5, 2.0, 1, 1e-5), contest.USUAL]
    failed, plain, with_order = contest.values(Fake(), settings)
    assert (failed["epsilon"], failed["note"]) == (None, "OverflowError: too much")
    assert (plain["epsilon"], plain["rdp"]) == (2.0, None)
    assert with_order["rdp"] == 0.25
    found = report.by_setting({"ours": {"values": [failed, plain]}, "opacus": {"values": [plain]}, "gone": {}})
    assert {setting: set(named) for setting, named in found.items()} == {
        settings[0]: {"ours"},
        settings[1]: {"ours", "opacus"},
    }


def test_a_turn_times_every_task() -> None:
    taken = contest.times(Fake(), 1)
    assert set(taken) == {*(f"epsilon: {setting}" for setting in contest.TIMED), "rounds", "sigma"}
    assert all(seconds >= 0 for seconds in taken.values())
    assert not set(contest.rounds_of(100, 0)) & set(contest.rounds_of(100, 1))

"""The parameter engine: published points, our own, brute force, simulation, and what never may happen."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg import choosing
from secagg.choosing import certify, choose
from secagg.errors import InvalidParameterError
from secagg.hypergeometric import Hypergeometric
from secagg.params import AdversaryModel

ACTIVE, CURIOUS = AdversaryModel.ACTIVE, AdversaryModel.HONEST_BUT_CURIOUS


def exact_pmf(population: int, marked: int, draws: int) -> dict[int, Fraction]:
    return {
        x: Fraction(math.comb(marked, x) * math.comb(population - marked, draws - x), math.comb(population, draws))
        for x in range(max(0, draws - population + marked), min(draws, marked) + 1)
    }


@given(data=st.data())
@settings(deadline=None, max_examples=150)
def test_tails_agree_with_exact_fractions(data: st.DataObject) -> None:
    population = data.draw(st.integers(1, 300))
    marked, draws = data.draw(st.integers(0, population)), data.draw(st.integers(0, population))
    count = data.draw(st.integers(-1, draws + 1))
    pmf = exact_pmf(population, marked, draws)
    table = Hypergeometric.of(population, marked, draws)
    for found, exact in (
        (table.log_at_least(count), sum(p for x, p in pmf.items() if x >= count)),
        (table.log_below(count), sum(p for x, p in pmf.items() if x < count)),
    ):
        if exact == 0:
            assert found == -math.inf
        else:
            assert found == pytest.approx(math.log(exact.numerator) - math.log(exact.denominator), rel=1e-11, abs=1e-11)


@pytest.mark.parametrize(("population", "marked", "draws"), [(10**6, 3 * 10**5, 11136), (10**6, 10**5, 70)])
def test_a_cut_table_stays_an_upper_bound(population: int, marked: int, draws: int) -> None:
    table = Hypergeometric.of(population, marked, draws)
    mode = draws * marked // population
    exact = [
        math.log(math.comb(marked, x)) + math.log(math.comb(population - marked, draws - x)) for x in (mode, mode + 40)
    ]
    place = mode - table.low
    assert table.log_pmf[place + 40] - table.log_pmf[place] == pytest.approx(exact[1] - exact[0], rel=1e-9)
    assert table.log_at_least(draws) <= -100


OURS = [
    ((100, 0.1, 0.1), (22, 11)),
    ((1000, 0.1, 0.1), (52, 28)),
    ((10**4, 0.1, 0.1), (60, 32)),
    ((10**6, 0.1, 0.1), (70, 37)),
    ((1000, 0.2, 0.1), (76, 47)),
    ((1000, 0.1, 0.3), (102, 39)),
    ((100, 0.1, 0.3), (36, 11)),
]


@pytest.mark.parametrize(("setting", "expected"), OURS)
def test_known_choices_against_a_curious_server(setting: tuple[int, float, float], expected: tuple[int, int]) -> None:
    chosen = choose(*setting, CURIOUS)
    assert (chosen.neighbours, chosen.threshold) == expected
    assert chosen.holds


@pytest.mark.parametrize(("setting", "expected"), [((1000, 0.1, 0.1), (118, 81)), ((10**4, 0.1, 0.1), (154, 106))])
def test_known_choices_against_a_lying_server(setting: tuple[int, float, float], expected: tuple[int, int]) -> None:
    chosen = choose(*setting, ACTIVE, grinding_bits=0)
    assert (chosen.neighbours, chosen.threshold) == expected


PUBLISHED = [
    ((1000, 0.05, 0.33, CURIOUS), (72, 24)),
    ((10**4, 0.05, 0.33, CURIOUS), (86, 29)),
    ((10**6, 0.05, 0.33, CURIOUS), (102, 34)),
    ((1000, 0.33, 0.05, CURIOUS), (78, 60)),
    ((1000, 0.33, 0.05, ACTIVE), (132, 109)),
    ((10**6, 0.3, 0.3, ACTIVE), (11136, 7454)),
]


@pytest.mark.parametrize(("setting", "expected"), PUBLISHED)
def test_the_published_formula_gives_the_published_choices(
    setting: tuple[int, float, float, AdversaryModel], expected: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bell et al. 2020, table 1: A and D rounded down, random dropouts in both models, 20 bits of correctness."""
    clients, corrupt, dropout, adversary = setting
    cut = choosing._Setting.log_cut

    def connected(self: choosing._Setting, neighbours: int, threshold: int) -> float:
        curious = choosing._Setting(clients, self.corrupt, self.dropped, CURIOUS, 40, 20, 1, 0)
        return cut(curious, neighbours, threshold)

    def rounded_down(value: Fraction) -> int:
        return math.floor(value)

    monkeypatch.setattr(choosing._Setting, "log_cut", connected)
    monkeypatch.setattr(choosing, "_round_up", rounded_down)
    chosen = choose(clients, corrupt, dropout, adversary, correctness_bits=20, grinding_bits=0)
    assert (chosen.neighbours, chosen.threshold) == expected


@given(
    clients=st.integers(33, 400),
    corrupt=st.sampled_from([0, 0.02, 0.05, 0.1, 0.2, 0.3]),
    dropout=st.sampled_from([0, 0.02, 0.05, 0.1, 0.2, 0.3]),
    adversary=st.sampled_from(AdversaryModel),
    bits=st.sampled_from([3, 10, 20, 40]),
)
@settings(deadline=None, max_examples=30)
def test_the_choice_is_the_smallest_that_holds(
    clients: int, corrupt: float, dropout: float, adversary: AdversaryModel, bits: int
) -> None:
    asked = {"security_bits": bits, "correctness_bits": bits, "grinding_bits": 0}
    try:
        chosen = choose(clients, corrupt, dropout, adversary, **asked)
    except InvalidParameterError:
        chosen = None
    every = range(2, clients - 1, 2) if chosen is None else range(2, min(chosen.neighbours, clients - 2) + 1, 2)
    first = next(
        (
            (k, t)
            for k, t in itertools.chain.from_iterable(((k, t) for t in range(1, k + 1)) for k in every)
            if k < clients - 1 and certify(clients, k, t, corrupt, dropout, adversary, **asked).holds
        ),
        None,
    )
    if chosen is None or chosen.complete:
        assert first is None
    else:
        assert (chosen.neighbours, chosen.threshold) == first


@pytest.mark.parametrize("adversary", AdversaryModel, ids=lambda model: model.name)
def test_the_bounds_cover_what_a_simulation_finds(adversary: AdversaryModel) -> None:
    """At relaxed bits: failures in 3000 random rings stay within the bound plus 6 standard deviations (1e-9)."""
    chosen = choose(60, 0.1, 0.15, adversary, security_bits=3, correctness_bits=3, grinding_bits=0)
    n, k, t = chosen.clients, chosen.neighbours, chosen.threshold
    rng = np.random.default_rng(1)
    trials, exposed, stuck = 3000, 0, 0
    for _ in range(trials):
        corrupt, online = np.zeros(n, int), np.ones(n, int)
        corrupt[rng.choice(n, chosen.corrupt_clients, replace=False)] = 1
        online[rng.choice(n, chosen.dropped_clients, replace=False)] = 0
        around = [np.roll(np.eye(n, dtype=int), shift, axis=1) for shift in range(-(k // 2), k // 2 + 1) if shift]
        neighbourhood = sum(around) if not chosen.complete else 1 - np.eye(n, dtype=int)
        seen, left = neighbourhood @ corrupt, neighbourhood @ online
        exposed += bool(((2 * t <= k + seen) if adversary is ACTIVE else (seen >= t)).any())
        stuck += bool((left < t).any())
    for failures, name in ((exposed, "private"), (stuck, "alive")):
        bound = next(2.0**b.log2_probability for b in chosen.bounds if b.name == name)
        assert failures <= trials * bound + 6 * math.sqrt(trials * bound) + 1


@pytest.mark.parametrize("adversary", AdversaryModel, ids=lambda model: model.name)
def test_more_of_anything_bad_never_needs_fewer_neighbours(adversary: AdversaryModel) -> None:
    def degree(**changes: object) -> int:
        asked = {"clients": 1000, "corrupt": 0.1, "dropout": 0.1, "adversary": adversary, "grinding_bits": 0} | changes
        return choose(**asked).neighbours  # type: ignore[arg-type]

    for name, values in (
        ("corrupt", [0, 0.05, 0.1, 0.15, 0.2]),
        ("dropout", [0, 0.05, 0.1, 0.15, 0.2]),
        ("security_bits", [20, 40, 60, 80]),
        ("rounds", [1, 1000, 10**6]),
        ("grinding_bits", [0, 20, 64]),
    ):
        degrees = [degree(**{name: value}) for value in values]
        assert degrees == sorted(degrees), name


def test_small_cohorts_get_the_complete_graph_where_all_is_certain() -> None:
    small = choose(20, 0.1, 0.1, ACTIVE)
    assert small.complete
    assert small.holds
    assert small.grinding_bits == 0
    assert all(bound.log2_probability == -math.inf for bound in small.bounds)


def test_hard_settings_are_nearly_complete() -> None:
    hard = choose(200, 0.2, 0.3, ACTIVE)
    # 2t - k = 42 of 40 corrupt, and 162 - 60 = 102 left: nothing can fail any more.
    assert (hard.neighbours, hard.threshold) == (162, 102)
    assert all(bound.log2_probability == -math.inf for bound in hard.bounds)


def test_an_infeasible_setting_says_what_would_be_feasible() -> None:
    with pytest.raises(InvalidParameterError, match=r"dropout at most 0\.2.*corrupt at most 0\.1") as raised:
        choose(100, 0.4, 0.4, ACTIVE)
    assert raised.value.parameter == "corrupt, dropout"
    assert choose(100, 0.4, 0.28, ACTIVE).holds
    assert choose(100, 0.18, 0.4, ACTIVE).holds


@pytest.mark.parametrize(
    ("parameter", "changes"),
    [
        ("clients", {"clients": 2}),
        ("clients", {"clients": 2**20 + 1}),
        ("corrupt", {"corrupt": 1.0}),
        ("corrupt", {"corrupt": -0.1}),
        ("corrupt", {"corrupt": float("nan")}),
        ("dropout", {"dropout": True}),
        ("rounds", {"rounds": 0}),
        ("grinding_bits", {"grinding_bits": -1}),
        ("neighbours", {"neighbours": 7}),
        ("neighbours", {"neighbours": 100}),
        ("threshold", {"threshold": 21}),
        ("threshold", {"threshold": 0}),
    ],
)
def test_numbers_out_of_range_are_named(parameter: str, changes: dict[str, object]) -> None:
    asked = {"clients": 100, "neighbours": 20, "threshold": 12, "corrupt": 0.1, "dropout": 0.1, "adversary": CURIOUS}
    with pytest.raises(InvalidParameterError) as raised:
        certify(**(asked | changes))  # type: ignore[arg-type]
    assert raised.value.parameter == parameter


def test_a_certificate_says_which_condition_fails() -> None:
    weak = certify(1000, 20, 11, 0.1, 0.1, CURIOUS)
    assert not weak.holds
    assert [bound.name for bound in weak.bounds if not bound.holds] == ["connected", "private", "alive"][
        int(weak.bounds[0].holds) :
    ]
    assert all(bound.sentence.endswith(".") for bound in weak.bounds)

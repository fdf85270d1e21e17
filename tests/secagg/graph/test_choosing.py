"""Choosing: published points and our own, what always or never may change a choice, and what is refused."""

import math
import re
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.errors import InvalidParameterError
from secagg.graph.choosing import Assumptions, Certificate, certify, choose
from secagg.graph.hypergeometric import Hypergeometric
from secagg.params import AdversaryModel
from secagg.policy import ClientPolicy

ACTIVE, CURIOUS = AdversaryModel.ACTIVE, AdversaryModel.HONEST_BUT_CURIOUS

each_model = pytest.mark.parametrize("adversary", AdversaryModel, ids=lambda model: model.name)

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
    """Our convention: A and D rounded up, 40 bits of security, 30 of correctness."""
    chosen = choose(setting[0], corrupt=setting[1], dropout=setting[2], adversary=CURIOUS)
    assert (chosen.neighbours, chosen.threshold) == expected
    assert chosen.holds


@pytest.mark.parametrize(
    ("setting", "grinding_bits", "expected"),
    [
        ((1000, 0.1, 0.1), 0, (118, 81)),
        ((10**4, 0.1, 0.1), 0, (154, 106)),
        ((1000, 0.1, 0.1), None, (152, 110)),
        ((10**4, 0.1, 0.1), None, (210, 152)),
        # Two runs so long that the second one's corrupt clients depend much on the first one's.
        ((3000, 0.25, 0.3), None, (2016, 1328)),
        ((10**6, 0.3, 0.3), None, (18400, 12387)),
    ],
)
def test_known_choices_against_a_lying_server(
    setting: tuple[int, float, float], grinding_bits: int | None, expected: tuple[int, int]
) -> None:
    """Our convention with *uncuttable*, n**2 / 2 pairs of runs, jointly hypergeometric; by default 64 bits to grind."""
    clients, corrupt, dropout = setting
    chosen = choose(clients, corrupt=corrupt, dropout=dropout, adversary=ACTIVE, grinding_bits=grinding_bits)
    assert (chosen.neighbours, chosen.threshold) == expected
    assert chosen.holds


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
    setting: tuple[int, float, float, AdversaryModel], expected: tuple[int, int]
) -> None:
    """Bell et al. 2020, table 1: A and D rounded down, 40 and 20 bits, *connected* with random dropouts in both models.

    So this is another formula than ours, put together here from the same distributions.
    """
    n, gamma, delta, model = setting
    corrupt, dropped, weight = math.floor(gamma * n), math.floor(delta * n), 2 if model is ACTIVE else 1
    secure, correct = -41 * math.log(2), -20 * math.log(2)

    def log_connected(k: int) -> float:
        gone = corrupt + dropped
        ways = [math.lgamma(gone + 1), math.lgamma(n - k + 1), -math.lgamma(n + 1), -math.lgamma(gone - k + 1)]
        return math.log(n * (n - k - 1) / 2) + sum(ways)

    k = 2
    while True:
        most_corrupt = Hypergeometric(n, corrupt, k).quantile(secure - math.log(n))
        most_lost = Hypergeometric(n, dropped, k).quantile(correct - math.log(n))
        need = most_corrupt + weight * most_lost + 1
        if need <= k and log_connected(k) <= secure:
            break
        k = max(k + 2, need + need % 2)
    threshold = (most_corrupt + k) // 2 + 1 if model is ACTIVE else most_corrupt + 1
    assert (k, threshold) == expected


PARTS = st.sampled_from([0, 0.01, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4])
BITS = st.sampled_from([1, 5, 20, 40, 60])


@given(
    clients=st.integers(33, 3000),
    parts=st.tuples(PARTS, PARTS, PARTS).map(lambda drawn: (drawn[0], max(drawn[1:]), min(drawn[1:]))),
    adversary=st.sampled_from(AdversaryModel),
    security_bits=BITS,
    correctness_bits=BITS,
    rounds=st.sampled_from([1, 1000]),
    grinding_bits=st.sampled_from([0, 20, 64]),
    harder=st.sampled_from(
        [
            {"corrupt": 0.45},
            {"dropout": 0.42},
            {"absent": None},
            {"security_bits": 80},
            {"correctness_bits": 80},
            {"rounds": 10**6},
            {"grinding_bits": 128},
        ]
    ),
)
@settings(deadline=None, max_examples=150)
def test_a_stronger_demand_never_needs_fewer_neighbours(
    clients: int, parts: tuple[float, float, float], adversary: AdversaryModel, harder: dict[str, Any], **bits: int
) -> None:
    """With all else equal: more corrupt, dropped or absent, more bits of any kind, more rounds.

    For any k, what the stronger demand allows as t is a part of what the weaker one allows, so this holds exactly,
    from the sparsest graph to the complete one and on to the infeasible. Of the threshold, and of n, nothing like it
    is true.
    """
    asked: dict[str, Any] = dict(zip(("corrupt", "dropout", "absent"), parts, strict=True)) | bits
    if harder == {"absent": None}:
        harder = {"absent": asked["dropout"]}

    def degree(**asked: Any) -> float:
        try:
            return choose(clients, adversary=adversary, **asked).neighbours
        except InvalidParameterError:
            return math.inf

    assert degree(**asked) <= degree(**(asked | harder))


def test_small_cohorts_get_the_complete_graph_where_all_is_certain() -> None:
    small = choose(20, corrupt=0.1, dropout=0.1, adversary=ACTIVE)
    assert small.complete
    assert small.holds
    assert small.grinding_bits == 0
    assert all(bound.log2_probability == -math.inf for bound in small.bounds)
    assert choose(32, corrupt=0, dropout=0, adversary=CURIOUS).complete
    assert not choose(33, corrupt=0, dropout=0, adversary=CURIOUS, security_bits=1).complete


def test_hard_settings_are_nearly_complete() -> None:
    hard = choose(200, corrupt=0.2, dropout=0.3, adversary=ACTIVE)
    # 2t - k = 42 of 40 corrupt, and 162 - 60 = 102 left: nothing can fail any more.
    assert (hard.neighbours, hard.threshold) == (162, 102)
    assert all(bound.log2_probability == -math.inf for bound in hard.bounds)


def test_all_arguments_up_to_the_bits_go_by_position_or_by_name() -> None:
    by_position = choose(
        1000,
        corrupt=0.1,
        dropout=0.1,
        adversary=ACTIVE,
        security_bits=50,
        correctness_bits=20,
        rounds=3,
        grinding_bits=10,
    )
    by_name = choose(
        clients=1000,
        corrupt=0.1,
        dropout=0.1,
        adversary=ACTIVE,
        security_bits=50,
        correctness_bits=20,
        rounds=3,
        grinding_bits=10,
    )
    assert by_position == by_name
    assert (by_name.security_bits, by_name.correctness_bits, by_name.rounds, by_name.grinding_bits) == (50, 20, 3, 10)
    assert (
        certify(
            1000,
            neighbours=by_name.neighbours,
            threshold=by_name.threshold,
            corrupt=0.1,
            dropout=0.1,
            adversary=ACTIVE,
            security_bits=50,
            correctness_bits=20,
            rounds=3,
            grinding_bits=10,
        )
        == by_name
    )


def test_numbers_of_numpy_mean_what_they_say() -> None:
    plain = choose(1000, corrupt=0.1, dropout=0.1, adversary=CURIOUS)
    assert (
        choose(
            np.int64(1000),
            corrupt=np.float64(0.1),
            dropout=np.float32(0.1),
            adversary=CURIOUS,
            security_bits=np.uint8(40),
        )
        == plain
    )
    # 0.07 of 100 is 7, though 0.07 * 100 is a little more than that in floats; 0.07 of 101 is 8, rounded up.
    assert [choose(n, corrupt=0.07, dropout=0, adversary=CURIOUS).corrupt_clients for n in (100, 101)] == [7, 8]
    assert type(Assumptions(corrupt=np.float64(0.1), dropout=np.int8(0)).dropout) is float


GOOD: dict[str, Any] = {"clients": 100, "corrupt": 0.1, "dropout": 0.1, "adversary": CURIOUS}
NO_FRACTIONS = [1.0, 1, -0.1, math.nan, math.inf, True, False, "0.1", None, [0.1]]


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        *((name, value) for name in ("corrupt", "dropout", "absent") for value in NO_FRACTIONS),
        ("absent", 0.2),
        *(("clients", value) for value in (2, 2**20 + 1, 100.0, True, "100")),
        *(("adversary", value) for value in (2, "ACTIVE", None)),
        *((name, value) for name in ("security_bits", "correctness_bits") for value in (0, 257, 40.0, True)),
        *(("rounds", value) for value in (0, 2**62 + 1)),
        *(("grinding_bits", value) for value in (-1, 257, False)),
    ],
)
def test_numbers_out_of_range_are_named(parameter: str, value: object) -> None:
    for call in (choose, partial(certify, neighbours=20, threshold=12)):
        with pytest.raises(InvalidParameterError) as raised:
            call(**(GOOD | {parameter: value}))
        assert raised.value.parameter == parameter
        assert repr(raised.value.offered) == repr(value)


@pytest.mark.parametrize(
    ("parameter", "changes"),
    [
        ("neighbours", {"neighbours": 7}),
        ("neighbours", {"neighbours": 100}),
        ("neighbours", {"neighbours": 0}),
        ("threshold", {"threshold": 21}),
        ("threshold", {"threshold": 0}),
        ("roster", {"roster": 0}),
        ("roster", {"roster": 101}),
        ("roster", {"roster": True}),
        ("roster", {"roster": 90, "absent": 0.1}),
    ],
)
def test_an_offer_out_of_range_is_named(parameter: str, changes: dict[str, object]) -> None:
    asked = GOOD | {"neighbours": 20, "threshold": 12} | changes
    with pytest.raises(InvalidParameterError) as raised:
        certify(**asked)
    assert raised.value.parameter == parameter


def offers(error: InvalidParameterError, asked: dict[str, float]) -> list[dict[str, float]]:
    """The settings that an infeasible one could be changed to, read out of the error's text."""
    changes = []
    for way in error.allowed.split(", or "):
        found = re.findall(r"([a-z ]*) at most ([0-9.]+)", way)
        assert found, way
        changes.append(
            asked | {name: float(most) for names, most in found for name in re.findall("corrupt|dropout|absent", names)}
        )
    return changes


@pytest.mark.slow
@given(
    clients=st.one_of(st.integers(3, 40), st.integers(3, 2000), st.just(2**20)),
    corrupt=st.floats(0, 1, exclude_max=True).map(lambda part: round(part, 4) % 1),
    dropout=st.floats(0, 1, exclude_max=True).map(lambda part: round(part, 4) % 1),
    early=st.sampled_from([0, 0.5, 1]),
    adversary=st.sampled_from(AdversaryModel),
)
@settings(deadline=None, max_examples=300)
def test_what_an_infeasible_setting_is_told_is_feasible_is_and_no_more(
    clients: int, corrupt: float, dropout: float, early: float, adversary: AdversaryModel
) -> None:
    clients = max(clients, 4) if adversary is ACTIVE else clients
    asked = {"corrupt": corrupt, "dropout": dropout, "absent": round(dropout * early, 4)}

    def refusal(**asked: float) -> InvalidParameterError | None:
        try:
            assert choose(clients, adversary=adversary, **asked).holds
        except InvalidParameterError as error:
            return error
        return None

    refused = refusal(**asked)
    if refused is None:
        return
    assert refused.parameter == "corrupt, dropout"
    assert refused.offered == (corrupt, dropout)
    for way in offers(refused, asked):
        assert refusal(**way) is None
        # One client more is too many, where only one part was changed.
        changed = [name for name in ("corrupt", "dropout") if way[name] != asked[name]]
        # A curious server's sparse graphs may bear more dropouts than the complete one, which the advice is about.
        if len(changed) == 1 and (adversary is ACTIVE or clients <= 32):
            (name,) = changed
            assert refusal(**(way | {name: round(way[name] + 1 / clients + 2e-6, 9)})) is not None


def test_an_infeasible_setting_says_what_would_be_feasible() -> None:
    with pytest.raises(InvalidParameterError, match=r"dropout at most 0\.29 .*corrupt at most 0\.18 "):
        choose(100, corrupt=0.4, dropout=0.4, adversary=ACTIVE)
    assert choose(100, corrupt=0.4, dropout=0.29, adversary=ACTIVE).holds
    assert choose(100, corrupt=0.18, dropout=0.4, adversary=ACTIVE).holds
    with pytest.raises(
        InvalidParameterError, match=r"it must be corrupt at most 0\.4 and dropout and absent at most 0\.2$"
    ):
        choose(10, corrupt=0.99, dropout=0.99, adversary=ACTIVE, absent=0.99)


@pytest.mark.slow
@each_model
def test_nothing_sparse_holds_where_the_complete_graph_does_not(adversary: AdversaryModel) -> None:
    """Which is why an infeasible setting is found out without a search."""
    clients = 40
    for corrupt in (0, 0.2, 0.5, 0.9):
        for dropout in (0.2, 0.4, 0.5, 0.8, 0.95):
            asked: dict[str, Any] = {"security_bits": 1, "correctness_bits": 1, "grinding_bits": 0}
            try:
                choose(clients, corrupt=corrupt, dropout=dropout, adversary=adversary, **asked)
            except InvalidParameterError:
                assert not any(
                    certify(
                        clients,
                        neighbours=k,
                        threshold=t,
                        corrupt=corrupt,
                        dropout=dropout,
                        adversary=adversary,
                        **asked,
                    ).holds
                    for k in (*range(2, clients - 1, 2), clients - 1)
                    for t in range(1, k + 1)
                )


def test_a_certificate_says_which_condition_fails() -> None:
    def failing(certificate: Certificate) -> list[str]:
        return [bound.name for bound in certificate.bounds if not bound.holds]

    assert failing(certify(1000, neighbours=52, threshold=28, corrupt=0.1, dropout=0.1, adversary=CURIOUS)) == []
    assert failing(certify(1000, neighbours=52, threshold=27, corrupt=0.1, dropout=0.1, adversary=CURIOUS)) == [
        "private"
    ]
    assert failing(certify(1000, neighbours=52, threshold=29, corrupt=0.1, dropout=0.1, adversary=CURIOUS)) == ["alive"]
    assert failing(certify(1000, neighbours=20, threshold=20, corrupt=0.3, dropout=0.3, adversary=CURIOUS)) == [
        "connected",
        "private",
        "alive",
    ]
    # The graph that only asks for *connected*: a lying server cuts an arc off.
    assert failing(
        certify(1000, neighbours=114, threshold=78, corrupt=0.1, dropout=0.1, adversary=ACTIVE, grinding_bits=0)
    ) == ["uncuttable"]
    sentences = " ".join(
        bound.sentence
        for bound in certify(1000, neighbours=114, threshold=78, corrupt=0.1, dropout=0.1, adversary=ACTIVE).bounds
    )
    assert "runs of 57 clients hold 21 of them each" in sentences
    assert "2t - k = 42" in sentences


@each_model
def test_each_bound_has_one_plain_sentence_with_numbers(adversary: AdversaryModel) -> None:
    for certificate in (
        choose(1000, corrupt=0.1, dropout=0.1, adversary=adversary, absent=0.05),
        choose(20, corrupt=0.1, dropout=0.1, adversary=adversary),
    ):
        for bound in certificate.bounds:
            assert re.fullmatch(r"[A-Z][^.]*\d[^.]*\.", bound.sentence), bound.sentence


@pytest.mark.parametrize(("clients", "corrupt", "dropout"), [(32, 0.05, 0.5), (20, 0.0, 0.49)])
def test_a_small_curious_cohort_of_which_half_may_vanish_is_refused(
    clients: int, corrupt: float, dropout: float
) -> None:
    """In the complete graph a threshold is more than half of the peers, whatever a certificate would allow."""
    with pytest.raises(InvalidParameterError, match="dropout at most") as caught:
        choose(clients, corrupt=corrupt, dropout=dropout, adversary=CURIOUS)
    assert caught.value.parameter == "corrupt, dropout"


@pytest.mark.parametrize(("clients", "corrupt", "dropout"), [(32, 0.05, 0.45), (20, 0.0, 0.45), (10, 0.45, 0.3)])
def test_what_is_chosen_for_a_curious_server_makes_a_session(clients: int, corrupt: float, dropout: float) -> None:
    certificate = choose(clients, corrupt=corrupt, dropout=dropout, adversary=CURIOUS)
    params = certificate.session_params(vector_length=1, modulus_bits=8)
    assert params.min_survivors >= min(certificate.corrupt_clients + 3, clients)
    policy = ClientPolicy(adversary=CURIOUS, corrupt_fraction=corrupt)
    policy.check(params)
    # Nothing that the server goes on with is refused later.
    assert policy.required_survivors(params) == params.min_survivors

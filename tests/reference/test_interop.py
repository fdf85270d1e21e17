"""The package against tests/reference: the same inputs give the same bytes and the same sum, or both refuse."""

import hashlib
import itertools
import math
from fractions import Fraction
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, assume, event, given, note, settings
from hypothesis import strategies as st

from secagg import (
    AdversaryModel,
    InconsistentServerError,
    PolicyViolationError,
    SessionParams,
    Suite,
    TooFewClientsError,
)
from secagg.graph.choosing import certify
from secagg.graph.ring import Graph
from tests.reference import reference as ref
from tests.vectors import drive

CURIOUS, ACTIVE = AdversaryModel.HONEST_BUT_CURIOUS, AdversaryModel.ACTIVE


def rand(seed: bytes, use: str, length: int) -> bytes:
    return hashlib.shake_256(seed + use.encode()).digest(length)


def as_reference(p: SessionParams) -> ref.Params:
    return ref.Params(
        int(p.suite),
        int(p.adversary),
        p.cohort_size,
        p.neighbours,
        p.threshold,
        p.min_survivors,
        p.vector_length,
        p.modulus_bits,
        p.round_number,
        p.application,
    )


def assumed_corrupt(n: int, terms: dict[str, Any]) -> int:
    return math.ceil(Fraction(str(terms.get("corrupt_fraction", 0))) * n)


def policy_of(n: int, terms: dict[str, Any]) -> ref.Policy:
    """What a ClientPolicy of these terms comes to; its own floor of survivors is three honest ones."""
    return ref.Policy(
        Fraction(str(terms.get("corrupt_fraction", 0))),
        Fraction(str(terms.get("dropout_fraction", 0))),
        terms.get("security_bits", 40),
        terms.get("correctness_bits", 30),
        terms.get("grinding_bits"),
        assumed_corrupt(n, terms) + 3,
    )


# ------------------------------------------------------------------------------------------------ Drawn sessions
class Drawn(NamedTuple):
    params: SessionParams
    terms: dict[str, Any]
    seed: bytes
    clients: dict[int, drive.ClientInput]
    dropouts: dict[str, frozenset[int]]


STRICT = {"corrupt_fraction": 0.0}


@st.composite
def policies(draw: st.DrawFn, adversary: AdversaryModel) -> dict[str, Any]:
    """Draws who is taken for corrupt and how much is risked: so much that a certificate of a few clients may hold."""
    return {
        "corrupt_fraction": draw(st.sampled_from((0.1, 0.2, 0.3))),
        "dropout_fraction": draw(st.sampled_from((0.0, 0.1, 0.2))),
        "security_bits": draw(st.integers(1, 4)),
        "correctness_bits": draw(st.integers(1, 4)),
        "grinding_bits": 0 if adversary is ACTIVE else None,
    }


def accepts(p: ref.Params, policy: ref.Policy) -> bool:
    try:
        ref.check_graph(p, policy, p.cohort_size)
    except ref.Refused:
        return False
    return True


@st.composite
def offers(
    draw: st.DrawFn, adversary: AdversaryModel, *, sparse: bool, strict: bool
) -> tuple[SessionParams, dict[str, Any]]:
    """Draws parameters and terms, most of them such that the terms accept the parameters."""
    n = draw(st.integers(6, 10) if sparse else st.integers(4, 7))
    k = draw(st.sampled_from(range(2, n - 1, 2))) if sparse else n - 1
    terms = STRICT if strict else draw(policies(adversary))
    # The lowest threshold leaves room for dropouts; any other one is as valid.
    lowest = 1 if sparse and adversary is CURIOUS else k // 2 + 1
    policy = policy_of(n, terms)
    fitting = [t for t in range(lowest, k + 1) if accepts(ref.Params(1, int(adversary), n, k, t, n, 0, 1), policy)]
    anyhow = draw(st.integers(lowest, k))
    threshold = draw(st.sampled_from((fitting or [anyhow])[:1] * 3 + [*fitting, anyhow]))
    # So many have to survive for what is certified; half the draws ask for no more.
    needed = threshold + 1
    if sparse and adversary is ACTIVE:
        needed = max(needed, (n + assumed_corrupt(n, terms)) // 2 + 1)
    elif sparse:
        needed = max(needed, ref.connected_survivors(ref.Params(1, 1, n, k, threshold, n, 0, 1), policy, n))
    if sparse and math.ceil(policy.dropout * n) > n - needed:
        # The package wants as many clients to stay as its certificate needs survivors; the page says nothing of it.
        terms = terms | {"dropout_fraction": 0.0}
    offer = SessionParams(
        cohort_size=n,
        neighbours=k,
        threshold=threshold,
        vector_length=draw(st.integers(0, 6)),
        modulus_bits=draw(st.integers(1, 64)),
        adversary=adversary,
        suite=draw(st.sampled_from(Suite)),
        min_survivors=draw(st.sampled_from((needed, needed, draw(st.integers(threshold + 1, n))))),
        round_number=draw(st.one_of(st.integers(0, 5), st.integers(0, 2**64 - 1))),
        application=draw(st.binary(max_size=40)),
    )
    return offer, terms


@st.composite
def sessions(draw: st.DrawFn, adversary: AdversaryModel, *, sparse: bool, strict: bool) -> Drawn:
    p, terms = draw(offers(adversary, sparse=sparse, strict=strict))
    seed = draw(st.binary(min_size=4, max_size=4))
    size = p.cohort_size
    one = st.one_of(st.integers(0, 9), st.integers(0, 2**64 - 1))
    ids = draw(st.lists(one, min_size=size, max_size=size, unique=True))
    top = 2**p.modulus_bits - 1
    entry = st.one_of(st.sampled_from((0, top)), st.integers(0, top))
    clients = {
        client: (
            rand(seed, f"identity {client}", 32),
            draw(st.lists(entry, min_size=p.vector_length, max_size=p.vector_length)),
            rand(seed, f"advertise {client}", 64),
            rand(seed, f"share {client}", 96 + 24 * p.neighbours),
        )
        for client in ids
    }
    # Mostly as many as every neighbourhood can lose, whichever they are; sometimes more: then both may have to refuse.
    fewest = min(max(p.min_survivors, policy_of(size, terms).min_survivors), size)
    spare = min(size - fewest, p.neighbours - p.threshold)
    count = draw(st.sampled_from((spare, spare, spare, 0, spare + 1)))
    dropouts: dict[str, frozenset[int]] = {}
    for client in draw(st.permutations(ids))[:count]:
        stage = draw(st.sampled_from(drive.STAGES))
        dropouts[stage] = dropouts.get(stage, frozenset()) | {client}
    return Drawn(p, terms, seed, clients, dropouts)


@pytest.mark.slow
@pytest.mark.parametrize("adversary", list(AdversaryModel), ids=lambda model: model.name)
@pytest.mark.parametrize("sparse", [False, True], ids=["complete", "sparse"])
@pytest.mark.parametrize("strict", [True, False], ids=["strict", "risky"])
@settings(max_examples=30, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_package_and_reference_send_the_same_bytes_and_find_the_same_sum(
    adversary: AdversaryModel, sparse: bool, strict: bool, data: st.DataObject
):
    drawn = data.draw(sessions(adversary, sparse=sparse, strict=strict))
    note(f"{drawn.params}, {drawn.terms}, {sorted(drawn.clients)}, {drawn.dropouts}")
    if sparse:
        p, n = as_reference(drawn.params), drawn.params.cohort_size
        rosters = (n, n - len(drawn.dropouts.get("advertise_keys", ())))
        assume(not any(on_the_edge(p, policy_of(n, drawn.terms), roster) for roster in rosters))
    # Some sessions have a record of a share table damaged on its way: it must be unopened for both.
    damaged = data.draw(st.one_of(st.none(), st.tuples(st.sampled_from(sorted(drawn.clients)), st.integers(0, 151))))
    event("sum" if compare(drawn, damaged) else "refused")


def compare(
    drawn: Drawn, damaged: tuple[int, int] | None = None, replaced: dict[drive.Key, bytes] | None = None
) -> bool:
    """Runs both; they must agree in every byte. Returns whether there was a sum.

    `replaced` is what a lying server sends in place of some messages.
    """
    p, terms, seed, clients, dropouts = drawn
    session_id, model_digest = rand(seed, "session", 16), rand(seed, "model", 32)

    def on_wire(key: drive.Key, message: bytes) -> bytes:
        if damaged is not None and key == ("share_keys", drive.UP, damaged[0]):
            # 23 bytes of header, 1 of array, 1 of type, and the 3 that stand before a table of this length.
            at = 28 + damaged[1]
            return message[:at] + bytes([message[at] ^ 0x40]) + message[at + 1 :]
        return (replaced or {}).get(key, message)

    arguments = session_id, model_digest, clients, dropouts, on_wire
    try:
        ours = drive.run_session(p, *arguments, terms)
    except (TooFewClientsError, PolicyViolationError):
        ours = None
    except InconsistentServerError:
        assert replaced  # nobody takes an honest server for a liar
        ours = None
    try:
        theirs = ref.run_session(as_reference(p), *arguments, policy_of(p.cohort_size, terms))
    except ref.Refused:
        theirs = None
    if theirs is None or ours is None:
        assert theirs is None
        assert ours is None
        return False
    assert set(ours.messages) == set(theirs.messages)
    for key, message in theirs.messages.items():
        assert ours.messages[key].hex() == message.hex(), key
    assert ours.survivors == theirs.survivors
    assert ours.aggregate == theirs.aggregate
    survivors = [clients[client][1] for client in theirs.survivors]
    assert ours.aggregate == [sum(column) % 2**p.modulus_bits for column in zip(*survivors, strict=True)]
    return True


# ------------------------------------------------------------------------------------------- Outcomes by construction
def part(count: int, n: int) -> float:
    """A fraction of which n clients make this count, however it is rounded."""
    return max(count - 0.5, 0.0) / n


def session_of(p: SessionParams, seed: bytes, dropouts: dict[str, frozenset[int]], **terms: Any) -> Drawn:
    """One session of clients 1 to n."""
    top = 2**p.modulus_bits - 1
    clients = {
        client: (
            rand(seed, f"identity {client}", 32),
            [client, top - client, top // 2][: p.vector_length],
            rand(seed, f"advertise {client}", 64),
            rand(seed, f"share {client}", 96 + 24 * p.neighbours),
        )
        for client in range(1, p.cohort_size + 1)
    }
    return Drawn(p, STRICT | terms, seed, clients, dropouts)


def make_params(n: int, adversary: AdversaryModel, **changes: Any) -> SessionParams:
    k = changes.get("neighbours", n - 1)
    defaults = {"cohort_size": n, "threshold": k // 2 + 1, "vector_length": 3, "modulus_bits": 13, "round_number": 2}
    return SessionParams(**(defaults | {"adversary": adversary} | changes))


GRAPHS = {
    "complete": {"n": 7},
    "sparse": {"n": 9, "neighbours": 6, "min_survivors": 7},
}


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
@pytest.mark.parametrize("suite", list(Suite), ids=lambda suite: suite.name)
@pytest.mark.parametrize("adversary", list(AdversaryModel), ids=lambda model: model.name)
@pytest.mark.parametrize("stage", [*drive.STAGES, None])
@pytest.mark.parametrize("damaged", [None, (3, 40)], ids=["whole", "damaged"])
def test_every_kind_of_session_agrees(
    graph: dict[str, int], suite: Suite, adversary: AdversaryModel, stage: str | None, damaged: tuple[int, int] | None
):
    p = make_params(adversary=adversary, suite=suite, **graph)
    dropouts = {} if stage is None else {stage: frozenset({5})}
    # A damaged record takes one holder away from its dealer, so that with a dropout as well the threshold still holds.
    assert compare(session_of(p, f"{suite} {adversary} {stage} {damaged}".encode(), dropouts), damaged)


@pytest.mark.slow
@pytest.mark.parametrize("adversary", list(AdversaryModel), ids=lambda model: model.name)
@pytest.mark.parametrize("neighbours", [12, 10], ids=["complete", "sparse"])
def test_a_dropout_at_every_stage_of_one_session(adversary: AdversaryModel, neighbours: int):
    # At most four of ten neighbours vanish once the roster stands, and t is 6.
    p = make_params(13, adversary, neighbours=neighbours, min_survivors=8)
    dropouts = {stage: frozenset({at}) for stage, at in zip(drive.STAGES, (4, 1, 13, 8, 6), strict=True)}
    assert compare(session_of(p, b"every stage", dropouts))


@pytest.mark.parametrize("threshold", [1, 2, 3, 4])
@pytest.mark.parametrize("stage", drive.STAGES)
def test_every_threshold_of_a_curious_sparse_session(threshold: int, stage: str):
    p = make_params(9, CURIOUS, neighbours=4, threshold=threshold, min_survivors=8)
    drawn = session_of(p, b"thresholds", {stage: frozenset({2})})
    # With t = k nobody's neighbour may be missing; who never came is nobody's.
    assert compare(drawn) == (threshold < 4 or stage == "advertise_keys")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("adversary", "threshold", "corrupt", "absent"), [(ACTIVE, 4, 4, 3), (CURIOUS, 3, 3, 1)], ids=["ACTIVE", "CURIOUS"]
)
def test_a_certificate_that_holds_for_all_who_are_invited_may_not_hold_for_the_roster(
    adversary: AdversaryModel, threshold: int, corrupt: int, absent: int
):
    p = make_params(12, adversary, neighbours=4, threshold=threshold, min_survivors=12 - absent)
    grinding = 0 if adversary is ACTIVE else None
    terms = {"corrupt_fraction": part(corrupt, 12), "security_bits": 1, "grinding_bits": grinding}
    whole = session_of(p, b"absent", {}, **terms)
    assert compare(whole)
    assert not compare(whole._replace(dropouts={"advertise_keys": frozenset(range(1, absent + 1))}))
    for stricter in ({"security_bits": 4}, {"corrupt_fraction": part(corrupt + 1, 12)}):
        assert not compare(whole._replace(terms=terms | stricter))


@pytest.mark.slow
@pytest.mark.parametrize("adversary", list(AdversaryModel), ids=lambda model: model.name)
def test_a_session_that_may_not_stay_alive_is_refused_by_both(adversary: AdversaryModel):
    p = make_params(11, adversary, neighbours=6, min_survivors=8)
    for dropped, good in ((2, True), (3, False)):
        assert compare(session_of(p, b"alive", {}, dropout_fraction=part(dropped, 11))) == good


@pytest.mark.parametrize("adversary", list(AdversaryModel), ids=lambda model: model.name)
def test_a_roster_of_no_more_than_k_others_is_complete(adversary: AdversaryModel):
    p = make_params(8, adversary, neighbours=6, min_survivors=5)
    assert compare(session_of(p, b"few", {"advertise_keys": frozenset({2, 8})}))


def test_who_is_left_with_too_few_neighbours_is_dropped_by_both():
    p = make_params(11, CURIOUS, neighbours=4, threshold=2, min_survivors=7)
    reached = set()
    for number in range(6):
        seed = b"lonely %d" % number
        whole = session_of(p, seed, {}, security_bits=1)
        near = neighbours_of(p, whole)[1]
        for gone in itertools.combinations(near, 3):
            session = whole._replace(dropouts={"share_keys": frozenset(gone)})
            reached.add(compare(session))
        if True in reached:
            return
    raise AssertionError("of six rings one at least lets three leave and takes one more with them")


@pytest.mark.slow
@pytest.mark.parametrize("adversary", list(AdversaryModel), ids=lambda model: model.name)
@pytest.mark.parametrize("stage", ["share_keys", "masked_input", "unmask"])
def test_a_neighbourhood_that_loses_one_too_many_is_refused_by_both(adversary: AdversaryModel, stage: str):
    p = make_params(11, adversary, neighbours=6, min_survivors=7)
    whole = session_of(p, b"one too many", {})
    near = neighbours_of(p, whole)[1]
    assert compare(whole._replace(dropouts={stage: frozenset(near[:2])}))
    assert not compare(whole._replace(dropouts={stage: frozenset(near[:3])}))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("corrupt", "signed", "good"), [(0, 6, False), (0, 7, True), (1, 7, False), (1, 8, True), (1, 13, True)]
)
def test_both_ask_for_signatures_of_more_than_half_of_the_roster_and_the_corrupt(corrupt: int, signed: int, good: bool):
    p = make_params(13, ACTIVE, neighbours=4, min_survivors=8)
    drawn = session_of(p, b"majority", {}, corrupt_fraction=part(corrupt, 13))
    q, session_id, near = as_reference(p), rand(drawn.seed, "session", 16), neighbours_of(p, drawn)
    me = 1
    involved = {me, *near[me]}
    around = sorted(set().union(*(near[j] for j in involved)))
    # Six on the arc about it are enough for every neighbourhood that it asks about.
    quorums = (set(arc) for arc in itertools.combinations(around, 6) if me in arc)
    signers = next(arc for arc in quorums if all(len(arc & set(near[j])) >= p.threshold for j in involved))
    signers |= set([client for client in range(1, 14) if client not in signers][: signed - 6])
    messages = honest_run(p, drawn).messages
    own = [messages["consistency", drive.UP, client] for client in sorted(signers)]
    signatures = b"".join(ref.read_message(q, session_id, ref.CONSISTENCY_SIGNATURE, one)[0] for one in own)
    bitmap = ref.bitmap([client - 1 for client in signers], 13)
    request = ref.message(q, session_id, ref.UNMASKING_REQUEST, bitmap, signatures)
    assert compare(drawn, replaced={("unmask", drive.DOWN, me): request}) == good


def honest_run(p: SessionParams, drawn: Drawn) -> ref.Session:
    """The reference's run of a session that nobody leaves."""
    return ref.run_session(
        as_reference(p),
        rand(drawn.seed, "session", 16),
        rand(drawn.seed, "model", 32),
        drawn.clients,
        policy=policy_of(p.cohort_size, drawn.terms),
    )


def neighbours_of(p: SessionParams, drawn: Drawn) -> dict[int, list[int]]:
    """Everyone's neighbours where everyone advertises, which the randomness fixes."""
    q, session_id, entries = as_reference(p), rand(drawn.seed, "session", 16), {}
    for (stage, direction, _), message in honest_run(p, drawn).messages.items():
        if (stage, direction) == ("share_keys", ref.DOWN):
            shown = ref.decode_entries(q, ref.read_message(q, session_id, ref.KEY_ROSTER, message)[0])
            entries |= {entry.id: entry for entry in shown}
    return ref.Context(q, session_id, bytes(32), [entries[i] for i in sorted(entries)]).near


@pytest.mark.parametrize("sparse", [False, True], ids=["complete", "sparse"])
@pytest.mark.parametrize("adversary", list(AdversaryModel), ids=lambda model: model.name)
def test_too_many_dropouts_are_refused_by_both(adversary: AdversaryModel, sparse: bool):
    p = (
        make_params(6, adversary, neighbours=4, threshold=4, min_survivors=6)
        if sparse
        else make_params(4, adversary, threshold=3)
    )
    for stage in drive.STAGES:
        assert not compare(session_of(p, b"4", {stage: frozenset({1})})), stage


# ----------------------------------------------------------------------------------------------- Graph and certificate
@pytest.mark.parametrize("suite", list(Suite), ids=lambda suite: suite.name)
@pytest.mark.parametrize("size", [3, 4, 9, 64, 257])
def test_both_draw_the_same_graph(suite: Suite, size: int):
    for k in {2, 2 * (size // 4), 2 * ((size - 1) // 2), size - 1} - {0}:
        seed = rand(b"graph", f"{size} {k}", 32)
        ours = Graph(size, neighbours=k, seed=seed, suite=suite)
        near = ref.neighbourhoods(int(suite), seed, size, k)
        assert ours.table.tolist() == near
        assert [ours.neighbours(index).tolist() for index in range(size)] == near


def exact_log2(risk: Fraction) -> float:
    return math.log2(risk.numerator) - math.log2(risk.denominator) if risk else -math.inf


def on_the_edge(p: ref.Params, policy: ref.Policy, roster: int) -> bool:
    """Whether a risk is as large as is allowed, to the bit: the package rounds up and refuses."""
    return any(risk == allowed for risk, allowed in ref.certificate(p, policy, roster).values())


@pytest.mark.parametrize("adversary", list(AdversaryModel), ids=lambda model: model.name)
@pytest.mark.parametrize("n", [6, 9, 12])
def test_both_certify_alike(n: int, adversary: AdversaryModel):
    levels = {"security_bits": 5, "correctness_bits": 3, "grinding_bits": 2 if adversary is ACTIVE else None}
    compared = set()
    for k, missing in itertools.product(range(2, n - 1, 2), (0, 2, n // 2)):
        for t in range(1 if adversary is CURIOUS else k // 2 + 1, k + 1):
            p = ref.Params(1, int(adversary), n, k, t, n, 0, 1)
            for corrupt, dropped in itertools.product(range(n // 2), range(n // 2)):
                terms = levels | {"corrupt_fraction": part(corrupt, n), "dropout_fraction": part(dropped, n)}
                compared |= certified(p, terms, n - missing)
    cut = "uncuttable" if adversary is ACTIVE else "connected"
    assert compared == set(itertools.product((cut, "private", "alive"), (True, False)))


def certified(p: ref.Params, terms: dict[str, Any], roster: int) -> set[tuple[str, bool]]:
    """Compares both certificates; returns which of the conditions hold."""
    n, k, t, adversary = p.cohort_size, p.neighbours, p.threshold, AdversaryModel(p.adversary)
    policy = policy_of(n, terms)
    given = terms | {"corrupt": terms["corrupt_fraction"], "dropout": terms["dropout_fraction"]}
    given = {name: value for name, value in given.items() if not name.endswith("_fraction")}
    ours = certify(n, neighbours=k, threshold=t, adversary=adversary, roster=roster, **given)
    theirs = ref.certificate(p, policy, roster)
    assert [bound.name for bound in ours.bounds] == list(theirs)
    if adversary is CURIOUS:
        assert ours.min_survivors == max(t + 1, ref.connected_survivors(p, policy, roster))
    compared = set()
    for bound in ours.bounds:
        risk, allowed = theirs[bound.name]
        if bound.name == "alive" and roster - ours.dropped_clients < ours.min_survivors:
            continue  # The package wants as many to stay as it needs survivors; the page says nothing of it.
        if risk != allowed:
            assert bound.holds == (risk < allowed)
            compared.add((bound.name, bound.holds))
        if roster > k + 1:  # else the package takes the complete graph's numbers, which are certain
            assert bound.log2_allowed == pytest.approx(exact_log2(allowed))
            exact = exact_log2(min(risk, Fraction(1)))
            assert bound.log2_probability == exact == -math.inf or exact <= bound.log2_probability < exact + 1e-6
    return compared

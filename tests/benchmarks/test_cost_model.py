"""Cells, and what the cost model predicts of them."""

from dataclasses import fields, replace

import pytest
from rich.console import Console

from benchmarks import matrix
from benchmarks.cells import Cell, Inputs, grid
from benchmarks.cost_model import UnitCosts, calibrate, predict
from secagg import AdversaryModel

COSTS = UnitCosts(
    mask_byte_s=1.3e-10,
    vector_byte_s=1e-9,
    added_byte_s=5e-11,
    carried_byte_s=5e-10,
    exchange_s=33e-6,
    verify_s=55e-6,
    pair_s=50e-6,
    entry_s=1e-6,
    share_s=4e-6,
    weight_s=2e-8,
    message_s=5e-5,
    client_s=1e-3,
)
SMALL = Cell(100, 10**4, 0.1, 32, "curious", "complete")


def test_a_cell_knows_its_session():
    assert (SMALL.params.neighbours, SMALL.params.threshold) == (99, 67)
    assert SMALL.params.adversary is AdversaryModel.HONEST_BUT_CURIOUS
    assert list(SMALL.dropped) == list(range(10))
    assert replace(SMALL, graph="sparse").params.neighbours == 22
    assert replace(SMALL, graph="sparse", dropout=0.3).params.neighbours == 36


@pytest.mark.parametrize("model", ["curious", "active"])
@pytest.mark.parametrize("dropout", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("clients", [10, 30, 100, 1000])
def test_every_cell_of_the_default_grid_can_be_run(clients: int, dropout: float, model: str):
    for cell in grid([clients], [10], [dropout], [16], [model]):
        cell.check()


def test_where_the_engine_chooses_the_complete_graph_there_is_one_cell():
    assert [cell.graph for cell in grid([10, 100], [10], [0.1], [32], ["curious"])] == [
        "complete",
        "complete",
        "sparse",
    ]


def test_the_plain_sum_wraps_at_the_modulus():
    cell = Cell(10, 100, 0.0, 12, "curious", "complete")
    inputs = Inputs(cell)
    expected = sum(inputs.of(client).astype(int) for client in range(10)) % 2**12
    assert inputs.plain_sum(range(10)).tolist() == expected.tolist()


@pytest.mark.parametrize(
    "larger",
    [
        {"clients": 200},
        {"length": 10**6},
        {"modulus_bits": 64},
        {"model": "active"},
    ],
)
def test_whatever_grows_costs_more_on_both_sides(larger: dict):
    small, large = predict(SMALL, COSTS), predict(replace(SMALL, **larger), COSTS)
    assert large.client_s > small.client_s
    assert large.server_s > small.server_s
    assert large.wall_s > small.wall_s


def test_dropout_costs_the_server_and_a_sparse_graph_saves_both():
    many = predict(replace(SMALL, dropout=0.3), COSTS)
    assert many.server_s > predict(SMALL, COSTS).server_s
    sparse = predict(replace(SMALL, dropout=0.3, graph="sparse"), COSTS)
    assert sparse.client_s < many.client_s
    assert sparse.server_s < many.server_s


def test_masks_dominate_where_vectors_are_long():
    cell = replace(SMALL, length=10**6)
    # 100 masks of 4 MB at 7.7 GB/s.
    assert predict(cell, COSTS).client_s == pytest.approx(100 * 4e6 * COSTS.mask_byte_s, rel=0.35)


def test_one_server_less_takes_less_time():
    assert predict(SMALL, COSTS, servers=1).wall_s < predict(SMALL, COSTS, servers=2).wall_s


@pytest.mark.slow
def test_calibration_finds_a_plausible_cost_for_everything():
    costs = calibrate()
    for field in fields(UnitCosts):
        assert 0 <= getattr(costs, field.name) < 0.1, field.name
    assert costs.verify_s > costs.entry_s
    assert costs.mask_byte_s < costs.carried_byte_s * 100


def test_a_cell_beyond_the_budget_is_skipped_and_marked(monkeypatch: pytest.MonkeyPatch):
    run = []

    def measured(cell, **_):
        run.append(cell)

    monkeypatch.setattr(matrix, "measure", measured)
    large = replace(SMALL, clients=1000)
    [first, second] = matrix.run([SMALL, large], COSTS, 60.0, Console(quiet=True))
    assert run == [SMALL]
    assert first.skipped is None
    assert second.skipped.startswith("skipped, about")
    assert second.measured is None


def test_a_wrong_cell_is_marked_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch):
    def measured(cell, **_):
        assert cell != SMALL, "the sum is wrong"

    monkeypatch.setattr(matrix, "measure", measured)
    [first, second] = matrix.run([SMALL, replace(SMALL, modulus_bits=16)], COSTS, 60.0, Console(quiet=True))
    assert "the sum is wrong" in first.failed
    assert second.failed is None


@pytest.mark.parametrize(
    "options",
    [
        ["--clients", "2"],
        ["--clients", "6"],
        ["--dropouts", "0.7"],
        ["--bits", "65"],
        ["--models", "lazy"],
        ["--lengths", "-1"],
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(options: list[str]):
    with pytest.raises(SystemExit) as caught:
        matrix.main(options)
    assert caught.value.code == 2

"""What came of a matrix of cells: as JSON, as tables, as a plot. Nothing here measures anything."""

import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.cells import Cell
from benchmarks.cost_model import Prediction, UnitCosts
from benchmarks.measuring import Measurement
from benchmarks.plots import Panel, Series, render, superscript
from benchmarks.tables import Table, seconds, size
from benchmarks.targets import as_table, targets_of
from secagg import Stage

FORMAT = "secagg-bench-matrix-1"

_STAGE_TITLES = ("keys", "shares", "masked input", "consistency", "unmask")


@dataclass(frozen=True)
class Outcome:
    """One cell: measured, or not and why."""

    cell: Cell
    predicted: Prediction
    measured: Measurement | None = None
    skipped: str | None = None
    failed: str | None = None

    def as_json(self) -> dict[str, Any]:
        predicted = self.predicted
        return {
            "cell": self.cell.as_json(),
            "predicted": {"client_s": predicted.client_s, "server_s": predicted.server_s, "wall_s": predicted.wall_s},
            "measured": None if self.measured is None else self.measured.as_json(),
            "skipped": self.skipped,
            "failed": self.failed,
        }


def machine() -> dict[str, Any]:
    """Returns what the figures depend on besides the code."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "numpy": version("numpy"),
        "cryptography": version("cryptography"),
        "secagg": version("secagg"),
        "load_before": load,
    }


def document(outcomes: Sequence[Outcome], costs: UnitCosts, budget_s: float, facts: dict[str, Any]) -> dict[str, Any]:
    """Returns everything, as it goes into the JSON file."""
    return {
        "format": FORMAT,
        "machine": facts,
        "unit_costs": costs.as_json(),
        "budget_s": budget_s,
        "cells": [outcome.as_json() for outcome in outcomes],
    }


def as_tables(outcomes: Sequence[Outcome]) -> list[Table]:
    """Returns the summary, the CPU by stage of clients and of the server, and the targets that apply."""
    measured = [(one.cell, one.measured) for one in outcomes if one.measured is not None]
    tables = [_summary(outcomes), _by_stage("A client's CPU by stage", measured, lambda one: one.client_cpu_s)]
    tables.append(_by_stage("The server's CPU by stage", measured, lambda one: one.server_cpu_s))
    set_for = [target for cell, figures in measured for target in targets_of(cell, figures)]
    table = as_table(set_for)
    return [*tables, table] if table.rows else tables


def plot(outcomes: Sequence[Outcome]) -> str:
    """Returns the plot: cost against d, at one dropout and modulus, for every cohort, graph and model."""
    measured = [(one.cell, one.measured) for one in outcomes if one.measured is not None]
    dropouts = {cell.dropout for cell, _ in measured}
    dropout = 0.1 if 0.1 in dropouts else max(dropouts, default=0.0)
    bits = max((cell.modulus_bits for cell, _ in measured), default=0)
    chosen = [(cell, one) for cell, one in measured if cell.dropout == dropout and cell.modulus_bits == bits]
    title = f"One session: {dropout:.0%} drop out, m = {bits}"
    panels = [
        _panel("a client, CPU", chosen, lambda _, one: one.client_total_s, seconds_tick),
        _panel("the server, CPU", chosen, lambda _, one: one.server_total_s, seconds_tick),
        _panel("a client, bytes up, per byte of packed vector", chosen, _overhead, lambda value: f"{value:g}"),
        _panel("the server, memory", chosen, lambda _, one: one.server_peak_bytes or 0, bytes_tick),
    ]
    return render(title, panels)


def seconds_tick(value: float) -> str:
    return f"{value:g} s" if value >= 1 else f"{value * 1e3:g} ms" if value >= 1e-3 else f"{value * 1e6:g} µs"


def bytes_tick(value: float) -> str:
    return f"{value / 1e9:g} GB" if value >= 1e9 else f"{value / 1e6:g} MB" if value >= 1e6 else f"{value / 1e3:g} kB"


def _overhead(cell: Cell, one: Measurement) -> float:
    return one.up_bytes / max(1, cell.params.packed_vector_bytes)


def _panel(title: str, chosen: Sequence[tuple[Cell, Measurement]], of: Any, tick: Any) -> Panel:
    lines: dict[tuple[str, bool], list[tuple[float, float]]] = {}
    for cell, one in chosen:
        value = of(cell, one)
        if value > 0 and cell.length > 0:
            points = lines.setdefault((f"n = {cell.clients}, {_graph(cell)}, {cell.model}", cell.model == "active"), [])
            points.append((cell.length, value))
    series = [Series(label, points, dashed) for (label, dashed), points in lines.items()]
    return Panel(title, "d, entries of the vector", series, superscript, tick)


def _graph(cell: Cell) -> str:
    return f"k = {cell.params.neighbours}" if cell.params.sparse else "complete"


def _where(cell: Cell) -> tuple[str, ...]:
    return (
        f"{cell.clients}",
        superscript(cell.length) if cell.length else "0",
        f"{cell.dropout:.0%}",
        f"{cell.modulus_bits}",
        cell.model,
        f"{cell.params.neighbours}",
    )


_PLACE = ("n", "d", "drop", "m", "model", "k")


def _summary(outcomes: Sequence[Outcome]) -> Table:
    headings = (
        *_PLACE,
        "client CPU",
        "server CPU",
        "after last message, 1 thread",
        "2 threads",
        "up",
        "down",
        "server memory",
    )
    rows = []
    for outcome in outcomes:
        one, where = outcome.measured, _where(outcome.cell)
        if one is None:
            note = outcome.failed or outcome.skipped or ""
            rows.append((*where, note, *[""] * (len(headings) - len(where) - 1)))
            continue
        walls = [seconds(one.unmask_wall_s[key]) if key in one.unmask_wall_s else "" for key in ("1", "2")]
        peak = "" if one.server_peak_bytes is None else size(one.server_peak_bytes)
        cpu = seconds(one.client_total_s), seconds(one.server_total_s)
        rows.append((*where, *cpu, *walls, size(one.up_bytes), size(one.down_bytes), peak))
    return Table("One session", headings, rows)


def _by_stage(title: str, measured: Sequence[tuple[Cell, Measurement]], of: Any) -> Table:
    rows = [
        (*_where(cell), *(seconds(of(one)[stage]) if stage in of(one) else "" for stage in Stage))
        for cell, one in measured
    ]
    return Table(title, (*_PLACE, *_STAGE_TITLES), rows)


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()

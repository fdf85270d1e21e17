"""One small cell measured for real: servers in processes of their own, every client real."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import matrix
from benchmarks.cells import Cell
from benchmarks.measuring import measure
from benchmarks.server_process import ServerProcess
from secagg import RemoteError, Result

pytestmark = pytest.mark.slow

CELL = Cell(8, 100, 0.25, 12, "active", "complete")


def test_a_cell_is_measured_and_its_sum_is_right():
    one = measure(CELL)
    stages = ["advertise_keys", "share_keys", "masked_input", "consistency", "unmask"]
    assert list(one.client_cpu_s) == list(one.server_cpu_s) == stages
    assert all(value > 0 for value in (*one.client_cpu_s.values(), *one.server_cpu_s.values()))
    assert set(one.unmask_wall_s) == {"1", "2"}
    assert 150 + 7 * 152 < one.up_bytes <= CELL.upload_allowed_bytes
    assert one.repeats >= 1


def test_a_wrong_sum_is_no_figure(monkeypatch: pytest.MonkeyPatch):
    close = ServerProcess.close_stage

    def falsified(server: ServerProcess):
        answered = close(server)
        if answered.result is None:
            return answered
        wrong = Result(answered.result.sum ^ np.uint16(1), answered.result.survivors, {})
        return replace(answered, result=wrong)

    monkeypatch.setattr(ServerProcess, "close_stage", falsified)
    with pytest.raises(AssertionError, match="the sum is wrong"):
        measure(CELL)


def test_what_the_server_refuses_reaches_the_caller():
    with ServerProcess(
        CELL.params, {client: bytes([client + 1]) * 32 for client in range(CELL.clients)}, bytes(16), 1
    ) as server:
        assert server.invitation
        with pytest.raises(RemoteError):
            server.receive(0, b"garbage")


def test_the_command_writes_its_four_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    files = {name: tmp_path / "new" / f"matrix.{name}" for name in ("json", "plot", "table", "text")}
    options = [part for name, path in files.items() for part in (f"--{name}", str(path))]
    small = ["--clients", "4", "--lengths", "10", "--dropouts", "0", "--bits", "8", "--models", "curious"]
    assert matrix.main([*small, *options]) == 0
    assert all(path.stat().st_size for path in files.values())
    assert "client CPU" in capsys.readouterr().out

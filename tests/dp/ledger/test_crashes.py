"""A writer that is killed while it writes: whatever it was told is on the disk is there."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dp.ledger.audit import Verdict, audit
from dp.ledger.records import decode, line_hash
from dp.ledger.writer import Ledger
from tests.kit.ledger_scene import lines_of

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parents[3]

WRITER = """
import sys
from pathlib import Path
from dataclasses import replace
from fractions import Fraction
from dp.ledger.writer import Ledger
from tests.kit.ledger_scene import HEADER, a_round

path = Path(sys.argv[1])
header = replace(HEADER, budget=Fraction(10**6), delta=Fraction(1, 10))
ledger = Ledger.open(path) if path.exists() and path.read_bytes().count(b"\\n") else Ledger.create(path, header)
print(ledger.head.hex(), flush=True)
number = len(ledger.lines_since(bytes(32)))
while True:
    number += 1
    print(ledger.reserve(a_round(number, local_variance=Fraction(10**12))).hex(), flush=True)
    print(ledger.settle(number, 90).hex(), flush=True)
"""


def test_nothing_acknowledged_is_lost_however_a_writer_dies(tmp_path: Path):
    path = tmp_path / "ledger"
    acknowledged: list[bytes] = []
    for life in range(12):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            stdout=subprocess.PIPE,
        )
        assert writer.stdout is not None
        # The first line is the head that it found. It dies a moment after a few more, another moment each time.
        said = [writer.stdout.readline() for _ in range(1 + life)]
        time.sleep(0.0003 * life)
        writer.kill()
        said += writer.stdout.readlines()
        writer.stdout.close()
        writer.wait()
        acknowledged += [bytes.fromhex(line.decode()) for line in said if len(line) == 65]
        heads = [line_hash(line) for line in lines_of(path) if line.endswith(b"\n")]
        assert set(acknowledged) <= set(heads)
        # At most one record was written that nobody was told about.
        assert len(heads) - heads.index(acknowledged[-1]) - 1 <= 1
        report = audit([path], expected_head=acknowledged[-1])
        assert report.verdict is Verdict.FINE
    assert len(set(acknowledged)) >= sum(range(12))


def test_a_killed_writers_lock_is_gone(tmp_path: Path):
    path = tmp_path / "ledger"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
    )
    assert writer.stdout is not None
    writer.stdout.readline()
    writer.kill()
    writer.wait()
    writer.stdout.close()
    with Ledger.open(path) as ledger:
        ledger.finish()
    assert decode(lines_of(path)[-1], 1)[1] == line_hash(lines_of(path)[-2])

"""fl.app.run.checkpoint: all of a training or nothing, whatever the disk does; strict when it is read.

The bytes are written a second time here, from the module's description.
"""

import errno
import hashlib
import json
import os
import stat
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dp.durable import replace_file
from fl.app.run.checkpoint import Checkpoint, write_model
from fl.app.run.journal import RoundRecord
from fl.errors import SchemaMismatchError
from fl.training.optimizers import FedAdam, FedAvg, FedAvgM
from secagg.errors import InvalidInputError, InvalidParameterError, InvalidStateError

MODEL = {"w": np.array([[1.5, -2.0]], np.float32), "n": np.array(-3, np.int16)}
RECORD = RoundRecord(round=2, outcome="released", invited=4, survivors=3, clip=1.25, side_values={"loss": 0.1})


def a_checkpoint(**changes: Any) -> Checkpoint:
    fields: dict[str, Any] = {
        "run": bytes(range(16)),
        "plan_digest": bytes(range(32)),
        "round_number": 2,
        "clip": 0.1,
        "head": bytes(range(32, 64)),
        "model": MODEL,
        "optimizer": FedAvgM().start(MODEL),
        "record": RECORD,
    }
    return Checkpoint(**(fields | changes))


def same(one: Checkpoint, other: Checkpoint) -> bool:
    return one.to_bytes() == other.to_bytes()


def rewritten(checkpoint: Checkpoint, rest: bytes | None = None, **changes: Any) -> bytes:
    """The bytes with other fields in the header, and a checksum that is right."""
    data = checkpoint.to_bytes()
    magic, version, length = struct.unpack_from("<4sBI", data)
    header = json.loads(data[9 : 9 + length]) | changes
    text = json.dumps(header, separators=(",", ":")).encode()
    body = struct.pack("<4sBI", magic, version, len(text)) + text + (data[9 + length : -32] if rest is None else rest)
    return body + hashlib.sha256(body).digest()


def test_the_bytes_are_as_described():
    checkpoint = a_checkpoint()
    data = checkpoint.to_bytes()
    header = (
        '{"run":"000102030405060708090a0b0c0d0e0f","plan":"'
        + bytes(range(32)).hex()
        + '","round":2,"clip":0.1,"head":"'
        f'{bytes(range(32, 64)).hex()}","record":{{"round":2,"outcome":"released","detail":"","invited":4,'
        '"survivors":3,'
        '"clip":1.25,"clipped":null,"side_values":{"loss":0.1},"epsilon":null,"bytes_up":null,"bytes_down":null,"protocol_s":0.0},'
        '"container":"dict","arrays":[["n",[],"int16"],["w",[1,2],"float32"]],"optimizer_bytes":'
        f"{len(checkpoint.optimizer.to_bytes())}}}"
    ).encode()
    body = b"FLCP\x02" + struct.pack("<I", len(header)) + header
    body += struct.pack("<h", -3) + struct.pack("<2f", 1.5, -2.0) + checkpoint.optimizer.to_bytes()
    assert data == body + hashlib.sha256(body).digest()
    assert same(Checkpoint.from_bytes(data), checkpoint)


floats = {"float16": 16, "float32": 32, "float64": 64}
arrays = st.one_of(
    *(
        hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3), elements=elements)
        for dtype, elements in [
            *((name, st.floats(-100, 100, width=width)) for name, width in floats.items()),  # type: ignore[arg-type]
            *((f"{kind}int{bits}", st.integers(0, 100)) for kind in ("", "u") for bits in (8, 16, 32, 64)),
            (">f4", st.floats(-100, 100, width=32)),
        ]
    )
)
models = st.one_of(st.lists(arrays, min_size=1, max_size=3), st.dictionaries(st.text(max_size=3), arrays, min_size=1))


@given(
    model=models,
    adaptive=st.booleans(),
    clip=st.floats(1e-300, 1e300),
    head=st.none() | st.binary(min_size=32, max_size=32),
)
@settings(deadline=None, max_examples=60)
def test_every_model_comes_back_bit_for_bit(model: Any, adaptive: bool, clip: float, head: bytes | None):
    state = (FedAdam() if adaptive else FedAvg()).start(model)
    checkpoint = a_checkpoint(model=model, optimizer=state, clip=clip, head=head)
    restored = Checkpoint.from_bytes(checkpoint.to_bytes())
    assert same(restored, checkpoint)
    assert restored.schema == checkpoint.schema
    assert (restored.clip, restored.head, restored.record) == (clip, head, RECORD)
    names = model if isinstance(model, dict) else range(len(model))
    for name in names:
        assert restored.model[name].tobytes() == model[name].astype(model[name].dtype.newbyteorder("=")).tobytes()
        assert restored.model[name].flags.writeable


@given(data=st.data())
@settings(deadline=None, max_examples=80)
def test_any_damage_is_found(data: st.DataObject):
    whole = a_checkpoint().to_bytes()
    kind = data.draw(st.sampled_from(["flip", "cut", "add"]))
    place = data.draw(st.integers(0, len(whole) - 1))
    if kind == "flip":
        damaged = bytearray(whole)
        damaged[place] ^= data.draw(st.integers(1, 255))
        whole = bytes(damaged)
    elif kind == "cut":
        whole = whole[:place]
    else:
        whole = whole[:place] + b"x" + whole[place:]
    with pytest.raises(InvalidStateError):
        Checkpoint.from_bytes(whole)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"container": "set"}, "no list and no dict"),
        ({"container": "list"}, "bad value"),
        ({"arrays": [["n", [], "int16"], ["w", [1, 3], "float32"]]}, "wrong length"),
        ({"arrays": [["n", [], "int16"], ["w", [2**62], "float32"]]}, "wrong length"),
        ({"arrays": [["n", [-1], "int16"], ["w", [1, 2], "float32"]]}, "bad value"),
        ({"arrays": [["n", [], "object"], ["w", [1, 2], "float32"]]}, "bad value"),
        ({"arrays": [["n", [], "<i2"], ["w", [1, 2], "float32"]]}, "another way"),
        ({"arrays": [["n", [], "nothing"], ["w", [1, 2], "float32"]]}, "bad value"),
        ({"optimizer_bytes": -1}, "wrong length"),
        ({"clip": 0.0}, "bad value: clip"),
        ({"round": 3}, "bad value: record"),
        ({"round": -1}, "bad value"),
        ({"run": "00"}, "bad value: run"),
        ({"run": "xy"}, "bad value"),
        ({"head": "00"}, "bad value: head"),
        ({"more": 1}, "bad value"),
        ({"record": {"round": 2}}, "bad value"),
        ({"clip": 0.1000}, None),
    ],
)
def test_a_right_checksum_makes_no_sense_of_nonsense(changes: dict[str, Any], says: str | None):
    data = rewritten(a_checkpoint(), **changes)
    if says is None:
        assert same(Checkpoint.from_bytes(data), a_checkpoint())
        return
    with pytest.raises(InvalidStateError, match=says):
        Checkpoint.from_bytes(data)


def test_another_form_of_the_same_header_is_refused():
    data = a_checkpoint().to_bytes()
    length = struct.unpack_from("<4sBI", data)[2]
    text = data[9 : 9 + length].replace(b'"round":2,"clip"', b'"round": 2,"clip"')
    body = struct.pack("<4sBI", b"FLCP", 2, len(text)) + text + data[9 + length : -32]
    with pytest.raises(InvalidStateError, match="one form"):
        Checkpoint.from_bytes(body + hashlib.sha256(body).digest())


def test_a_model_that_is_not_finite_is_neither_written_nor_read(tmp_path: Path):
    state = FedAvg().start(MODEL)
    bad = a_checkpoint(model=MODEL | {"w": np.array([[np.nan, 1]], np.float32)}, optimizer=state)
    with pytest.raises(InvalidInputError, match="'w'"):
        bad.save(tmp_path / "checkpoint")
    assert list(tmp_path.iterdir()) == []
    rest = struct.pack("<h", 1) + struct.pack("<2f", np.inf, 1) + state.to_bytes()
    data = rewritten(a_checkpoint(optimizer=state), rest)
    with pytest.raises(InvalidStateError, match="array 'w': it holds NaN or infinity"):
        Checkpoint.from_bytes(data)


def test_another_version_and_other_files_are_told_apart(tmp_path: Path):
    data = a_checkpoint().to_bytes()
    with pytest.raises(InvalidStateError, match="version 3, this library reads 2"):
        Checkpoint.from_bytes(b"FLCP\x03" + data[5:])
    for other in (b"", b"FLOS" + data[4:], bytearray(data)):
        with pytest.raises(InvalidStateError, match="no checkpoint"):
            Checkpoint.from_bytes(other)  # type: ignore[arg-type]
    (tmp_path / "checkpoint").write_bytes(data[:-1])
    with pytest.raises(InvalidStateError, match="checkpoint: the checkpoint is damaged or truncated"):
        Checkpoint.load(tmp_path / "checkpoint")


@pytest.mark.parametrize(
    ("changes", "parameter"),
    [
        ({"run": b"short"}, "run"),
        ({"plan_digest": "0" * 32}, "plan_digest"),
        ({"head": b""}, "head"),
        ({"round_number": True}, "round_number"),
        ({"round_number": 1}, "record"),
        ({"record": None}, "record"),
        ({"clip": 1}, "clip"),
        ({"clip": float("nan")}, "clip"),
        ({"optimizer": FedAvg().start([np.zeros(3)])}, "optimizer"),
        ({"optimizer": None}, "optimizer"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], parameter: str):
    with pytest.raises(InvalidParameterError) as caught:
        a_checkpoint(**changes)
    assert caught.value.parameter == parameter
    with pytest.raises(SchemaMismatchError):
        a_checkpoint(model=[np.array(["text"])])


def test_the_digest_names_the_model():
    one = a_checkpoint()
    assert one.model_digest() == replace(one, clip=0.5).model_digest()
    moved = MODEL | {"n": np.array(-4, np.int16)}
    wider = MODEL | {"n": np.array(-3, np.int32)}
    digests = {a_checkpoint(model=m, optimizer=FedAvg().start(m)).model_digest() for m in (MODEL, moved, wider)}
    assert len(digests) == 3


class Disk:
    """Fails at one of the calls that make a file durable; counts them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fails_at: int) -> None:
        self.calls = 0
        self.fails_at = fails_at
        for name in ("fsync", "replace"):
            monkeypatch.setattr(os, name, self.failing(getattr(os, name)))

    def failing(self, function: Any) -> Any:
        def call(*arguments: Any) -> Any:
            self.calls += 1
            if self.calls == self.fails_at:
                raise OSError(errno.ENOSPC, "no space")
            return function(*arguments)

        return call


def test_a_disk_that_fails_leaves_the_old_checkpoint_or_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "checkpoint"
    old, new = a_checkpoint(), a_checkpoint(clip=0.25)
    for fails_at in (1, 2, 3):
        old.save(path)
        with monkeypatch.context() as patched:
            disk = Disk(patched, fails_at)
            with pytest.raises(OSError, match="no space"):
                new.save(path)
        assert disk.calls == fails_at
        # The file, the name, and the folder: with the last the name is taken, and perhaps not for good.
        assert same(Checkpoint.load(path), new if fails_at == 3 else old)
        new.save(path)
        assert same(Checkpoint.load(path), new)


def test_the_new_content_is_durable_before_it_takes_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path, calls = tmp_path / "file", []
    real = {name: getattr(os, name) for name in ("fsync", "replace")}

    def fsync(descriptor: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        calls.append((kind, os.fstat(descriptor).st_size if kind == "file" else path.exists()))
        real["fsync"](descriptor)

    def rename(old: Any, new: Any) -> None:
        calls.append(("replace", Path(old).read_bytes() == b"ab" * 5000))
        real["replace"](old, new)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", rename)
    replace_file(path, [b"ab" * 2500] * 2)
    assert calls == [("file", 10000), ("replace", True), ("folder", True)]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("model", [MODEL, [np.arange(3.0), np.array([[1]], np.uint8)]], ids=["dict", "list"])
def test_the_model_is_there_for_other_programs(tmp_path: Path, model: Any):
    model = model | {"file": np.zeros(1), "a/b": np.ones(2)} if isinstance(model, dict) else model
    write_model(tmp_path / "model.npz", model)
    named = model if isinstance(model, dict) else {f"arr_{place}": array for place, array in enumerate(model)}
    with np.load(tmp_path / "model.npz", allow_pickle=False) as loaded:
        assert set(loaded.files) == set(named)
        for name, array in named.items():
            np.testing.assert_array_equal(loaded[name], array, strict=True)

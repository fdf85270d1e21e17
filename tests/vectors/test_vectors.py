"""The known answers, reproduced by the package and, independently, by tests/reference."""

import json
from pathlib import Path
from types import ModuleType

import pytest

from secagg.messages import decode, decode_invitation
from tests.vectors import by_package, by_reference, make
from tests.vectors.forms import Json, Refused, words

HERE = Path(__file__).parent
ALGORITHMS = tuple(make.FILES)
FILES = {algorithm: json.loads((HERE / f"{algorithm}.json").read_text()) for algorithm in ALGORITHMS}
VECTORS = [vector for file in FILES.values() for vector in file["vectors"]]


@pytest.mark.parametrize("implementation", [by_package, by_reference], ids=["package", "reference"])
@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_the_vector_is_reproduced(vector: Json, implementation: ModuleType):
    operation = implementation.OPERATIONS[vector["operation"]]
    if vector["result"] == "invalid":
        with pytest.raises(Refused):
            operation(vector["inputs"])
    else:
        assert operation(vector["inputs"]) == vector["outputs"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_file_is_what_make_writes(algorithm: str):
    written = (HERE / f"{algorithm}.json").read_text()
    # Not one comparison: the difference of two long texts takes pytest minutes to show.
    same = written == make.render(algorithm)
    assert same, f"{algorithm}.json is not what `make vectors` writes: bytes have changed"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_file_keeps_to_its_schema(algorithm: str):
    file = FILES[algorithm]
    assert set(file) == {"format", "algorithm", "encoding", "notes", "vectors"}
    assert file["format"] == 1
    flags = set()
    for vector in file["vectors"]:
        assert vector["result"] in {"valid", "invalid"}
        expected = {"id", "comment", "result", "flags", "operation", "inputs"}
        assert set(vector) == expected | ({"outputs"} if vector["result"] == "valid" else set())
        assert vector["result"] == "valid" or vector["flags"], vector["id"]
        flags.update(vector["flags"])
    assert flags == set(file["notes"])


def test_every_id_is_used_once():
    assert len({vector["id"] for vector in VECTORS}) == len(VECTORS)


def test_sums_of_sessions_are_sums_of_their_survivors_inputs():
    sums = [vector for vector in FILES["session"]["vectors"] if vector["result"] == "valid"]
    assert len(sums) >= 10
    for vector in sums:
        inputs, outputs = vector["inputs"], vector["outputs"]
        rows = [words(client["vector"]) for client in inputs["clients"] if client["id"] in outputs["survivors"]]
        modulus = 2 ** inputs["params"]["modulus_bits"]
        assert words(outputs["sum"]) == [sum(column) % modulus for column in zip(*rows, strict=True)]


def test_sessions_show_every_type_of_message_but_abort_and_every_stage_of_dropout():
    seen, left, configurations = set(), set(), set()
    for vector in FILES["session"]["vectors"]:
        if vector["result"] == "invalid":
            continue
        messages = [bytes.fromhex(message["bytes"]) for message in vector["outputs"]["messages"]]
        params, session_id = decode_invitation(messages[0])
        seen |= {type(decode(message, 0, params, session_id)).kind for message in messages}
        left |= set(vector["inputs"]["dropouts"])
        configurations.add((params.suite, params.adversary))
    assert seen == set(range(1, 11))
    assert left == {"advertise_keys", "share_keys", "masked_input", "consistency", "unmask"}
    assert len(configurations) == 4

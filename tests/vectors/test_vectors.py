"""The known answers, reproduced by the package and, independently, by tests/reference."""

import json
from pathlib import Path
from types import ModuleType

import pytest

from secagg.protocol.wire import decode, decode_invitation
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
        with pytest.raises(Refused) as refused:
            operation(vector["inputs"])
        if "refused" in vector:
            assert refused.value.args == (vector["refused"],)
    else:
        assert operation(vector["inputs"]) == vector["outputs"]


@pytest.mark.slow
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
        expected |= {"outputs"} if vector["result"] == "valid" else set()
        assert set(vector) == expected | ({"refused"} if "LyingServer" in vector["flags"] else set())
        assert vector["result"] == "valid" or vector["flags"], vector["id"]
        flags.update(vector["flags"])
    assert flags == set(file["notes"])


LIES = [vector for vector in FILES["session"]["vectors"] if "LyingServer" in vector["flags"]]


@pytest.mark.slow
@pytest.mark.parametrize("implementation", [by_package, by_reference], ids=["package", "reference"])
def test_what_is_refused_of_a_lying_server_is_its_lie(implementation: ModuleType):
    """Without the one message that is replaced, the same session gives a sum."""
    assert len(LIES) >= 25
    honest = {json.dumps(vector["inputs"] | {"damage": []}): vector["inputs"] for vector in LIES}
    assert len(honest) < 8
    for inputs in honest.values():
        outputs = implementation.session(inputs | {"damage": []})
        assert outputs["sum"]
        sent = {message["bytes"] for message in outputs["messages"]}
        lies = [
            vector["inputs"]["damage"]
            for vector in LIES
            if vector["inputs"] | {"damage": []} == inputs | {"damage": []}
        ]
        for (change,) in lies:
            assert change["direction"] == "server->client"
            assert change["bytes"] not in sent


def test_certificates_hold_up_to_a_bit_and_no_further():
    vectors = [vector for vector in FILES["graph"]["vectors"] if vector["operation"] == "certificate"]
    assert {vector["inputs"]["adversary"] for vector in vectors} == {1, 2}
    for vector in vectors:
        assert all(vector["outputs"].values()) == ("NotCertified" not in vector["flags"])


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
        seen |= {type(decode(message, 0, params, session_id=session_id)).kind for message in messages}
        left |= set(vector["inputs"]["dropouts"])
        configurations.add((params.suite, params.adversary, params.sparse))
    assert seen == set(range(1, 11))
    assert left == {"advertise_keys", "share_keys", "masked_input", "consistency", "unmask"}
    assert len(configurations) == 8

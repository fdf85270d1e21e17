"""fl.arrays.partial: what is shared, what stays private, and filters that fail closed."""

import hashlib
import pickle
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl import fedavg
from fl.arrays.partial import NORM_LAYERS, SharedPart
from fl.arrays.schema import ArraySchema
from fl.codecs.weighted_mean import WeightedMean
from fl.errors import SchemaMismatchError
from secagg.errors import InvalidParameterError
from secagg.simulate import simulate

NETWORK = {
    "conv1.weight": np.ones((2, 3), np.float32),
    "layer1.bn1.weight": np.full(3, 2.0, np.float32),
    "layer1.bn1.bias": np.full(3, 3.0, np.float32),
    "layer1.bn1.running_mean": np.full(3, 4.0),
    "layer1.bn1.num_batches_tracked": np.array(5, np.int64),
    "head.norm.weight": np.full(2, 6.0),
    "head.weight": np.full((3, 2), 7.0),
    "subnet.weight": np.full(2, 8.0),
}
SCHEMA = ArraySchema.of(NETWORK)
NORMS = {name for name in NETWORK if ".bn1." in name or ".norm." in name}
LIST = [np.zeros(1), np.ones((2, 2), np.float32), np.array([2, 2], np.int8)]


def test_split_and_join_are_inverse_and_copy_nothing():
    part = SharedPart.all_but(SCHEMA, ["head.*"])
    shared, private = part.split(NETWORK)
    assert isinstance(shared, dict)
    assert isinstance(private, dict)
    assert private.keys() == {"head.norm.weight", "head.weight"}
    assert shared.keys() == NETWORK.keys() - private.keys()
    joined = part.join(shared, private)
    assert isinstance(joined, dict)
    assert all(joined[name] is NETWORK[name] for name in NETWORK)
    assert (ArraySchema.of(shared), ArraySchema.of(private)) == (part.shared_schema, part.private_schema)


@given(st.lists(st.booleans(), min_size=2, max_size=6).filter(lambda flags: 0 < sum(flags) < len(flags)), st.booleans())
@settings(deadline=None)
def test_any_choice_splits_and_joins(flags: list[bool], named: bool):
    arrays = [np.full(index, index, np.float32) for index in range(len(flags))]
    model: Any = {chr(97 + index): array for index, array in enumerate(arrays)} if named else arrays
    keys = list(model) if named else range(len(arrays))
    chosen = [key for key, flag in zip(keys, flags, strict=True) if flag]
    part = SharedPart.of_names(ArraySchema.of(model), reversed(chosen))
    shared, private = part.split(model)
    assert (len(shared), len(private)) == (len(chosen), len(flags) - len(chosen))
    assert list(part.shared) == chosen
    assert list(part.private) == [key for key in keys if key not in chosen]
    joined = part.join(shared, private)
    assert type(joined) is type(model)
    assert [joined[key] is model[key] for key in keys] == [True] * len(flags)


def test_every_way_of_saying_it_gives_one_filter():
    names = ["conv1.weight", "head.weight", "subnet.weight"]
    filters = [
        SharedPart(SCHEMA, tuple(names)),
        SharedPart.of_names(SCHEMA, reversed(names)),
        SharedPart.matching(SCHEMA, ["conv?.*", "head.weight", "sub*"]),
        SharedPart.all_but(SCHEMA, ("layer1.bn1.*", "*.norm.*")),
        SharedPart.where(SCHEMA, lambda entry: str(entry.name) not in NORMS),
        SharedPart.fed_bn(SCHEMA, ["*.bn*", "*norm*"]),
    ]
    assert len(set(filters)) == 1
    assert len({part.digest for part in filters}) == 1
    assert pickle.loads(pickle.dumps(filters[0])) == filters[0]


def test_a_predicate_sees_shape_and_dtype():
    part = SharedPart.where(SCHEMA, lambda entry: entry.dtype.kind == "f" and len(entry.shape) == 2)
    assert part.shared == ("conv1.weight", "head.weight")


def test_the_digest_is_the_documented_one():
    part = SharedPart.of_names(ArraySchema.of(LIST), [2, 0])
    encoded = b"fl shared part 1" + ArraySchema.of(LIST).digest + struct.pack("<Q", 3) + bytes([1, 0, 1])
    assert part.digest == hashlib.sha256(encoded).digest()


def test_other_filters_and_other_schemas_have_other_digests():
    digests = [
        SharedPart.of_names(schema, names).digest
        for schema in (ArraySchema.of(LIST), ArraySchema.of([*LIST[:2], np.zeros(2)]))
        for names in ([0], [1], [0, 1], [1, 2])
    ]
    assert len(set(digests)) == len(digests)


def test_only_the_shared_part_is_masked_and_the_private_one_stays_different():
    part = SharedPart.fed_bn(SCHEMA, ["*.bn*", "*norm*"])
    codec = WeightedMean(fedavg.delta_schema(part.shared_schema), clip=4.0, modulus_bits=40, clients=4, weight_cap=1)
    assert codec.schema.size == 6 + 6 + 2
    rng = np.random.default_rng(2)
    clients = {
        client: {
            name: np.asarray(array + rng.normal(0, 0.3, array.shape)).astype(array.dtype)
            for name, array in NETWORK.items()
        }
        for client in range(4)
    }
    start, _ = part.split(NETWORK)
    deltas = {client: fedavg.client_delta(start, part.split(model)[0]) for client, model in clients.items()}
    params = codec.session_params(user=part.digest)
    outcome = simulate({client: codec.encode(delta, 1) for client, delta in deltas.items()}, params)
    mean, _ = codec.decode(outcome.sum, 4)
    new_shared = fedavg.apply(start, mean)
    for model in clients.values():
        joined = part.join(new_shared, part.split(model)[1])
        assert isinstance(joined, dict)
        for name in NETWORK:
            everyone = np.mean([np.asarray(other[name], np.float64) for other in clients.values()], axis=0)
            if name in NORMS:
                assert joined[name] is model[name]
            else:
                assert joined[name] == pytest.approx(everyone, abs=1e-6)
    assert params != codec.session_params(user=SharedPart.all_but(SCHEMA, ["head.*"]).digest)


def test_private_values_are_never_looked_at():
    part = SharedPart.all_but(SCHEMA, ["head.*"])
    model = NETWORK | {"head.weight": np.full((3, 2), np.nan)}
    shared, private = part.split(model)
    assert np.isnan(part.join(shared, private)["head.weight"]).all()  # type: ignore[call-overload]


@pytest.mark.parametrize("make", [SharedPart.matching, SharedPart.all_but, SharedPart.fed_bn])
@pytest.mark.parametrize(
    ("patterns", "offered"),
    [
        (["haed.*"], "haed.*"),
        (["head.*", "*.Bn1.*"], "*.Bn1.*"),
        (["head"], "head"),
        ([""], ""),
        ([], []),
        ("head.*", "str"),
        (b"*", "bytes"),
        (7, "int"),
        ([7], "int"),
        ([None], "NoneType"),
    ],
)
def test_a_pattern_that_matches_nothing_is_an_error(make: Any, patterns: Any, offered: Any):
    with pytest.raises(InvalidParameterError) as caught:
        make(SCHEMA, patterns)
    assert (caught.value.parameter, caught.value.offered) == ("patterns", offered)


@pytest.mark.parametrize("make", [SharedPart.matching, SharedPart.all_but])
def test_a_filter_that_leaves_a_part_empty_is_an_error(make: Any):
    with pytest.raises(InvalidParameterError, match=r"nothing to aggregate|keeps nothing private"):
        make(SCHEMA, ["*"])
    with pytest.raises(InvalidParameterError, match="keeps nothing private"):
        SharedPart.of_names(SCHEMA, NETWORK)
    for answer in (True, False):
        with pytest.raises(InvalidParameterError, match="shared"):
            SharedPart.where(SCHEMA, lambda _, answer=answer: answer)


@pytest.mark.parametrize("statistic", ["running_mean", "running_var", "num_batches_tracked", "moving_variance:0"])
def test_fed_bn_refuses_to_share_the_statistics_of_a_layer_that_the_patterns_miss(statistic: str):
    model = NETWORK | {"downsample.1.weight": np.zeros(2), f"downsample.1.{statistic}": np.zeros(2)}
    with pytest.raises(InvalidParameterError, match="name its layer") as caught:
        SharedPart.fed_bn(ArraySchema.of(model), ["*.bn*", "*norm*"])
    assert caught.value.offered == [f"downsample.1.{statistic}"]
    part = SharedPart.fed_bn(ArraySchema.of(model), ["*.bn*", "*norm*", "downsample.1.*"])
    assert set(part.private) == NORMS | {"downsample.1.weight", f"downsample.1.{statistic}"}


@pytest.mark.parametrize(
    "name", ["bn1.weight", "layer1.0.bn2.bias", "conv_bn/beta", "batch_normalization_1/gamma", "BatchNorm_0/scale"]
)
def test_the_suggested_patterns_know_the_usual_names(name: str):
    schema = ArraySchema.of({name: np.zeros(1), "subnet.weight": np.zeros(1)})
    matching = []
    for pattern in NORM_LAYERS:
        try:
            matching.append(SharedPart.fed_bn(schema, [pattern]).private)
        except InvalidParameterError:
            continue
    assert matching
    assert set(matching) == {(name,)}


@pytest.mark.parametrize(
    ("names", "offered"),
    [
        (["head.weight", "nobody"], "nobody"),
        (["head.weight", "head.weight"], "head.weight"),
        ([0], 0),
        ([["head.weight"]], ["head.weight"]),
        ([], []),
        ("head.weight", "str"),
        (None, "NoneType"),
    ],
)
def test_names_must_exist_once(names: Any, offered: Any):
    with pytest.raises(InvalidParameterError) as caught:
        SharedPart.of_names(SCHEMA, names)
    assert (caught.value.parameter, caught.value.offered) == ("names", offered)


@pytest.mark.parametrize("shared", [("2", "0"), (True,), (3,), (-1,), (1.0,), (1, 0), (0, 0), (), (0, 1, 2), [0]])
def test_a_filter_of_a_list_takes_its_indices_in_order(shared: Any):
    with pytest.raises(InvalidParameterError) as caught:
        SharedPart(ArraySchema.of(LIST), shared)
    assert caught.value.parameter == "shared"


def test_a_list_has_no_names_to_match():
    for make in (SharedPart.matching, SharedPart.all_but, SharedPart.fed_bn):
        with pytest.raises(InvalidParameterError, match="of_names"):
            make(ArraySchema.of(LIST), ["0"])


@pytest.mark.parametrize("answer", [None, 1, "yes", np.True_])
def test_a_predicate_must_answer_with_a_bool(answer: Any):
    with pytest.raises(InvalidParameterError, match="is_shared"):
        SharedPart.where(SCHEMA, lambda _: answer)


def test_a_schema_is_needed():
    for make in (
        lambda: SharedPart(NETWORK, ("head.weight",)),  # type: ignore[arg-type]
        lambda: SharedPart.of_names(NETWORK, ["head.weight"]),  # type: ignore[arg-type]
        lambda: SharedPart.all_but(NETWORK, ["head.*"]),  # type: ignore[arg-type]
        lambda: SharedPart.where(NETWORK, lambda _: True),  # type: ignore[arg-type]
    ):
        with pytest.raises(InvalidParameterError, match="schema"):
            make()


def test_models_and_parts_of_another_schema_are_refused():
    part = SharedPart.all_but(SCHEMA, ["head.*"])
    shared, private = part.split(NETWORK)
    with pytest.raises(SchemaMismatchError):
        part.split(private)
    with pytest.raises(SchemaMismatchError, match="shared part"):
        part.join(private, shared)
    with pytest.raises(SchemaMismatchError, match="private part, shape"):
        part.join(shared, private | {"head.weight": np.zeros(1)})  # type: ignore[operator]

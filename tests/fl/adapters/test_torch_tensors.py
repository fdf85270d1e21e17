"""A PyTorch model's tensors are averaged as they are, bfloat16 among them, and come back as they were."""

import sys
from typing import Any

import numpy as np
import pytest

import fl
from fl.errors import MissingExtraError, SchemaMismatchError


def test_without_torch_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "fl.adapters.torch_tensors", raising=False)
    with pytest.raises(MissingExtraError) as refused:
        __import__("fl.adapters.torch_tensors")
    assert refused.value.extra == "torch"


@pytest.fixture
def torch() -> Any:
    pytest.importorskip("ml_dtypes")
    return pytest.importorskip("torch")


def tensors(torch: Any) -> dict[str, Any]:
    every = torch.arange(2**16, dtype=torch.int32).to(torch.int16).view(torch.bfloat16)
    return {
        "half": every[torch.isfinite(every)].reshape(2, -1),
        "single": torch.tensor([1.5, -2.0], requires_grad=True),
        "transposed": torch.arange(6.0).reshape(2, 3).T,
        "count": torch.tensor(40),
    }


def test_they_come_back_as_they_were(torch: Any):
    from fl.adapters import arrays_of_tensors, tensors_of_arrays

    given = tensors(torch)
    arrays = arrays_of_tensors(given)
    assert {name: (array.dtype.name, array.shape) for name, array in arrays.items()} == {
        "half": ("bfloat16", tuple(given["half"].shape)),
        "single": ("float32", (2,)),
        "transposed": ("float32", (3, 2)),
        "count": ("int64", ()),
    }
    schema = fl.ArraySchema.of(arrays)
    back = tensors_of_arrays(fl.restore(fl.flatten(arrays, schema), schema), given)
    for name, tensor in given.items():
        assert back[name].dtype == tensor.dtype
        assert torch.equal(back[name], tensor.detach())
    arrays["single"][0] = 7
    assert given["single"].tolist() == [1.5, -2.0]


def test_what_cannot_be_averaged_is_refused_by_name(torch: Any):
    from fl.adapters import arrays_of_tensors, tensors_of_arrays

    refused = [torch.zeros(2, dtype=torch.complex64), torch.zeros(2, dtype=torch.bool), [1.0], torch.eye(2).to_sparse()]
    for value in refused:
        with pytest.raises(SchemaMismatchError, match="'x'"):
            arrays_of_tensors({"x": value})
    with pytest.raises(SchemaMismatchError, match="shape"):
        tensors_of_arrays({"x": np.zeros(3, np.float32)}, {"x": torch.zeros(2)})

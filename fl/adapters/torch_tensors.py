"""PyTorch's tensors as arrays and back: a model's `state_dict()`, bfloat16 too, every value exact.

numpy has no bfloat16, so `Tensor.numpy()` refuses it. Here such a tensor becomes an array of the bfloat16 of
`ml_dtypes`, which the schema, the codecs and the plans take as it is.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fl.arrays import Arrays, ArraySchema
from fl.arrays.bfloat16 import bfloat16, is_bfloat16, widened
from fl.errors import MissingExtraError, SchemaMismatchError

try:
    import torch
except ImportError as error:
    raise MissingExtraError("torch", "torch") from error

__all__ = ["arrays_of_tensors", "tensors_of_arrays"]


def arrays_of_tensors(tensors: Mapping[str, "torch.Tensor"]) -> dict[str, npt.NDArray[Any]]:
    """Returns copies of the tensors as arrays, by the same names.

    Args:
        tensors: such as `model.state_dict()`: dense, on any device.

    Raises:
        SchemaMismatchError: a value is no dense tensor, or its dtype cannot be averaged. The array is named.
        MissingExtraError: a tensor is of bfloat16, and `ml_dtypes` is not installed.
    """
    arrays = {name: _array(name, tensor) for name, tensor in tensors.items()}
    # Refused by name here, and not where they are summed.
    ArraySchema.of(arrays)
    return arrays


def tensors_of_arrays(arrays: Arrays, like: Mapping[str, "torch.Tensor"]) -> dict[str, "torch.Tensor"]:
    """Returns the arrays as tensors, for `model.load_state_dict()`.

    Args:
        arrays: a dict with the names and shapes of `like`, such as the next global model.
        like: the tensors whose dtypes and devices the new ones get.

    Raises:
        SchemaMismatchError: names, shapes or dtypes are not those of `like`.
    """
    schema = ArraySchema.of(arrays_of_tensors(like))
    named = zip((str(entry.name) for entry in schema.entries), schema.check(arrays), strict=True)
    return {name: _tensor(array).to(dtype=like[name].dtype, device=like[name].device) for name, array in named}


def _array(name: str, tensor: "torch.Tensor") -> npt.NDArray[Any]:
    if not isinstance(tensor, torch.Tensor) or tensor.layout != torch.strided:
        raise SchemaMismatchError(f"array {name!r}", f"a {type(tensor).__name__}", "a dense torch.Tensor")
    here = tensor.detach().cpu()
    if here.dtype == torch.bfloat16:
        # Exact both ways: a bfloat16 is the upper half of a float32.
        words: npt.NDArray[np.uint32] = here.float().numpy().view(np.uint32) >> np.uint32(16)
        return words.astype(np.uint16).view(bfloat16())
    try:
        return np.array(here.resolve_conj().resolve_neg().numpy())
    except (TypeError, RuntimeError):
        raise SchemaMismatchError(f"dtype of array {name!r}", str(here.dtype), "floats or integers") from None


def _tensor(array: npt.NDArray[Any]) -> "torch.Tensor":
    return torch.from_numpy(widened(array) if is_bfloat16(array.dtype) else np.array(array))

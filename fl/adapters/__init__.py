"""From other libraries' values to the arrays that this one averages, and back. Each adapter needs its own extra.

`arrays_of_tensors` and `tensors_of_arrays` are for PyTorch (the extra `torch`).
"""

from typing import TYPE_CHECKING

from fl.lazy import loader

if TYPE_CHECKING:
    from fl.adapters.torch_tensors import arrays_of_tensors, tensors_of_arrays

__all__ = ["arrays_of_tensors", "tensors_of_arrays"]

__getattr__ = loader(__name__, {"arrays_of_tensors": "torch_tensors", "tensors_of_arrays": "torch_tensors"})

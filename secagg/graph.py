"""Who shares and masks with whom. Version 1 has the complete graph (Bonawitz et al. 2017).

The states ask a graph and never assume one: k-regular graphs (Bell et al. 2020) take this class's
place with the same two questions.
"""

import numpy as np
import numpy.typing as npt


class CompleteGraph:
    """Every client is a neighbour of every other one."""

    __slots__ = ("_size",)

    def __init__(self, size: int) -> None:
        self._size = size

    def neighbours(self, index: int) -> npt.NDArray[np.intp]:
        """Returns the roster indices of N(index), ascending; never index itself."""
        everyone = np.arange(self._size)
        return np.delete(everyone, index)

    def members_present(self, present: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
        """Returns for each client how many of its neighbours are present.

        Args:
            present: bool, shape (size,).

        Returns:
            Counts, shape (size,).
        """
        return np.count_nonzero(present) - present.astype(np.intp)

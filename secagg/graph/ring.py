"""Who shares and masks with whom: a ring in an order that nobody chose (Harary graph; Bell et al. 2020, section 3).

Each client's neighbours are the k/2 ahead of it on the ring and the k/2 behind it. The complete graph
(Bonawitz et al. 2017) is k = size - 1.
"""

from functools import cached_property

import numpy as np
import numpy.typing as npt

from secagg.primitives.prg import Suite, keystream

Counts = npt.NDArray[np.intp]

_RANK_WORDS = 2
"""128 bits of keystream rank each client: that two are equal, which would bias the order, has odds below 2**-89."""


class Graph:
    """A k-regular graph over roster indices 0 to size - 1, symmetric, without loops.

    Args:
        size: clients, at least 2.
        neighbours: k, even or size - 1.
        seed: 32 bytes that fix the order on the ring.
        suite: whose keystream the seed is expanded with.
    """

    __slots__ = ("__dict__", "_ahead", "_behind", "_seed", "_size", "_suite")

    def __init__(self, size: int, *, neighbours: int, seed: bytes, suite: Suite) -> None:
        self._size = size
        # The same numbers wherever k is even; and in the complete graph of an even size everyone once.
        self._ahead = (neighbours + 1) // 2
        self._behind = neighbours // 2
        self._seed = seed
        self._suite = suite

    @property
    def complete(self) -> bool:
        """Whether everyone is everyone's neighbour."""
        return self._ahead + self._behind == self._size - 1

    def neighbours(self, index: int) -> Counts:
        """Returns the roster indices of N(index), ascending; never index itself."""
        return np.sort(self._ring[(self._position[index] + self._offsets) % self._size])

    @cached_property
    def table(self) -> npt.NDArray[np.int32]:
        """Everyone's neighbours: row u is `neighbours(u)`, shape (size, k)."""
        places = (self._position[:, np.newaxis] + self._offsets) % self._size
        table: npt.NDArray[np.int32] = self._ring[places].astype(np.int32)
        table.sort(axis=1)
        return table

    @cached_property
    def places(self) -> npt.NDArray[np.int32]:
        """Where everyone stands with its neighbours: `table[v, places[u, i]] == u` for v = `table[u, i]`.

        Shape (size, k).
        """
        # Read row by row, the table lists the pairs (u, v) by u and then v. Sorted by v and then u they are the
        # pairs (v, u) in the same order, for the graph is symmetric: the rank of each is its place in row v.
        pairs: npt.NDArray[np.int32] = np.empty(self.table.size, np.int32)
        pairs[np.argsort(self.table, axis=None, kind="stable")] = np.arange(self.table.size, dtype=np.int32)
        np.remainder(pairs, self.table.shape[1], out=pairs)
        return pairs.reshape(self.table.shape)

    def members_present(self, present: npt.NDArray[np.bool_]) -> Counts:
        """Returns for each client how many of its neighbours are present.

        Args:
            present: bool, shape (size,).

        Returns:
            Counts, shape (size,).
        """
        on_ring = present[self._ring]
        # running[i] is how many of the first i places are present, the ring repeated once on either side.
        running = np.concatenate(([0], np.cumsum(np.tile(on_ring, 3))))
        here = np.arange(self._size) + self._size
        counts = running[here + self._ahead + 1] - running[here - self._behind] - on_ring
        return counts[self._position]

    @cached_property
    def _offsets(self) -> Counts:
        return np.concatenate((np.arange(1, self._ahead + 1), -np.arange(1, self._behind + 1)))

    @cached_property
    def _ring(self) -> Counts:
        """Roster indices in ring order."""
        size = 8 * _RANK_WORDS * self._size
        ranks = np.frombuffer(keystream(self._suite, self._seed, length=size, offset=0), "<u8").reshape(
            self._size, _RANK_WORDS
        )
        return np.lexsort(ranks.T)

    @cached_property
    def _position(self) -> Counts:
        """Each client's place on the ring."""
        position = np.empty(self._size, np.intp)
        position[self._ring] = np.arange(self._size)
        return position

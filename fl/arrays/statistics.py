"""Arrays of a model that are no weights: counters and running statistics, of which a clip makes nonsense.

A counter of batches moves by forty where a weight moves by a hundredth: within one clip norm it takes all the room.
So an array is averaged with the weights only if somebody said so by its name.
"""

from collections.abc import Collection
from typing import Final

from fl.arrays.schema import ArraySchema
from fl.errors import UndeclaredArraysError

__all__ = ["RUNNING_STATISTICS", "check_declared", "is_running_statistic", "undeclared"]

RUNNING_STATISTICS: Final = ("running_mean", "running_var", "num_batches_tracked", "moving_mean", "moving_variance")
"""What batch normalisation calls its statistics in PyTorch and in Keras."""


def is_running_statistic(name: str | int) -> bool:
    """Returns whether an array is called as a running statistic is."""
    return any(statistic in str(name) for statistic in RUNNING_STATISTICS)


def undeclared(schema: ArraySchema, averaged: Collection[str | int] = ()) -> tuple[str | int, ...]:
    """Returns the arrays that are integers or called as running statistics are, and are not declared.

    Args:
        schema: of the models or of their differences.
        averaged: the names of those that are averaged with the weights on purpose.
    """
    return tuple(
        entry.name
        for entry in schema.entries
        if entry.name not in averaged and (not entry.is_float or is_running_statistic(entry.name))
    )


def check_declared(schema: ArraySchema, averaged: Collection[str | int] = ()) -> None:
    """Refuses a schema with such arrays.

    Raises:
        UndeclaredArraysError: with their names.
    """
    found = undeclared(schema, averaged)
    if found:
        raise UndeclaredArraysError(found)

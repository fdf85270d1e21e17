"""Federated learning on top of secure aggregation: from a model's arrays to masked words and back."""

from fl import fedavg
from fl.arrays.flatten import flatten, restore
from fl.arrays.schema import ArraySchema, ArraySpec
from fl.client_ids import ClientIds, ClientName, client_id
from fl.codecs.integer_sum import IntegerSum
from fl.codecs.quantize import Quantizer
from fl.codecs.weighted_mean import WeightedMean
from fl.digits import load_digits
from fl.errors import (
    ClientIdCollisionError,
    GridTooCoarseError,
    MissingExtraError,
    ModulusTooSmallError,
    NoMeanError,
    OverflowError_,
    RangeTooWideError,
    SchemaMismatchError,
    UndeclaredArraysError,
)
from fl.parallel import thread_pool

__all__ = [
    "ArraySchema",
    "ArraySpec",
    "ClientIdCollisionError",
    "ClientIds",
    "ClientName",
    "GridTooCoarseError",
    "IntegerSum",
    "MissingExtraError",
    "ModulusTooSmallError",
    "NoMeanError",
    "OverflowError_",
    "Quantizer",
    "RangeTooWideError",
    "SchemaMismatchError",
    "UndeclaredArraysError",
    "WeightedMean",
    "client_id",
    "fedavg",
    "flatten",
    "load_digits",
    "restore",
    "thread_pool",
]

"""Federated learning on top of secure aggregation: from a model's arrays to masked words and back."""

from fl import fedavg
from fl.arrays.flatten import flatten, restore
from fl.arrays.schema import ArraySchema, ArraySpec
from fl.client_ids import ClientIds, ClientName, client_id
from fl.codecs.quantize import Quantizer
from fl.codecs.weighted_mean import WeightedMean
from fl.digits import load_digits
from fl.errors import (
    ClientIdCollisionError,
    GridTooCoarseError,
    MissingExtraError,
    ModulusTooSmallError,
    OverflowError_,
    SchemaMismatchError,
)
from fl.parallel import thread_pool

__all__ = [
    "ArraySchema",
    "ArraySpec",
    "ClientIdCollisionError",
    "ClientIds",
    "ClientName",
    "GridTooCoarseError",
    "MissingExtraError",
    "ModulusTooSmallError",
    "OverflowError_",
    "Quantizer",
    "SchemaMismatchError",
    "WeightedMean",
    "client_id",
    "fedavg",
    "flatten",
    "load_digits",
    "restore",
    "thread_pool",
]

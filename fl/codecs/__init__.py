"""From a vector of floats to the words that a session sums, and from the sum back to a mean.

`WeightedMean` is the usual way, from arrays to words and back; `Quantizer` is its grid. `IntegerSum` is for exact sums
of integers, `ValueSums` for losses and counts. The rest saves bytes. None of all this adds noise:

* `LowBit`: one to eight bits a coordinate, after a `Rotation` (Suresh et al. 2017, "Distributed Mean Estimation with
  Limited Communication").
* `RandomK`: only k coordinates, the same random ones for everybody (Konecny et al. 2016, "Federated Learning:
  Strategies for Improving Communication Efficiency").
* `ErrorFeedback`: what the two leave out of one round is added to the next (Karimireddy et al. 2019, "Error Feedback
  Fixes SignSGD and other Gradient Compression Schemes").

`docs/training.md` has an example of each, and says when not to use it.
"""

from typing import TYPE_CHECKING

from fl.codecs.integer_sum import IntegerSum
from fl.codecs.quantize import Quantizer
from fl.codecs.weighted_mean import WeightedMean
from fl.lazy import loader

if TYPE_CHECKING:
    from fl.codecs.error_feedback import ErrorFeedback
    from fl.codecs.low_bit import LowBit, best_range_factor, expected_squared_error, unbiased_range_factor
    from fl.codecs.rotation import Rotation, RotationBuffers, padded
    from fl.codecs.sparsify import PositionsLeakError, RandomK, sparsifier
    from fl.codecs.value_sums import ValueSums

__all__ = [
    "ErrorFeedback",
    "IntegerSum",
    "LowBit",
    "PositionsLeakError",
    "Quantizer",
    "RandomK",
    "Rotation",
    "RotationBuffers",
    "ValueSums",
    "WeightedMean",
    "best_range_factor",
    "expected_squared_error",
    "padded",
    "sparsifier",
    "unbiased_range_factor",
]

__getattr__ = loader(
    __name__,
    {
        "ErrorFeedback": "error_feedback",
        "LowBit": "low_bit",
        "PositionsLeakError": "sparsify",
        "RandomK": "sparsify",
        "Rotation": "rotation",
        "RotationBuffers": "rotation",
        "ValueSums": "value_sums",
        "best_range_factor": "low_bit",
        "expected_squared_error": "low_bit",
        "padded": "rotation",
        "sparsifier": "sparsify",
        "unbiased_range_factor": "low_bit",
    },
)

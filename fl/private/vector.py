"""One client's update on its way to the integers that it masks, and the sum of them on its way back.

What is done to whom, in the order of `fl.private.plan`: `PrivateVector.encode` on the client, `PrivateVector.decode` on
the server. Both know the session's context, which fixes the rotation.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from dp import SKELLAM, Unit, discrete_gaussian, skellam
from dp import clip as clip_to
from dp.mechanisms import round_within
from fl.arrays.flatten import flatten
from fl.arrays.schema import Arrays
from fl.checks import is_integer
from fl.codecs.rotation import Rotation, RotationBuffers
from fl.errors import SchemaMismatchError
from fl.float_events import ignoring
from fl.private.contribution import Contribution
from fl.private.plan import PrivatePlan
from fl.private.private_sum import PrivateSum
from fl.private.side_values import WEIGHT, read_side_values, scaled_side_values
from secagg import InvalidInputError
from secagg.primitives import word_dtype

__all__ = ["PrivateVector"]

_ROTATION: Final = b"fl private rotation 1"

_LARGEST_SINGLE: Final = 2.0**22
"""Coordinates in steps of the lattice up to here keep a quarter of a step in float32."""

_SINGLE_CLIPS: Final = (2.0**-60, 2.0**60)
"""Clip norms from which no coordinate that matters leaves the range of float32."""


class PrivateVector:
    """The two directions, for one round of a plan.

    Args:
        plan: the training's.
        context: the session's, 32 bytes.
        clip: the round's clip norm.
        buffers: the memory of an earlier round's rotation; None makes new ones.
    """

    def __init__(
        self,
        plan: PrivatePlan,
        context: bytes,
        clip: float,
        buffers: RotationBuffers[np.float32] | RotationBuffers[np.float64] | None = None,
    ) -> None:
        self._plan = plan
        self._clip = clip
        self._seed = hashlib.sha256(_ROTATION + context).digest()
        self._buffers = buffers

    def encode_contribution(self, contribution: Contribution) -> npt.NDArray[Any]:
        """Returns the words that a client masks: those of its update, or of its examples.

        Args:
            contribution: with an update or with examples; see `encode` and `encode_examples`.

        Raises:
            SchemaMismatchError, InvalidInputError: as `encode` and `encode_examples`, or the contribution has neither
                an update nor examples, or both, or a weight or side values beside examples.
        """
        update, examples = contribution.update, contribution.examples
        if update is not None and examples is None:
            return self.encode(update, contribution.weight, contribution.side_values)
        if examples is None or update is not None:
            allowed = "one of the two: wants_input is true"
            raise InvalidInputError("update", "not given, or given with examples", allowed)
        if contribution.weight != 1 or contribution.side_values:
            raise InvalidInputError("weight", "given with examples, or side values are", "left out with examples")
        return self.encode_examples(examples)

    @ignoring("under")
    def encode(
        self, update: Arrays, weight: int = 1, side_values: Mapping[str, float] | None = None
    ) -> npt.NDArray[Any]:
        """Returns the words that a client masks: its update, clipped, rounded and with its share of the noise.

        Args:
            update: arrays as the schema says, finite.
            weight: 0 to `weight_cap`, an int.
            side_values: one number for each declared side value but the weight, by name.

        Returns:
            `plan.vector_length` words, each below 2**modulus_bits.

        Raises:
            SchemaMismatchError: the arrays do not fit.
            InvalidInputError: the weight or a side value is refused, or an entry is not finite.

        Guarantees:
            What one client adds to the sum before its noise has a squared L2 norm of at most B2, whatever it hands in.
        """
        plan = self._plan
        if plan.noise.unit is Unit.EXAMPLE:
            raise InvalidInputError("update", "one update", "the updates of single examples: see encode_examples")
        sides = self._side_values(weight, side_values)
        flat = _finite(flatten(update, plan.schema))
        clipped = clip_to(flat, self._clip)
        rotated = self._rotated(clipped.vector * (weight / plan.weight_cap), sides)
        words = np.empty(plan.vector_length, np.int64)
        words[: len(rotated)] = self._rounded(rotated)
        adaptive = plan.adaptive_at(self._clip)
        if adaptive is not None:
            words[-1] = adaptive.bit(clipped.norm)
        return self._noisy(words)

    @ignoring("under")
    def encode_examples(self, updates: Sequence[Arrays] | npt.NDArray[np.float64]) -> npt.NDArray[Any]:
        """Returns the words of a client whose single examples are protected: each is clipped and rounded on its own.

        Args:
            updates: one for each example, such as its gradient; or float64 of shape (examples, schema.size). There may
                be none.

        Returns:
            As `encode`.

        Raises:
            SchemaMismatchError: the arrays do not fit.
            InvalidInputError: there are more than `examples_per_client`, or an entry is not finite.

        Guarantees:
            What one example adds to the sum has a squared L2 norm of at most B2.
        """
        plan = self._plan
        if plan.noise.unit is not Unit.EXAMPLE:
            raise InvalidInputError("updates", "those of examples", "one update: this plan protects whole clients")
        if not isinstance(updates, Sequence) and not (isinstance(updates, np.ndarray) and updates.ndim == 2):
            raise InvalidInputError("updates", f"a {type(updates).__name__}", "a sequence or an array of two axes")
        if len(updates) > plan.noise.vectors_per_client:
            raise InvalidInputError("updates", "too many examples", f"at most {plan.noise.vectors_per_client}")
        words = np.zeros(plan.vector_length, np.int64)
        for update in updates:
            if isinstance(update, np.ndarray):
                if update.dtype != np.float64 or update.shape != (plan.schema.size,):
                    offered, expected = f"{update.dtype} {update.shape}", f"float64 ({plan.schema.size},)"
                    raise SchemaMismatchError("updates", offered, expected)
                flat = _finite(update)
            else:
                flat = _finite(flatten(update, plan.schema))
            rotated = self._rotated(clip_to(flat, self._clip).vector, np.empty(0))
            words += self._rounded(rotated)
        return self._noisy(words)

    @ignoring("under")
    def decode(self, total: npt.NDArray[Any], survivors: int) -> PrivateSum:
        """Returns what the sum of the clients' words says.

        Args:
            total: the session's sum, shape (vector_length,), unsigned words below 2**modulus_bits.
            survivors: whose words are in it.

        Raises:
            InvalidInputError: `total` is no such sum.
        """
        plan, bits = self._plan, self._plan.noise.modulus_bits
        if not isinstance(total, np.ndarray) or total.shape != (plan.vector_length,) or total.dtype != word_dtype(bits):
            raise InvalidInputError("total", "of another type or shape", f"{word_dtype(bits)} ({plan.vector_length},)")
        if int(total.max()) >> bits:
            raise InvalidInputError("total", "it holds a word that is too large", f"below 2**{bits}")
        if type(survivors) is not int or not 1 <= survivors <= plan.clients:
            raise InvalidInputError("survivors", "no number of clients", f"an int from 1 to {plan.clients}")
        centred = _centred(total, bits)
        rotated = centred[: plan.noise.padded_dimension] / plan.scale(self._clip)
        rotation = Rotation(plan.noise.dimension, self._seed, np.float64)
        flat = rotation.inverse(rotated)
        size = plan.schema.size
        return PrivateSum(
            plan=plan,
            survivors=survivors,
            clip=self._clip,
            update=flat[:size],
            side_values=read_side_values(plan.side_values, flat[size:], self._clip, survivors),
            clip_bits=None if plan.adaptive is None else int(centred[-1]),
        )

    def _side_values(self, weight: int, values: Mapping[str, float] | None) -> npt.NDArray[np.float64]:
        plan = self._plan
        if not is_integer(weight) or not 0 <= weight <= plan.weight_cap:
            raise InvalidInputError("weight", "no int in the plan's range", f"an int from 0 to {plan.weight_cap}")
        if not isinstance(values, Mapping | None):
            raise InvalidInputError("side_values", f"a {type(values).__name__}", "a mapping of names to numbers")
        given = dict(values or {})
        if WEIGHT in given:
            raise InvalidInputError("side_values", f"{WEIGHT!r} is among them", "the weight as an argument of its own")
        if plan.weight_cap > 1:
            given[WEIGHT] = float(weight)
        return scaled_side_values(plan.side_values, given, self._clip)

    def _rotated(self, update: npt.NDArray[np.float64], sides: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
        """Returns the rotated vector, no longer than the joint norm."""
        plan = self._plan
        vector = np.concatenate((update, sides)) if len(sides) else update
        joint = plan.joint_clip(self._clip)
        dtype: type[np.float32 | np.float64] = np.float64
        if plan.noise.scaled_clip <= _LARGEST_SINGLE and _SINGLE_CLIPS[0] <= joint <= _SINGLE_CLIPS[1]:
            dtype = np.float32
        rotation: Rotation[Any] = Rotation(plan.noise.dimension, self._seed, dtype, self._buffers)
        self._buffers = rotation.buffers
        # The rotation rounds, so its result may be longer than what went in by a hair.
        rotated = rotation.forward(vector.astype(dtype, copy=False))
        return clip_to(rotated, joint).vector

    def _rounded(self, rotated: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        return round_within(rotated, self._plan.scale(self._clip), self._plan.noise.squared_norm_bound)

    def _noisy(self, words: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Adds this client's share of the noise, and reduces to the modulus."""
        noise = self._plan.noise
        draw = skellam if noise.mechanism == SKELLAM else discrete_gaussian
        words[: noise.padded_dimension] += draw(noise.local_variance, noise.padded_dimension)
        if noise.clip_bit_variance is not None:
            words[-1:] += draw(noise.clip_bit_variance, 1)
        if noise.modulus_bits < 64:
            words &= (1 << noise.modulus_bits) - 1
        return words.view(np.uint64).astype(word_dtype(noise.modulus_bits), copy=False)


def _centred(total: npt.NDArray[Any], bits: int) -> npt.NDArray[np.int64]:
    """Returns the representatives from -2**(bits-1) to 2**(bits-1) - 1."""
    signed = total.astype(np.uint64).view(np.int64)
    if bits < 64:
        signed <<= 64 - bits
        signed >>= 64 - bits
    return signed


def _finite(vector: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    # A sum of finite numbers may be infinite; minimum and maximum are not, and NaN shows in both.
    if len(vector) and not (np.isfinite(vector.min()) and np.isfinite(vector.max())):
        raise InvalidInputError("update", "it holds NaN or infinity", "finite: a training that diverged has no update")
    return vector

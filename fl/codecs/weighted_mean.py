"""The weighted mean of the clients' models, from arrays to the words that a session sums and back.

A client masks what `WeightedMean.encode` returns; the server hands the session's sum to
`WeightedMean.decode`. Both build the same `WeightedMean`, and `application` binds it into the session,
so that a client whose settings differ cannot take part by mistake.
"""

import struct
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fl.arrays.flatten import flatten, restore
from fl.arrays.schema import Arrays, ArraySchema, NamedArrays
from fl.arrays.statistics import is_running_statistic
from fl.checks import check_names
from fl.codecs.own_clips import ClipsByName, OwnClips
from fl.codecs.quantize import Quantizer
from fl.codecs.session_terms import application_of, session_of
from fl.errors import UndeclaredArraysError
from fl.float_events import ignoring
from secagg import AdversaryModel, Certificate, InvalidInputError, InvalidParameterError, SessionParams, Suite
from secagg.primitives import word_dtype

__all__ = ["WeightedMean"]

_LABEL: Final = b"fl weighted mean 1"
_SETTINGS: Final = struct.Struct("<dBQQ")


@dataclass(frozen=True, slots=True)
class WeightedMean:
    """A weighted mean over one cohort: the arrays' schema and the grid they are rounded to.

    Args:
        schema: what every client's arrays look like.
        clip: largest magnitude of an entry; larger ones are clipped, see `clipped_count`.
        modulus_bits: m of the session.
        clients: the most clients in one sum: the session's cohort size.
        weight_cap: the largest weight of a client, such as the most training examples that count.
        averaged: the names of running statistics, as of batch normalisation, that are averaged on purpose. Their
            entries are clipped as all others are.
        clips: by name, the largest magnitude of an entry of arrays that are clipped on their own, as of counters and
            running statistics. Their grid is as fine, relative to that.

    Raises:
        UndeclaredArraysError: the schema has running statistics that are not named: leave them out, or name them.
        InvalidParameterError: a parameter is out of its range, or a name is no array's.
        ModulusTooSmallError: the modulus is too small for the number of clients.
        GridTooCoarseError: it is too small for the weights: the usual error of a mean of clients of weight 1 would
            exceed the clip.

    Security:
        The server learns the mean and the sum of the weights of the survivors, and no single weight. A
        lying client is bounded only by the modulus: its words are masked, so nobody can check them.
    """

    schema: ArraySchema
    clip: float
    modulus_bits: int
    clients: int
    weight_cap: int
    averaged: tuple[str | int, ...] = ()
    clips: ClipsByName = ()
    own_clips: OwnClips = field(init=False, repr=False, compare=False)
    quantizer: Quantizer = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.schema, ArraySchema):
            raise InvalidParameterError("schema", type(self.schema).__name__, "an ArraySchema: see ArraySchema.of")
        object.__setattr__(self, "averaged", check_names("averaged", self.averaged))
        quantizer = Quantizer(self.clip, self.modulus_bits, self.clients, self.weight_cap)
        own = OwnClips.of(self.clips, self.schema, clip=quantizer.clip)
        object.__setattr__(self, "own_clips", own)
        object.__setattr__(
            self, "clips", tuple((self.schema.entries[place].name, clip) for place, *_, clip in own.parts)
        )
        declared = {*self.averaged, *dict(self.clips)}
        missed = tuple(
            entry.name
            for entry in self.schema.entries
            if is_running_statistic(entry.name) and entry.name not in declared
        )
        if missed:
            raise UndeclaredArraysError(missed)
        quantizer.check_fineness()
        object.__setattr__(self, "quantizer", quantizer)
        for name in ("clip", "modulus_bits", "clients", "weight_cap"):
            object.__setattr__(self, name, getattr(quantizer, name))

    @property
    def vector_length(self) -> int:
        """Words in a client's vector: `SessionParams.vector_length`."""
        return self.schema.size + self.quantizer.weight_digits

    def application(self, user: bytes = b"") -> bytes:
        """Returns bytes for `SessionParams.application` that bind the schema and the grid.

        Args:
            user: what else the parties must agree on, appended as it is; at most 205 bytes.

        Returns:
            A label, a SHA-256 digest of all settings, and `user`: at most 255 bytes.
        """
        settings = _SETTINGS.pack(self.clip, self.modulus_bits, self.clients, self.weight_cap)
        own = self.own_clips.encode()
        # All parts but the last have a fixed length, so their concatenation is unambiguous.
        return application_of(label=_LABEL, settings=self.schema.digest + settings + own, user=user)

    def session_params(
        self,
        *,
        certificate: Certificate | None = None,
        adversary: AdversaryModel | None = None,
        suite: Suite = Suite.AES_128_CTR,
        min_survivors: int = 0,
        round_number: int = 0,
        user: bytes = b"",
    ) -> SessionParams:
        """Returns the parameters of a session that sums what `encode` returns.

        Cohort, vector length, modulus and application all come from this codec: a session with another
        modulus would sum the same words and wrap around unseen.

        Args:
            certificate: graph and threshold, as `secagg.choose` found them for `clients`; None is the complete
                graph with its default threshold.
            adversary: the model that the session defends against; None is the certificate's, or ACTIVE.
            suite: the mask generator.
            min_survivors: the fewest clients whose mean is ever released.
            round_number: the training round.
            user: as in `application`.

        Raises:
            InvalidParameterError: the certificate is for another cohort or another model, or does not hold.
        """
        return session_of(
            vector_length=self.vector_length,
            modulus_bits=self.modulus_bits,
            clients=self.clients,
            application=self.application(user),
            certificate=certificate,
            adversary=adversary,
            suite=suite,
            min_survivors=min_survivors,
            round_number=round_number,
        )

    def clipped_count(self, arrays: Arrays) -> int:
        """Returns how many entries `encode` would clip: a large share means that `clip` is too small."""
        vector = flatten(arrays, self.schema)
        return sum(int(np.count_nonzero(np.abs(part) > clip)) for part, clip in self.own_clips.split(vector))

    def error_bound(self, survivors: int, *, total_weight: int) -> float:
        """Returns what no entry of the mean (of clipped arrays) is ever off by: a `tolerance` for what is made of it.

        Args:
            survivors: S, the clients in the sum.
            total_weight: the sum of their weights.

        Raises:
            InvalidParameterError: a number is out of its range.
        """
        return self.quantizer.error_bound(survivors, total_weight) * self.own_clips.widest

    @ignoring("under")
    def encode(self, arrays: Arrays, weight: int) -> npt.NDArray[Any]:
        """Returns the words that a client masks.

        Args:
            arrays: what `schema` describes, finite.
            weight: 0 to `weight_cap`.

        Returns:
            `vector_length` words, each below 2**modulus_bits, in the smallest unsigned dtype for them.

        Raises:
            SchemaMismatchError: the arrays do not fit the schema.
            InvalidInputError: the weight is refused, or an entry is not finite or no exact float64.
        """
        vector = flatten(arrays, self.schema)
        self.own_clips.bring_to_one(vector)
        return self.quantizer.encode(vector, weight)

    @ignoring("under")
    def decode(self, total: npt.NDArray[Any], survivors: int) -> tuple[NamedArrays, int]:
        """Returns the weighted mean in the clients' own container, and the total weight.

        Args:
            total: the session's sum, `vector_length` unsigned words.
            survivors: how many clients it sums.

        Returns:
            The mean, in the schema's shapes and dtypes (integers rounded half to even), and the sum of
            the weights. Each entry is within `error_bound(survivors, total_weight=...)` of the mean of the
            clipped arrays, before that last conversion.

        Raises:
            InvalidParameterError: `survivors` is not from 1 to `clients`.
            InvalidInputError: `total` is no such sum, its total weight is 0, or a mean lies out of its dtype's range by
                more than the grid explains.
        """
        if isinstance(total, np.ndarray) and total.shape != (self.vector_length,):
            raise InvalidInputError("total", f"it has shape {total.shape}", f"of shape ({self.vector_length},)")
        if isinstance(total, np.ndarray) and total.dtype != word_dtype(self.modulus_bits):
            raise InvalidInputError(
                "total",
                f"its words are {total.dtype}",
                f"the {word_dtype(self.modulus_bits)} of a session modulo 2**{self.modulus_bits}: see session_params",
            )
        mean, total_weight = self.quantizer.decode(total, survivors)
        self.own_clips.bring_back(mean)
        # The mean of values in range is in range. What the grid adds to it is not more than the bound.
        tolerance = self.error_bound(survivors, total_weight=total_weight)
        return restore(mean, self.schema, tolerance=tolerance), total_weight

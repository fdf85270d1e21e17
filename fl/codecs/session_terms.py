"""The parameters of a session that sums what a codec encodes: all that would go wrong unseen comes from the codec."""

import hashlib
from typing import Final

from secagg import AdversaryModel, Certificate, InvalidParameterError, SessionParams, Suite

__all__ = ["application_of", "session_of"]

_MAX_APPLICATION_BYTES: Final = 255


def application_of(*, label: bytes, settings: bytes, user: bytes) -> bytes:
    """Returns the bytes that bind a codec into a session: its label, the SHA-256 of label and settings, and `user`.

    Args:
        label: of the codec.
        settings: all of them, unambiguous.
        user: what else the parties must agree on, appended as it is.

    Raises:
        InvalidParameterError: `user` is no bytes, or too long: all together has at most 255 bytes.
    """
    room = _MAX_APPLICATION_BYTES - len(label) - hashlib.sha256().digest_size
    if type(user) is not bytes or len(user) > room:
        raise InvalidParameterError("user", type(user).__name__, f"bytes, at most {room} of them")
    return label + hashlib.sha256(label + settings).digest() + user


def session_of(
    *,
    vector_length: int,
    modulus_bits: int,
    clients: int,
    application: bytes,
    certificate: Certificate | None,
    adversary: AdversaryModel | None,
    suite: Suite,
    min_survivors: int,
    round_number: int,
) -> SessionParams:
    """Returns the parameters; the arguments are explained by `fl.WeightedMean.session_params`.

    Raises:
        InvalidParameterError: the certificate is for another cohort or another model, or does not hold.
    """
    if certificate is None:
        return SessionParams.for_cohort(
            cohort_size=clients,
            vector_length=vector_length,
            modulus_bits=modulus_bits,
            adversary=AdversaryModel.ACTIVE if adversary is None else adversary,
            suite=suite,
            min_survivors=min_survivors,
            round_number=round_number,
            application=application,
        )
    if not isinstance(certificate, Certificate):
        raise InvalidParameterError("certificate", type(certificate).__name__, "a Certificate: see secagg.choose")
    if certificate.clients != clients:
        raise InvalidParameterError("certificate", f"for {certificate.clients} clients", f"for {clients}")
    if adversary not in {None, certificate.adversary}:
        raise InvalidParameterError("adversary", adversary, f"{certificate.adversary.name}, the certificate's")
    return certificate.session_params(
        vector_length=vector_length,
        modulus_bits=modulus_bits,
        suite=suite,
        min_survivors=min_survivors,
        round_number=round_number,
        application=application,
    )

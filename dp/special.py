"""Scipy's special functions, for every module of the package that needs them; they come with the extra `dp`."""

from dp.errors import MissingExtraError

try:
    from scipy import special
except ModuleNotFoundError as error:  # pragma: no cover - run in a fresh process by the tests
    raise MissingExtraError("dp", "scipy") from error

__all__ = ["special"]

"""From a host's names for its clients to the protocol's ids, and back.

The protocol knows a client by an integer from 0 to 2**64 - 1. Hosts know it by a string, a UUID, a node id or a number
of numpy's. `client_id` maps each of them by a rule that every party can compute alone. `ClientIds` keeps both
directions for one set of clients, and refuses two names with one id.

The rule:

* an integer from 0 to 2**64 - 1 is its own id;
* a negative integer from -2**63 on is the node id of 64 signed bits that it looks like: 2**64 is added;
* a string or a UUID gets the first 8 bytes, big-endian, of a SHA-256. Hashed are `secagg client name`, a zero byte,
  `str` or `uuid`, a zero byte, and the string's UTF-8 or the UUID's 16 bytes. Strings are taken as they are: neither
  case nor Unicode form is changed.

Two of n hashed names have one id with a probability below n**2 / 2**65: 3e-8 for a million. Somebody who may choose
many names can find such a pair with effort. Neither goes unnoticed where `ClientIds` is asked.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Final, TypeAlias
from uuid import UUID

import numpy as np

from fl.checks import is_integer
from fl.errors import ClientIdCollisionError
from secagg import ClientId, InvalidParameterError

__all__ = ["ClientIds", "ClientName", "client_id"]

ClientName: TypeAlias = str | UUID | int | np.integer
"""What a host may call a client."""

_LOWEST_SIGNED: Final = -(2**63)
_IDS: Final = 2**64
_DOMAIN: Final = b"secagg client name\0"
_ALLOWED: Final = "a string, a UUID, or an integer from -2**63 to 2**64 - 1"


def client_id(name: ClientName) -> ClientId:
    """Returns the id of a name, always the same.

    Raises:
        InvalidParameterError: it is no such name. A bool is none, nor is an empty string or one with lone surrogates.
    """
    if isinstance(name, np.integer) and is_integer(name):
        name = int(name)
    if type(name) is int and _LOWEST_SIGNED <= name < _IDS:
        return name % _IDS
    if isinstance(name, UUID):
        return _hashed(b"uuid", name.bytes)
    if isinstance(name, str) and name:
        try:
            return _hashed(b"str", name.encode())
        except UnicodeEncodeError:
            pass
    raise InvalidParameterError("client", name, _ALLOWED)


def _hashed(kind: bytes, content: bytes) -> ClientId:
    return int.from_bytes(hashlib.sha256(_DOMAIN + kind + b"\0" + content).digest()[:8], "big")


class ClientIds(Mapping[ClientName, ClientId]):
    """The ids of one set of clients, by name, in the order given.

    Args:
        names: each client's name; all are known from the beginning, so that a stranger's is a `KeyError`.

    Raises:
        InvalidParameterError: one is no name.
        ClientIdCollisionError: two have one id, or one comes twice.
    """

    __slots__ = ("_ids", "_names")

    def __init__(self, names: Iterable[ClientName]) -> None:
        self._names: dict[ClientId, ClientName] = {}
        for name in _listed(names):
            client = client_id(name)
            known = int(name) if isinstance(name, np.integer) else name
            if client in self._names:
                raise ClientIdCollisionError(client, repr(self._names[client]), repr(known))
            self._names[client] = known
        self._ids = {name: client for client, name in self._names.items()}

    def __repr__(self) -> str:
        return f"<ClientIds of {len(self)} clients>"

    def __getitem__(self, name: ClientName) -> ClientId:
        return self._ids[name]

    def __iter__(self) -> Iterator[ClientName]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)

    def name_of(self, client: ClientId) -> ClientName:
        """Returns the name of an id, as it was given; a number of numpy's as Python's.

        Raises:
            KeyError: no client has it.
        """
        return self._names[client]


def _listed(names: Iterable[ClientName]) -> list[ClientName]:
    # A text is an iterable of its letters.
    if not isinstance(names, str | bytes):
        with suppress(TypeError, ValueError):
            return list(names)
    raise InvalidParameterError("clients", type(names).__name__, "the clients' names, in a list")

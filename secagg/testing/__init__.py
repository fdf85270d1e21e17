"""Property-based testing of the protocol, for this library and for those who embed it (extra: `testing`)."""

from secagg.testing.machine import ProtocolMachine
from secagg.testing.strategies import answering, session_params, vectors
from secagg.testing.view import ServerView

__all__ = ["ProtocolMachine", "ServerView", "answering", "session_params", "vectors"]

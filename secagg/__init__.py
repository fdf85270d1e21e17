"""Secure aggregation: a server learns the sum of many clients' vectors and nothing else."""

from secagg.client.session import ClientSession
from secagg.errors import (
    SERVER,
    AuthenticationError,
    ClientId,
    Culprit,
    InconsistentServerError,
    InvalidInputError,
    InvalidParameterError,
    InvalidShareError,
    InvalidStateError,
    LocalError,
    MalformedMessageError,
    PolicyViolationError,
    RemoteError,
    SecAggError,
    StateSpentError,
    TaskResultError,
    TooFewClientsError,
    UnexpectedMessageError,
)
from secagg.graph.choosing import Bound, Certificate, certify, choose
from secagg.params import AdversaryModel, SessionParams
from secagg.policy import ClientPolicy
from secagg.primitives.prg import Suite
from secagg.primitives.signing import Identity
from secagg.protocol.messages import AbortCode
from secagg.protocol.transcript import NO_MODEL
from secagg.server import Fault, Result
from secagg.server.session import ServerSession
from secagg.simulate import SimulationResult, Traffic, simulate

__all__ = [
    "NO_MODEL",
    "SERVER",
    "AbortCode",
    "AdversaryModel",
    "AuthenticationError",
    "Bound",
    "Certificate",
    "ClientId",
    "ClientPolicy",
    "ClientSession",
    "Culprit",
    "Fault",
    "Identity",
    "InconsistentServerError",
    "InvalidInputError",
    "InvalidParameterError",
    "InvalidShareError",
    "InvalidStateError",
    "LocalError",
    "MalformedMessageError",
    "PolicyViolationError",
    "RemoteError",
    "Result",
    "SecAggError",
    "ServerSession",
    "SessionParams",
    "SimulationResult",
    "StateSpentError",
    "Suite",
    "TaskResultError",
    "TooFewClientsError",
    "Traffic",
    "UnexpectedMessageError",
    "certify",
    "choose",
    "simulate",
]

"""Secure aggregation: a server learns the sum of many clients' vectors and nothing else."""

from secagg.checks import check_client_id
from secagg.client.advertising_keys import check_identity
from secagg.client.invitation import read_invitation
from secagg.client.session import ClientSession
from secagg.errors import (
    SERVER,
    AuthenticationError,
    ClientId,
    Culprit,
    ForeignProcessError,
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
    StrayMessageError,
    TaskResultError,
    TooFewClientsError,
    UnexpectedMessageError,
)
from secagg.graph import Bound, Certificate, certify, choose
from secagg.params import MAX_COHORT_SIZE, AdversaryModel, SessionParams, default_threshold, smallest_threshold
from secagg.policy import ClientPolicy
from secagg.primitives.prg import Suite
from secagg.primitives.signing import Identity
from secagg.protocol.messages import AbortCode
from secagg.protocol.transcript import NO_MODEL
from secagg.server import Fault, Result
from secagg.server.session import ServerSession
from secagg.simulate import SimulationResult, Traffic, simulate
from secagg.stages import Stage

__all__ = [
    "MAX_COHORT_SIZE",
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
    "ForeignProcessError",
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
    "Stage",
    "StateSpentError",
    "StrayMessageError",
    "Suite",
    "TaskResultError",
    "TooFewClientsError",
    "Traffic",
    "UnexpectedMessageError",
    "certify",
    "check_client_id",
    "check_identity",
    "choose",
    "default_threshold",
    "read_invitation",
    "simulate",
    "smallest_threshold",
]

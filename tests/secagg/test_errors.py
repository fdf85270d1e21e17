"""Errors carry facts as fields, survive pickling between processes, and say who is at fault."""

import copy
import inspect
import pickle

import pytest

from secagg import errors
from secagg.errors import (
    SERVER,
    AuthenticationError,
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
from secagg.stages import Stage

EXAMPLES: dict[SecAggError, str] = {
    InvalidParameterError("threshold", 3, "at least 4"): "threshold = 3 is refused: it must be at least 4",
    InvalidInputError("vector", "none was given", "a vector"): "vector",
    InvalidStateError("the snapshot is damaged"): "the snapshot is damaged",
    StateSpentError("the session"): "the session",
    ForeignProcessError("the session", 3, 4): "the session belongs to process 3, and this is process 4",
    TaskResultError("3 words", "4 words"): "the executor returned 3 words for a task whose result is 4 words",
    MalformedMessageError(7, "short"): "malformed message from client 7: short",
    UnexpectedMessageError(SERVER, "Abort", "KeyRoster"): "the server: received Abort, expected KeyRoster",
    AuthenticationError(SERVER, "a key"): "authentication failed for the server: a key",
    InvalidShareError(7, "responder", 8, "mask key"): "client 7 returned a share of client 8's mask key",
    InvalidShareError(7, "dealer", 7, "mask key"): "client 7 dealt shares of its mask key that do not rebuild it",
    InconsistentServerError("survivors", "nobody"): "the server broke the rule 'survivors': nobody",
    PolicyViolationError("suite", 1, 2): "suite",
    StrayMessageError(7, "of another session"): "stray message from client 7: of another session",
    StrayMessageError(SERVER, "early"): "stray message from the server: early",
    TooFewClientsError(Stage.UNMASK, 7, 4, 3): "unmask",
}

each = pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)


def test_every_error_has_an_example():
    bases = {SecAggError, LocalError, RemoteError}
    known = {one for one in vars(errors).values() if inspect.isclass(one) and issubclass(one, SecAggError)}
    assert known - bases == {type(error) for error in EXAMPLES}


@each
def test_its_text_says_what_happened(error: SecAggError):
    assert EXAMPLES[error] in str(error)


@each
def test_pickle_and_copy_keep_every_field(error: SecAggError):
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is type(error)
        assert again.args == error.args
        assert vars(again) == vars(error)
        assert str(again) == str(error)


@each
def test_its_class_says_whose_fault_it_is(error: SecAggError):
    assert isinstance(error, RemoteError) == hasattr(error, "culprit")
    assert not isinstance(error, RemoteError) or not isinstance(error, LocalError)


def test_the_server_is_one_object_in_every_process():
    assert pickle.loads(pickle.dumps(SERVER)) is SERVER
    assert repr(SERVER) == str(SERVER) == "SERVER"
    assert InconsistentServerError("rule", "detail").culprit is SERVER
    assert PolicyViolationError("rule", 1, 2).culprit is SERVER


class Unshowable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    "value",
    [10**5000, [10**5000], {"a": -(10**5000)}, "x" * 10**6, list(range(10**5)), Unshowable()],
    ids=["int", "list", "dict", "str", "long", "unshowable"],
)
def test_every_value_can_be_shown_and_no_text_is_long(value: object):
    for error in (InvalidParameterError("p", value, "small"), PolicyViolationError("p", value, value)):
        assert len(str(error)) < 2500
        assert "small" in str(error) or "refuses p" in str(error)


def test_a_stray_message_is_nobodys_fault():
    error = StrayMessageError(7, "of another session")
    assert not isinstance(error, RemoteError | LocalError)
    assert (error.sender, error.reason) == (7, "of another session")

"""The error of a run that changes nothing."""

import pickle
from pathlib import Path

from fl.app.run.errors import RunRefusedError
from secagg import LocalError


def test_it_names_the_path_and_survives_pickling():
    error = pickle.loads(pickle.dumps(RunRefusedError(Path("run"), "it holds something else")))
    assert isinstance(error, LocalError)
    assert (error.path, error.reason) == (Path("run"), "it holds something else")
    assert str(error) == "run: it holds something else"

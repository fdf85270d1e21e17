"""fl.digits: the data set that comes with the package."""

import hashlib
from pathlib import Path

import numpy as np

import fl
from fl.digits import load_digits


def test_the_file_is_the_published_one():
    data = Path(fl.__file__).parent / "data"
    digest = hashlib.sha256((data / "digits.csv.gz").read_bytes()).hexdigest()
    assert digest == "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"
    assert digest in (data / "LICENSE-digits.txt").read_text(encoding="utf-8")


def test_features_and_labels_are_as_published():
    features, labels = load_digits()
    assert (features.shape, features.dtype.name) == ((1797, 64), "float64")
    assert (labels.shape, labels.dtype.name) == ((1797,), "int64")
    assert (features.min(), features.max()) == (0.0, 1.0)
    # The counts that the data set's own description lists for this set.
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert (features[0, :8] * 16).tolist() == [0, 0, 5, 13, 9, 1, 0, 0]
    assert labels[:10].tolist() == list(range(10))
    assert labels.flags.owndata

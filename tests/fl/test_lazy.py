"""fl.lazy: a door's late names are its listed ones, they are the real things, and `import fl` does not load them."""

import subprocess
import sys

import pytest

import fl.arrays
import fl.codecs
import fl.codecs.rotation
import fl.training
from fl.lazy import loader


@pytest.mark.parametrize("door", [fl.arrays, fl.codecs, fl.training], ids=lambda door: door.__name__)
def test_every_listed_name_is_there(door: object) -> None:
    for name in door.__all__:  # type: ignore[attr-defined]
        assert getattr(door, name) is not None


def test_a_late_name_is_the_one_of_its_module() -> None:
    assert fl.codecs.Rotation is fl.codecs.rotation.Rotation


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"module 'fl\.codecs' has no attribute 'TopK'"):
        fl.codecs.TopK  # noqa: B018 -- it is asked for, no more
    with pytest.raises(AttributeError, match="'there' has no attribute"):
        loader("there", {})("anything")


def test_the_package_alone_loads_no_late_module_no_dp_and_no_scipy() -> None:
    program = "import sys, fl; print(sorted(m for m in sys.modules if m.split('.')[0] in {'fl', 'dp', 'scipy'}))"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    for late in ("fl.arrays.partial", "fl.codecs.rotation", "fl.codecs.low_bit", "fl.training", "'dp'", "scipy"):
        assert late not in loaded
    assert "fl.codecs.quantize" in loaded

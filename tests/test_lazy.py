"""The packages that load a name when it is first asked for."""

import subprocess
import sys
from importlib import import_module

import pytest

import stn_ref
import stn_ref.oracle
import stn_ref.plots

PACKAGES = pytest.mark.parametrize("package", (stn_ref, stn_ref.oracle), ids=lambda p: p.__name__)


@PACKAGES
def test_every_name_is_the_one_that_its_module_defines(package):
    for name in package.__all__:
        value = getattr(package, name)
        assert value.__name__ == name and value.__module__.startswith(package.__name__)
        assert getattr(import_module(value.__module__), name) is value
        assert vars(package)[name] is value  # the next time it costs nothing


@PACKAGES
def test_names_and_modules_are_listed(package):
    assert {*package.__all__, "__doc__"} <= set(dir(package))
    assert ("torch7" if package is stn_ref.oracle else "equations") in dir(package)


@PACKAGES
def test_a_name_that_is_not_there_is_no_attribute(package):
    for name in ("grid_sampler", "__wrapped__"):
        with pytest.raises(AttributeError, match=f"'{package.__name__}' has no attribute '{name}'"):
            getattr(package, name)


@pytest.mark.parametrize(
    "code",
    (
        "import stn_ref; stn_ref.equations.AFFINE, stn_ref.oracle.torch.grid_sample",
        "import stn_ref; stn_ref.backends.get, stn_ref.proofs.gradcheck.Report",
        "from stn_ref.oracle import jax, onnx, opencv, scipy, tensorflow, torch, torch7",
        "from stn_ref.plots import *; BLUE, Frame, save, warped_grid, contact_sheet",
        "from stn_ref import plots; plots.solids, plots.kernel, plots.explore.explore",
        "from stn_ref import *; from stn_ref.oracle import *; trace, transform, check, Expected",
    ),
)
def test_whatever_is_asked_for_first_is_there(code):
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_module_that_cannot_be_loaded_says_why(monkeypatch):
    """That its own import fails does not make it an attribute that is not there."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for name in ("canvas", "show"):
        monkeypatch.delitem(sys.modules, "stn_ref.plots.canvas", raising=False)
        monkeypatch.delitem(vars(stn_ref.plots), name, raising=False)
        with pytest.raises(ModuleNotFoundError, match="matplotlib"):
            getattr(stn_ref.plots, name)

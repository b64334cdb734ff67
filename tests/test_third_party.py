"""Somebody else's project, `third_party/`, in an environment with stn_ref's wheel in it."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ("stn_ref", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")
SETUPTOOLS = 77  # from which on it builds this, as pyproject.toml says
PLUGIN = {"stn_ref", "stn_ref.lazy", "stn_ref.oracle", "stn_ref.oracle.pytest_plugin"}

# prints at the end what was loaded when the tests had been collected
CONFTEST = """
import sys

def pytest_collection_finish(session):
    session.config.loaded = sorted(sys.modules)

def pytest_unconfigure(config):
    print("loaded:", *config.loaded)
"""

pytestmark = pytest.mark.slow


def run(*command, cwd):
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [str(part) for part in command]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300)


def done(*command, cwd):
    """What a command that succeeds prints."""
    found = run(*command, cwd=cwd)
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


def copied(names, source, target):
    """The target, with copies of these files and folders in it; built elsewhere, no build stays."""
    target.mkdir()
    for name in names:
        if (source / name).is_dir():
            shutil.copytree(
                source / name, target / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy(source / name, target)
    return target


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    source = copied(SOURCES, ROOT, tmp_path_factory.mktemp("wheel") / "source")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", "."]
    with contextlib.suppress(PackageNotFoundError):
        if int(version("setuptools").split(".")[0]) >= SETUPTOOLS:
            pip.append("--no-build-isolation")
    done(*pip, "./source", cwd=source.parent)
    (found,) = source.parent.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """An interpreter that has the wheel, and from here whatever else is asked for."""
    venv = tmp_path_factory.mktemp("venv")
    done(sys.executable, "-m", "venv", "--without-pip", venv, cwd=venv)
    found = venv / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip = [sys.executable, "-m", "pip", "--python", found, "install", "--quiet", "--no-deps"]
    done(*pip, wheel, cwd=venv)
    where = done(found, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=venv)
    # a path in a .pth file comes last, and an editable stn_ref's own .pth file there is not read
    paths = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    Path(where.strip(), "tester.pth").write_text("\n".join(paths))
    return found


def test_the_wheel_has_the_data_and_the_types_and_the_entry_point(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (entry_points,) = (name for name in names if name.endswith("entry_points.txt"))
        text = archive.read(entry_points).decode()
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "stn_ref").rglob("*.py")}
    assert modules | {"stn_ref/py.typed", "stn_ref/data/digits.npz"} <= names
    assert "stn_ref = stn_ref.oracle.pytest_plugin" in text
    assert not [name for name in names if name.startswith("tests")]


def test_a_right_sampler_passes_and_a_wrong_one_fails_with_the_report(python, tmp_path):
    project = copied(
        ("pyproject.toml", "naive.py", "test_naive.py"),
        ROOT / "tests" / "third_party",
        tmp_path / "project",
    )
    found = run(python, "-m", "pytest", "-rA", "-p", "no:cacheprovider", cwd=project)
    outcomes = re.findall(r"^(PASSED|FAILED|ERROR) \S+::(\S+)", found.stdout, re.MULTILINE)
    assert sorted(outcomes) == [
        ("FAILED", "test_every_call_is_within_the_bound[wrong]"),
        ("FAILED", "test_it_samples_as_torch_does[wrong]"),
        ("PASSED", "test_every_call_is_within_the_bound[right]"),
        ("PASSED", "test_it_samples_as_torch_does[right]"),
        ("PASSED", "test_the_oracle_is_the_one_that_is_installed"),
    ], found.stdout + found.stderr
    check = found.stdout.split("_ test_it_samples_as_torch_does[wrong] _")[1]
    report, *_ = check.split("\ntest_naive.py:")
    assert "worst error / bound" in report and "expected(torch.grid_sample, input" in report
    assert "pytest --stn-seed=0" in report and "pytest_plugin.py" not in report
    assert "AssertionError: value [0, 0, 0, 0] is " in found.stdout


def test_a_plugin_that_is_not_used_loads_nothing_but_itself(python, tmp_path):
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_nothing.py").write_text("def test_nothing(): pass")
    found = done(python, "-m", "pytest", "-p", "no:cacheprovider", cwd=tmp_path)
    (loaded,) = re.findall(r"^loaded: (.*)", found, re.MULTILINE)
    assert {name for name in loaded.split() if name.split(".")[0] == "stn_ref"} == PLUGIN
    assert not {"numpy", "numba", "matplotlib"} & set(loaded.split())

"""The laws on a GPU (`make test-gpu`), skipped without one; and their runner, in the simulator."""

import json
import os
import stat
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest

from stn_ref import backends
from tests import gpu
from tests.gpu_law import Absent
from tests.gpu_laws import LAWS
from tests.simulator import SIMULATED

ROOT = Path(__file__).parents[1]
cuda = backends.get("cuda")


@pytest.mark.gpu
@pytest.mark.skipif(SIMULATED or not cuda.is_available(), reason=cuda.why_not() or "simulated")
@pytest.mark.parametrize("name", LAWS)
def test_a_law(name):
    try:
        LAWS[name](1)
    except Absent as reason:
        pytest.skip(str(reason))


# The runner.

needs_numba_cuda = pytest.mark.skipif(
    find_spec("numba_cuda") is None, reason="numba-cuda is not installed"
)
KEPT = (
    "lie-(reversed-1|every_other-2|planar-3)|torchs|channels_last_tensors|torch_agrees|cupy|others|"
    "offsets|own|exact-float32-True|pixels-float32-(affine-|matrix_3)|bits-float64-hat|float64-1-wrap"
)


def simulated(*arguments, out, **settings):
    run = subprocess.run(
        [sys.executable, "-m", "tests.gpu", *arguments, "--out", str(out)],
        cwd=ROOT,
        env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1", **settings},
        capture_output=True,
        text=True,
        timeout=300,
    )
    return run, json.loads(out.read_text())["parts"]


@needs_numba_cuda
def test_laws_and_benchmark_run_in_the_simulator(tmp_path):
    out = tmp_path / "a" / "gpu.json"
    run, parts = simulated("laws", "--only", KEPT, out=out)
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-5000:]
    assert len(parts["laws"]) == 29
    for name, found in parts["laws"].items():
        assert found["outcome"] == "passed" or "is not installed" in found["detail"], name
    if not find_spec("torch"):
        return
    run, parts = simulated("bench", out=out)
    assert run.returncode == 0, run.stdout[-5000:]
    assert set(parts) == {"laws", "bench"}, "what another command has found is kept"
    measured = json.loads((tmp_path / "a" / "cuda.json").read_text())
    for row in measured["rows"]:
        expected = {"ours", "torch", "copy"} | (
            {"ours, atomics"} if "back" in row["task"] else set()
        )
        assert expected <= set(row["times"]) and set(row["ratio"]) == set(row["times"]) - {"ours"}
    assert measured["machine"]["gpu"] == "simulator"
    assert "these are no times" in run.stdout and "targets hold" not in run.stdout


@needs_numba_cuda
def test_the_sanitizer_is_given_laws_to_run(tmp_path):
    program = tmp_path / "compute-sanitizer"
    program.write_text('#!/bin/sh\necho "$1 $2" >&2\nshift 2\nexec "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    run, parts = simulated("sanitizer", "--only", "memcheck", out=tmp_path / "gpu.json", PATH=path)
    assert run.returncode == 0, run.stdout[-5000:]
    assert parts["sanitizer"]["memcheck"]["outcome"] == "passed"
    assert all(any(name.startswith(few) for name in LAWS) for few in gpu.FEW)


OPTIONS = SimpleNamespace(only="exact", scale=1, out=Path("gpu.json"))
EXACT = [name for name in LAWS if "exact" in name]


def said(name, outcome):
    return json.dumps({"name": name, "outcome": outcome, "seconds": 1.0, "detail": "why"})


def test_what_comes_after_a_failure_and_after_a_crash_is_run(tmp_path, monkeypatch, capsys):
    """In new processes: the first fails, the second is killed, the others pass."""
    answers = [
        [said(EXACT[0], "failed"), "a late word", 1],
        ["an illegal address", -11],
        [*(said(name, "passed") for name in EXACT[2:]), 0],
    ]
    asked = []

    def lines(command):
        asked.append(command[4:])
        return iter(answers[len(asked) - 1])

    monkeypatch.setattr(gpu, "lines", lines)
    report = gpu.Report(tmp_path / "gpu.json", {})
    gpu.laws(report, OPTIONS)
    assert asked == [EXACT, EXACT[1:], EXACT[2:]]
    assert report.failed == {("laws", name) for name in EXACT[:2]}
    kept = json.loads((tmp_path / "gpu.json").read_text())["parts"]["laws"]
    assert [found["outcome"] for found in kept.values()][:3] == ["failed", "failed", "passed"]
    assert "an illegal address" in kept[EXACT[1]]["detail"]
    assert "an illegal address" in capsys.readouterr().out


def test_tests_that_fail_are_kept_as_they_come(tmp_path, monkeypatch):
    log = ["[gw0] [ 1%] PASSED tests/a.py::b[cuda]", "[gw1] [ 2%] FAILED tests/a.py::c[cuda-1.5]"]
    log += ["tests/a.py::d[cuda] FAILED", "FAILED tests/a.py::d[cuda] - AssertionError", 1]
    monkeypatch.setattr(gpu, "lines", lambda command: iter(log))
    report = gpu.Report(tmp_path / "gpu.json", {})
    gpu.suite(report, OPTIONS)
    failed = {"tests/a.py::c[cuda-1.5]", "tests/a.py::d[cuda]", "all, 1 passed"}
    assert {name for _, name in report.failed} == failed


@pytest.mark.skipif(cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_why(capsys):
    assert gpu.main(["laws"]) == 2
    assert f"there is nothing to run on: {cuda.why_not()}" in capsys.readouterr().err

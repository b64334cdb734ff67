"""The CUDA backend without a GPU: in Numba's simulator, as machine code, and as a module.

The simulator must be chosen before Numba is imported, so it runs in a process of its own, on the
tests that every backend runs. It finds what is wrong in what a kernel does, not what the compiler
makes of it: that is counted in the assembly. What needs a GPU is in `test_gpu.py`.
"""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from stn_ref import backends

ROOT = Path(__file__).parents[1]
cuda = backends.get("cuda")
needs_numba_cuda = pytest.mark.skipif(
    find_spec("numba_cuda") is None, reason="numba-cuda is not installed"
)

# tests of every backend that the simulator does not run, and why
NOT_SIMULATED = {
    "test_backends.py::test_the_identity_returns_the_image_bit_for_bit": "60 images of 40 by 40",
}


def child(*arguments, limit=280, **settings):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=limit,
    )


FILES = ("tests/test_conformance.py", "tests/test_backends.py")
HALVES = ("gives_what", "not gives_what")  # two processes at a time
FEW = (
    "cuda and ((smaller and bilinear and not normalised) or as_printed or empty or every_option"
    " or (fused and affine) or (number_of_channels and keys and single and 33)"
    " or (gradient_that and hat) or (not_finite_or_huge and right and keys) or divides)"
)


def simulated(which):
    """Exit status, log, and the ids of what passed in the simulator; tests of CUDA alone."""
    command = ("-m", "pytest", "-v", "-p", "no:cacheprovider", *FILES, "-k", which)
    run = child(*command, NUMBA_ENABLE_CUDASIM="1")
    log = run.stdout + run.stderr
    return run.returncode, log, set(re.findall(r"^tests/(\S+\.py::.*?) PASSED", log, re.M))


def wanted():
    """The ids of the CPU's tests, but for what is not simulated, with its name replaced."""
    run = child("-m", "pytest", "--collect-only", "-q", "-k", "cpu", *FILES)
    found = re.findall(r"^tests/(\S+\.py::.*)$", run.stdout, re.M)
    assert set(NOT_SIMULATED) <= {name.split("[")[0] for name in found}
    return {n.replace("cpu", "cuda") for n in found if n.split("[")[0] not in NOT_SIMULATED}


@needs_numba_cuda
@pytest.mark.slow
def test_it_conforms_in_the_simulator():
    """Every test that the CPU has, each passed: a skip is a failure here."""
    left_out = " and ".join(f"not {name.split('::')[1]}" for name in NOT_SIMULATED)
    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(simulated, [f"cuda and {half} and {left_out}" for half in HALVES]))
    for status, log, _ in runs:
        assert status == 0, log[-5000:]
    assert runs[0][2] | runs[1][2] == wanted()


@needs_numba_cuda
def test_a_few_cases_in_the_simulator():
    """What a broken kernel or shared scalar turns red in seconds."""
    status, log, passed = simulated(FEW)
    assert status == 0 and len(passed) > 100, log[-5000:]

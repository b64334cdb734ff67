"""The CUDA backend without a GPU: in Numba's simulator, as machine code, and as a module.

The simulator must be chosen before Numba is imported, so it runs in a process of its own, on the
tests that every backend runs. It finds what is wrong in what a kernel does, not what the compiler
makes of it: that is counted in the assembly. What needs a GPU is in `test_gpu.py`.
"""

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import stn_ref
from stn_ref import backends
from stn_ref import equations as eq
from stn_ref.__main__ import main
from tests import ptx
from tests.conformance import KERNELS
from tests.gpu_laws import whole_matrix
from tests.test_cpu import own

ROOT = Path(__file__).parents[1]
cuda = backends.get("cuda")
needs_numba_cuda = pytest.mark.skipif(
    find_spec("numba_cuda") is None, reason="numba-cuda is not installed"
)

# tests of every backend that the simulator does not run, and why
NOT_SIMULATED: dict[str, str] = {}


def child(*arguments, limit=900, **settings):
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
    "cuda and ((smaller and bilinear and not normalised and (size1 or size3 or size5))"
    " or as_printed or empty or every_option or (fused and (affine or projective)) or spline"
    " or (number_of_channels and keys and single and 33 and (zeros or wrap))"
    " or (gradient_that and hat) or (not_finite_or_huge and right and hat) or divides)"
)


def simulated(which):
    """Exit status, log, and the ids of what passed in the simulator; tests of CUDA alone."""
    command = ("-m", "pytest", "-v", "-p", "no:cacheprovider", *FILES, "-k", which)
    command += tuple(f"--deselect=tests/{name}" for name in NOT_SIMULATED)
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
    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(simulated, [f"cuda and {half}" for half in HALVES]))
    for status, log, _ in runs:
        assert status == 0, log[-5000:]
    assert runs[0][2] | runs[1][2] == wanted()


@needs_numba_cuda
def test_a_few_cases_in_the_simulator():
    """What a broken kernel or shared scalar turns red in seconds."""
    status, log, passed = simulated(FEW)
    assert status == 0 and len(passed) > 100, log[-5000:]


# As machine code.

CAPS = {"single": 80, "double": 128}  # registers; a multiprocessor has 65,536
CAPS_OF_VOLUMES = {"single": 104, "double": 136}
MORE = {"normalised gaussian": 32}  # all weights' sums, and their slopes


@pytest.fixture(scope="module")
def assembled():
    """What the kernels of `ptx.few` compile to, two processes at a time."""
    reason = ptx.missing()
    if reason:
        pytest.skip(reason)
    cases = list(ptx.few())
    with ThreadPoolExecutor(2) as pool:
        runs = list(
            pool.map(lambda c: child("-m", "tests.ptx", json.dumps(c)), (cases[::2], cases[1::2]))
        )
    assert not any(run.returncode for run in runs), runs[0].stderr + runs[1].stderr
    return [kernel for run in runs for kernel in json.loads(run.stdout)]


def assert_lean(kernel):
    """No spills, no stack, no local memory, few registers; float64 only where it is asked for."""
    assert kernel["local"] == 0, kernel
    for architecture in ptx.ARCHITECTURES:
        numbers = kernel[architecture]
        assert numbers["stack"] == numbers["spills"] == 0, kernel
        cap = (CAPS_OF_VOLUMES if "volume" in kernel["way"] else CAPS)[kernel["way"][:6]]
        assert numbers["registers"] <= cap + MORE.get(kernel["row"], 0), kernel
    _, grid, where, *_ = ptx.WAYS[kernel["way"]]
    if kernel["way"].startswith("single") and (grid, where) == ("float32", "grid"):
        assert kernel["float64"] == 0, kernel


@pytest.mark.slow
def test_compiled_kernels_are_lean(assembled):
    for kernel in assembled:
        assert_lean(kernel)


@pytest.mark.slow
def test_float64_in_a_fused_single_kernel_is_the_centred_formula(assembled):
    """It costs what the float64 of xy in double precision costs, and the formula's own steps."""
    found = {k["way"]: k["float64"] for k in assembled if k["kernel"] == "forward"}
    assert 0 < found["single, xy double"] < found["single, fused"]
    assert found["single, fused"] - found["single, xy double"] < 60
    assert 0 < found["single, fused, signal"] < found["single, fused"]


def test_the_recorded_kernels_are_all_and_lean():
    recorded = json.loads(ptx.FILE.read_text())["kernels"]
    names = [(k["kernel"], k["row"], k["way"]) for k in recorded]
    assert names == list(ptx.everything())
    for kernel in recorded:
        assert_lean(kernel)


# As a module.


def test_without_a_gpu_it_says_so_and_what_to_install():
    code = (
        "from stn_ref import backends; import numpy as np; cuda = backends.get('cuda')\n"
        "assert not cuda.is_available() and 'stn_ref[cuda]' in cuda.why_not()\n"
        "try: cuda.sample(np.ones((1, 2, 2, 1)), np.ones((1, 1, 1, 2)))\n"
        "except RuntimeError as error: print(error)"
    )
    run = child("-c", code, CUDA_VISIBLE_DEVICES="", NUMBA_DISABLE_CUDA="1")
    assert "the cuda backend cannot run here: " in run.stdout, run.stderr


@pytest.mark.skipif(cuda.is_available(), reason="there is a GPU")
def test_bench_without_a_gpu_says_why(capsys):
    assert main(["bench", "--backend", "cuda", "--quick"]) == 2
    assert "there is nothing to time: " in capsys.readouterr().err
    main(["info"])
    assert f"backend cuda: not available: {cuda.why_not()}" in capsys.readouterr().out


def test_importing_it_does_not_import_numba():
    code = "import sys; from stn_ref import backends; backends.get('cuda'); print(*sys.modules)"
    assert "numba" not in child("-c", code).stdout.split()


@needs_numba_cuda
@pytest.mark.skipif(ptx.missing() != "", reason=ptx.missing())
def test_it_compiles_with_a_numpy_that_has_no_row_stack():
    """And leaves that NumPy as it was."""
    code = (
        "import numpy as np, numba.np.arrayobj; vars(np).pop('row_stack', None)\n"
        "np.__all__ = [name for name in np.__all__ if name != 'row_stack']\n"
        "from tests.ptx import compiled\n"
        "assert '.entry' in compiled('finish', '', 'single') and not hasattr(np, 'row_stack')"
    )
    run = child("-c", code)
    assert run.returncode == 0, run.stderr


def numba_cuda(available=True, error=None, implementation="NVIDIA"):
    return SimpleNamespace(
        is_available=lambda: available, cuda_error=lambda: error, implementation=implementation
    )


def older():
    raise AttributeError("module 'numba.cuda.types' has no attribute 'NPDatetime'")


@pytest.mark.parametrize(
    ("found", "load", "reason"),
    [
        (None, numba_cuda, "numba-cuda is not installed: pip install 'stn_ref[cuda]'"),
        (1, older, "do not load (AttributeError: module 'numba.cuda.types' has no attribute"),
        (1, lambda: numba_cuda(implementation="Built-in"), "import _numba_cuda_redirector before"),
        (1, lambda: numba_cuda(False), "NVVM, the compiler, was not found: pip install"),
        (1, lambda: numba_cuda(False, "\nno driver\n"), "was found (no driver): it needs both"),
    ],
)
def test_why_it_cannot_run_and_what_to_do(monkeypatch, found, load, reason):
    monkeypatch.setattr(cuda.module, "find_spec", lambda name: found)
    monkeypatch.setattr(cuda.module, "numba_cuda", load)
    monkeypatch.setattr(cuda.module.metadata, "version", lambda name: "0.30.3")
    assert reason in cuda.why_not()
    assert not cuda.is_available()


def test_with_a_gpu_nothing_stands_in_the_way(monkeypatch):
    monkeypatch.setattr(cuda.module, "find_spec", lambda name: 1)
    monkeypatch.setattr(cuda.module, "numba_cuda", numba_cuda)
    assert cuda.is_available()


class OnGpu:
    """What auto must recognise."""

    __cuda_array_interface__ = {"shape": (1, 2, 2, 1), "typestr": "<f4", "data": (0, False)}


@pytest.mark.skipif(cuda.is_available(), reason="there is a GPU")
def test_auto_takes_an_array_on_a_gpu_to_the_cuda_backend():
    with pytest.raises(RuntimeError, match="the cuda backend cannot run here"):
        stn_ref.sample(OnGpu(), np.ones((1, 1, 1, 2)))


# A row in single precision.

ROWS = [*KERNELS, own(2), own(3)]


def test_a_row_in_single_precision_is_the_row():
    """To a few roundings, whoever wrote it and wherever it is written; in a process of its own."""
    code = "from tests.test_cuda import rows_in_single; rows_in_single()"
    run = child("-c", code, NUMBA_ENABLE_CUDASIM="1")
    assert run.returncode == 0, run.stderr


def rows_in_single():
    from stn_ref.backends.cuda.lowering import lowered

    for kernel in ROWS:
        while kernel.normalises is not None:
            kernel = kernel.normalises
        t = np.linspace(-kernel.support, kernel.support, 999).astype(np.float32)
        Phi = tuple(np.float32(p) for p in kernel.Phi)
        for function in (kernel.k, kernel.dk):
            single = lowered(function, np.float32)
            assert single is not function, kernel.name
            found, truth = [single(x, Phi) for x in t], [function(float(x), Phi) for x in t]
            assert {type(x) for x in found} == {np.float32}, kernel.name
            np.testing.assert_allclose(found, truth, rtol=0, atol=32 * 2.0**-24)
    names = {}
    exec("def k(t, Phi): return 1 - abs(t)", names)
    assert lowered(names["k"], np.float32) is names["k"], "nobody can read its source"


# Laws of its own, in the simulator.


@needs_numba_cuda
@pytest.mark.parametrize(
    "law",
    (
        *("any_order", "wide_indices", "free_atomics", "theta_in_pieces", "exact_identity"),
        *("knots", "own_rows"),
    ),
)
def test_a_law_in_the_simulator(law):
    code = f"import tests.simulator; from tests.test_cuda import {law} as law; law()"
    run = child("-c", code, NUMBA_ENABLE_CUDASIM="1")
    assert run.returncode == 0, run.stderr


def crowd(dtype, axes=2):
    """dV, U and xy with many points to a pixel, contributions of many sizes."""
    rng = np.random.default_rng(5)
    size, out = (2, 3, 4)[-axes:], (*[1] * (axes - 1), 40)
    U = rng.standard_normal((1, *size, 3)).astype(dtype)
    dV = rng.standard_normal((1, *out, 3)) * 10.0 ** rng.integers(-9, 9, (1, *out, 1))
    return dV.astype(dtype), U, rng.uniform(-1, 4, (1, *out, axes))


def any_order():
    """dU has the same bits in whatever order the points come, finite or not."""
    for dtype, axes in ((np.float32, 2), (np.float64, 2), (np.float32, 3)):
        dV, U, xy = crowd(dtype, axes)
        for bad in (1, np.inf, -np.inf, np.nan):
            dV.reshape(40, 3)[:3, 1] = [bad, -bad, bad]
            orders = [np.random.default_rng(n).permutation(40) for n in range(3)]
            found = {
                cuda.sample_backward(dV[..., p, :], U, xy[..., p, :], padding="border")[0].tobytes()
                for p in orders
            }
            assert len(found) == 1, (dtype, bad)


def results(dtype, axes, **options):
    dV, U, xy = crowd(dtype, axes)
    kernel, affine = eq.hat(1.5), eq.affine(axes)
    dU, dxy, dPhi = cuda.sample_backward(dV, U, xy, kernel=kernel, tie="central", **options)
    theta, options = affine.identity()[None] * 0.8, {"transformation": affine, **options}
    fused = cuda.transform(U, theta, **options), *cuda.transform_backward(dV, U, theta, **options)
    return [cuda.sample(U, xy), dU, dxy, np.concatenate(dPhi), *fused]


KINDS = ((np.float32, 2), (np.float64, 2), (np.float32, 1), (np.float64, 3))


def wide_indices():
    """64-bit indices give the same bits as 32-bit ones."""
    from stn_ref.backends.cuda import launch

    for dtype, axes in KINDS:
        narrow = results(dtype, axes)
        limit, launch.NARROW = launch.NARROW, 1
        wide = results(dtype, axes)
        launch.NARROW = limit
        for a, b in zip(narrow, wide, strict=True):
            np.testing.assert_array_equal(a, b)
    assert {key[1][3] for key in launch._kernels} == {False, True}


def free_atomics():
    """Without an order dU is the same to rounding, and all else the same bits."""
    for dtype, axes in KINDS:
        ordered, free = results(dtype, axes), results(dtype, axes, deterministic=False)
        for n, (a, b) in enumerate(zip(ordered, free, strict=True)):
            if n in (1, 5):
                scale = np.abs(a).max() * np.finfo(dtype).eps
                np.testing.assert_allclose(a, b, rtol=0, atol=64 * scale)
            else:
                np.testing.assert_array_equal(a, b)


def theta_in_pieces():
    """dθ of an image of several pieces is that of the reference, on every axis and for every row.

    θ is the whole matrix, its last row too.
    """
    reference = backends.get("reference")

    rng = np.random.default_rng(6)
    for axes, size in ((1, (37,)), (2, (3, 9)), (3, (3, 2, 5))):
        U, dV = rng.standard_normal((2, *(3, 4, 5)[-axes:], 1)), rng.standard_normal((2, *size, 1))
        theta = np.eye(axes + 1) + rng.uniform(-0.2, 0.2, (2, axes + 1, axes + 1))
        options = {"transformation": whole_matrix(axes), "padding": "border"}
        ours, truth = (m.transform_backward(dV, U, theta, **options)[1] for m in (cuda, reference))
        np.testing.assert_allclose(ours, truth, rtol=1e-12, atol=1e-12)
        xy = rng.uniform(0, 3, (2, *size, axes))
        _, dxy, _ = cuda.sample_backward(dV[..., :0], U[..., :0], xy)
        assert not dxy.any(), "no channels, no pull"


def exact_identity():
    """A signal and a volume come back bit for bit."""
    rng = np.random.default_rng(8)
    for size in ((7,), (3, 1, 4), (2, 3, 5)):
        U, affine = rng.standard_normal((1, *size, 2)).astype(np.float32), eq.affine(len(size))
        for kernel in (eq.BILINEAR, eq.keys(), eq.lanczos(2)):
            for corners in (True, False):
                options = {"transformation": affine, "kernel": kernel, "align_corners": corners}
                V = cuda.transform(U, affine.identity()[None], **options)
                np.testing.assert_array_equal(V, U)


def knots():
    """A point next to a knot stays on its side, though single precision has no number there."""
    from tests.conformance import assert_conforms

    dV, U, _ = crowd(np.float32)
    x = np.linspace(-0.5, 4.0, 10)
    x = np.concatenate([np.nextafter(x, -9), x, np.nextafter(x, 9), [5e-324, -5e-324]])
    xy = np.stack([x, x[::-1]], axis=-1)[None, None]
    dV = np.resize(dV, (*xy.shape[:3], 3))
    for kernel in (eq.INTEGER, eq.BILINEAR, eq.hat(1.5), eq.bspline(2)):
        for tie in ("right", "left"):
            for points in (xy, xy.astype(np.float32), np.nextafter(xy.astype(np.float32), 9)):
                assert_conforms("cuda", dV, U, points, kernel, "zeros", tie)


def own_rows():
    """A user's own row, lambdas that close over a number, is compiled and right."""
    reference = backends.get("reference")

    rng = np.random.default_rng(7)
    for axes, kernels in ((2, (own(2), own(3), eq.normalised(own(2)))), (3, ((own(2),) * 3,))):
        U, dV = rng.standard_normal((1, *(3, 4, 5)[-axes:], 2)), rng.standard_normal((1, 2, 6, 2))
        dV = dV.reshape(1, *[1] * (axes - 2), 2, 6, 2)
        xy = rng.uniform(-1, 5, (*dV.shape[:-1], axes))
        for kernel in kernels:
            ours, truth = (
                (m.sample(U, xy, kernel=kernel), *m.sample_backward(dV, U, xy, kernel=kernel))
                for m in (cuda, reference)
            )
            for a, b in zip((*ours[:3], *ours[3]), (*truth[:3], *truth[3]), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)

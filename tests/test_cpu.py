"""The CPU backend as a process sees it: its cache, its threads, its children, its memory.

What could abort or hang runs in a process of its own: a function of this file, called by `child`,
which wants exit status 0 and nothing on stderr, with warnings as errors. The children share the
user's cache folder, but for `cold`, which begins with an empty one.
"""

import gc
import hashlib
import importlib.util
import mmap
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided
from numpy.testing import assert_allclose, assert_array_equal

from stn_ref import backends
from stn_ref import equations as eq
from stn_ref.backends.cpu import compiling
from tests.conformance import KERNELS, LAYOUTS, case, laid_out

reference = backends.get("reference")

ROOT = Path(__file__).parents[1]
LAYERS = ("omp", "workqueue", "tbb")


def child(function, *arguments, limit=240, root=ROOT, **settings):
    """What it prints when a new process calls this function of this file with these strings.

    Threads that wait do not spin: on a busy machine four of them would keep each other waiting.
    """
    code = f"from tests.test_cpu import {function.__name__} as run; run(*{arguments!r})"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=root,
        env={**os.environ, "NUMBA_NUM_THREADS": "4", "OMP_WAIT_POLICY": "passive", **settings},
        capture_output=True,
        text=True,
        timeout=limit,
    )
    assert run.returncode == 0, f"exit status {run.returncode}\n{run.stdout}{run.stderr}"
    assert run.stderr == ""
    return run.stdout


def small(dtype=np.float32):
    """U and xy, too small for more than one thread."""
    rng = np.random.default_rng(2)
    return rng.standard_normal((1, 6, 7, 2)).astype(dtype), rng.uniform(-2, 8, (1, 5, 8, 2))


# The cache.

FOUR = (eq.BILINEAR, eq.keys(), eq.lanczos(3), eq.normalised(eq.gaussian(0.6)))


def first_calls():
    """V by four kernels; how long the first took, and how many passes of a compiler ran."""
    from numba.core import event

    cpu, (U, xy) = backends.get("cpu"), small()
    with event.install_recorder("numba:run_pass") as passes:
        start = time.perf_counter()
        cpu.sample(U, xy)
        seconds = time.perf_counter() - start
        for kernel in FOUR:
            V = cpu.sample(U, xy, kernel=kernel)
            assert_allclose(V, reference.sample(U, xy, kernel=kernel), rtol=1e-4, atol=1e-5)
    print(seconds, len(passes.buffer))


def timed(place):
    """The seconds and passes of `first_calls` with this cache."""
    seconds, passes = child(first_calls, NUMBA_CACHE_DIR=str(place)).split()
    return float(seconds), int(passes)


def files(place):
    return {p: p.stat().st_mtime_ns for p in place.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def cold(tmp_path_factory):
    """A cache that one process has filled, and the seconds its first call took."""
    place = tmp_path_factory.mktemp("cache")
    seconds, passes = timed(place)
    assert passes > 0
    return place, seconds


@pytest.mark.slow
def test_a_second_process_compiles_nothing_and_adds_nothing(cold):
    place, seconds = cold
    before = files(place)
    assert before
    warm, passes = timed(place)
    print(f"first call: cold {seconds:.2f} s, warm {warm:.2f} s")
    assert passes == 0
    assert files(place) == before
    assert warm < 1.5 and warm < seconds / 2


def test_an_edit_of_any_compiled_file_is_noticed():
    """Whatever file compiles something, and what it imports from the package, names the cache."""
    noticed = {str(path.relative_to(ROOT)) for path in compiling.sources()}
    for path in (ROOT / "stn_ref").rglob("*.py"):
        text = path.read_text()
        if re.search(r"^from numba import|^@(njit|intrinsic|overload)|import compiled", text, re.M):
            assert str(path.relative_to(ROOT)) in noticed
            for module in re.findall(r"^from (stn_ref[\w.]*) import", text, re.M):
                file = module.replace(".", "/")
                assert {f"{file}.py", f"{file}/__init__.py"} & noticed, f"{path} imports {module}"


def one_bit(data):
    """The same with a bit turned over in the middle: in machine code, where nobody notices."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


DAMAGES = {"empty": lambda data: b"", "cut": lambda data: data[:-99], "one bit": one_bit}


@pytest.mark.slow
@pytest.mark.parametrize("suffix", (".nbi", ".nbc"))
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_ignored_and_replaced(cold, damage, suffix, tmp_path):
    place = shutil.copytree(cold[0], tmp_path / "cache")
    (path,) = place.rglob(f"rows.row-bilinear*{suffix}")
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    assert timed(place)[1] > 0
    assert timed(place)[1] == 0


def first_calls_of_many_threads():
    """Each loop is compiled once, though all want it at once, and nothing is kept."""
    from numba.core import event

    from stn_ref.backends.cpu import compiling

    assert compiling.folder() is None
    (U, xy), start = small(), threading.Barrier(4)

    def call(_):
        start.wait()
        return backends.get("cpu").sample(U, xy).tobytes()

    with event.install_recorder("numba:compile") as compiles, ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(call, range(4)))) == 1
    loops = [e.data["dispatcher"].py_func.__name__ for _, e in compiles.buffer if e.is_start]
    assert loops.count("forward") == 1


@pytest.mark.slow
def test_without_a_cache_folder_it_works_quietly(tmp_path):
    (tmp_path / "file").write_text("")
    child(first_calls_of_many_threads, NUMBA_CACHE_DIR=str(tmp_path / "file" / "below"))


def where():
    from stn_ref.backends.cpu import compiling

    print(compiling.folder())


def nowhere():
    """A user without a home, as containers have them."""
    os.environ.pop("NUMBA_CACHE_DIR", None)
    os.environ.pop("XDG_CACHE_HOME", None)
    Path.home = lambda: (_ for _ in ()).throw(RuntimeError("no home"))
    where()


def test_a_user_without_a_home_has_no_cache():
    assert child(nowhere) == "None\n"


EDITS = {"equations/kernels.py": 1, "backends/cpu/slots.py": 1, "nn/patches.py": 1, "api.py": 0}


@pytest.mark.parametrize("file", EDITS)
def test_an_edit_is_noticed_where_compiled_code_comes_from_and_only_there(file, tmp_path):
    for part in ("stn_ref", "tests"):
        shutil.copytree(ROOT / part, tmp_path / part)
    place = {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "root": tmp_path}
    before = child(where, **place)
    assert before == child(where, **place) and Path(before.strip()).is_dir()
    with (tmp_path / "stn_ref" / file).open("a") as source:
        source.write("#")
    assert (child(where, **place) != before) == EDITS[file]


def test_other_settings_of_the_compiler_have_a_folder_of_their_own(tmp_path):
    place = {"NUMBA_CACHE_DIR": str(tmp_path)}
    names = [child(where, **place, **s) for s in ({}, {"NUMBA_BOUNDSCHECK": "1"})]
    assert names[0] != names[1]


def test_two_signatures_never_share_a_file(tmp_path, monkeypatch):
    """Numba numbers its files; two processes that begin at once would take the same number."""
    from numba import float32, float64, njit

    from stn_ref.backends.cpu import compiling

    monkeypatch.setattr(compiling, "folder", lambda: tmp_path)

    def double(x):
        return 2 * x

    for number in (float32, float64):
        dispatcher = njit(double)
        compiling.keep(dispatcher, double)
        dispatcher.compile((number,))
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".nbc", ".nbc", ".nbi", ".nbi"]


# Import.


def imports():
    import numba
    from numba.core import event
    from numba.core.dispatcher import Dispatcher

    with event.install_recorder("numba:run_pass") as passes:
        backends.get("cpu")
    assert not passes.buffer
    ours = [o for o in gc.get_objects() if isinstance(o, Dispatcher)]
    ours = [o for o in ours if o.py_func.__module__.startswith("stn_ref")]
    assert ours and not any(o.overloads for o in ours)
    try:
        numba.threading_layer()
    except ValueError:
        return
    raise AssertionError("importing the backend starts threads")


def test_importing_the_backend_compiles_nothing_and_starts_no_threads():
    child(imports)


def test_importing_the_package_does_not_import_numba():
    code = "import sys, stn_ref; sys.exit('numba' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


# Threads.

QUARTER = np.array([[0.0, -1, 0], [1, 0, 0]])


def big():
    """U, dV, θ and xy worth several threads: batches, one image, few and many channels; volumes
    and signals."""
    rng = np.random.default_rng(3)
    for B, H, W, C in ((1, 150, 130, 1), (3, 60, 71, 3), (1, 41, 50, 64), (5, 29, 31, 4)):
        U, dV = rng.standard_normal((2, B, H, W, C)).astype(np.float32)
        xy = rng.uniform(-3, 3 + max(H, W), (B, H, W, 2))
        slightly = np.eye(2, 3) + rng.uniform(-0.3, 0.3, (B, 2, 3))
        for layout in ("channels last", "planar"):
            for theta in (slightly, np.tile(QUARTER, (B, 1, 1))):
                yield laid_out(U, layout), laid_out(dV, layout), theta, xy
    for B, *size, C in ((1, 18, 21, 50, 1), (2, 9, 14, 15, 5), (3, 7000, 2)):
        U, dV = rng.standard_normal((2, B, *size, C)).astype(np.float32)
        slightly = eq.affine(len(size)).identity() + rng.uniform(-0.3, 0.3, (B, 1, 1))
        yield U, dV, slightly, rng.uniform(-3, 3 + max(size), (B, *size, len(size)))


def results():
    """V, dU, dθ, dxy and dΦ of all of `big`, as one hash."""
    cpu, bits = backends.get("cpu"), hashlib.sha256()
    for U, dV, theta, xy in big():
        options = {"transformation": eq.affine(xy.shape[-1])}
        found = [cpu.transform(U, theta, **options)]
        found += cpu.transform_backward(dV, U, theta, **options)
        found += [cpu.sample(U, xy), cpu.sample(U, xy.astype(np.float32), padding="reflection")]
        dU, dxy, dPhi = cpu.sample_backward(dV, U, xy, kernel=eq.hat(1.5), tie="central")
        for array in (*found, dU, dxy, *dPhi):
            bits.update(np.ascontiguousarray(array).tobytes())
    return bits.hexdigest()


def parallel_loops():
    """How many loops this process has compiled, or loaded, for several threads."""
    from stn_ref.backends.cpu import compiling

    return sum(parallel for _, _, parallel in compiling._compiled)


def serial():
    """The hash at one thread, for which no parallel loop is fetched; then back to four."""
    import numba

    numba.set_num_threads(1)
    expected = results()
    assert not parallel_loops()
    numba.set_num_threads(4)
    return expected


def threads():
    """Any number of threads; then eight callers at once; then a forked child."""
    import numba

    expected = serial()
    for number in (2, 3, 4, 4):
        numba.set_num_threads(number)
        assert results() == expected
    assert parallel_loops() == 2
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: results(), range(8))) == {expected}
    forked(expected)
    assert results() == expected
    print(numba.threading_layer())


def forked(expected):
    """A forked child has the same bits, and so has its child."""

    def run(depth):
        assert results() == expected
        if depth:
            fork(run, depth - 1)

    fork(run, 1)


def fork(function, *arguments):
    process = multiprocessing.get_context("fork").Process(target=function, args=arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking while threads run
        process.start()
    process.join(120)
    if process.exitcode is None:
        process.kill()
    assert process.exitcode == 0


def loads():
    import numba

    try:
        numba.get_num_threads()
        print("yes")
    except ValueError as error:
        print(error)


@pytest.fixture
def layer(request):
    reason = child(loads, NUMBA_THREADING_LAYER=request.param).strip()
    if reason != "yes":
        pytest.skip(f"Numba cannot load {request.param}: {reason.splitlines()[0]}")
    return request.param


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
@pytest.mark.parametrize("layer", LAYERS, indirect=True)
def test_any_number_of_threads_callers_and_children_have_the_same_bits(layer):
    assert child(threads, NUMBA_THREADING_LAYER=layer).strip() == layer


def all_at_once():
    """The first call of all, from eight threads: nobody has chosen a layer yet."""
    start = threading.Barrier(8)

    def call(_):
        start.wait()
        return results()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(call, range(8)))) == 1
    assert parallel_loops() == 2


@pytest.mark.slow
@pytest.mark.parametrize("layer", LAYERS, indirect=True)
def test_the_first_calls_may_come_from_many_threads(layer):
    child(all_at_once, NUMBA_THREADING_LAYER=layer)


def beside_torch():
    import torch

    def busy():
        image = torch.ones(8, 8, 128, 128)
        return torch.nn.functional.conv2d(image, torch.ones(8, 8, 3, 3)).sum().item()

    torch.set_num_threads(4)
    before, expected = busy(), serial()
    assert results() == expected and busy() == before
    with ThreadPoolExecutor(4) as pool:
        hashes = pool.map(lambda i: busy() == before and results(), range(8))
        assert set(hashes) == {expected}
    forked(expected)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
@pytest.mark.parametrize("layer", LAYERS, indirect=True)
def test_torch_and_its_openmp_may_run_in_the_same_process(layer):
    child(beside_torch, NUMBA_THREADING_LAYER=layer)


# Memory.

INSIDE = (
    "(gives_what_the_reference_gives and double and (zeros or symmetric) and not central)"
    " or (smaller_than_the_kernel and wrap) or (number_of_points and double) or empty"
    " or (wide_outputs and zeros and double) or (volumes_of_near and zeros)"
)


@pytest.mark.slow
def test_no_index_leaves_its_array():
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-qx", "-p", "no:cacheprovider"]
        + ["tests/test_conformance.py", "-k", INSIDE],
        cwd=ROOT,
        env={**os.environ, "NUMBA_BOUNDSCHECK": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("size", ((1, 40_000), (40_000, 1), (3, 70_000)))
def test_a_side_may_be_longer_than_two_bytes_count(size, rng):
    cpu, (H, W) = backends.get("cpu"), size
    U, dV = rng.standard_normal((1, H, W, 2)), rng.standard_normal((1, 1, 9, 2))
    xy = rng.uniform(0.9, 1, (1, 1, 9, 2)) * [W - 1, H - 1]
    assert_allclose(cpu.sample(U, xy), reference.sample(U, xy), rtol=1e-12, atol=1e-12)
    ours, truth = (m.sample_backward(dV, U, xy)[:2] for m in (cpu, reference))
    for a, b in zip(ours, truth, strict=True):
        assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def far_apart(array, axis, step):
    """The same values, `step` elements apart along one axis, in memory that is never touched."""
    room = step * array.shape[axis] + array.size
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0x4000)
    try:
        memory = mmap.mmap(-1, room * array.itemsize, flags=flags)
    except (OSError, ValueError, OverflowError) as error:
        pytest.skip(f"no room to reserve: {error}")
    strides = list(np.empty(array.shape, array.dtype).strides)
    strides[axis] = step * array.itemsize
    far = as_strided(np.frombuffer(memory, array.dtype), array.shape, strides, writeable=True)
    far[...] = array
    return far


@pytest.mark.skipif(sys.platform != "linux", reason="reserves memory as Linux does")
@pytest.mark.parametrize("backwards", (False, True))
@pytest.mark.parametrize("axis", (0, 1, 2, 3))
def test_offsets_may_be_over_two_to_the_thirty_one(axis, backwards, rng):
    cpu, turn = backends.get("cpu"), slice(None, None, -1 if backwards else 1)
    U, dV = (rng.standard_normal((3, *s, 3)).astype(np.float32) for s in ((3, 4), (3, 5)))
    xy = rng.uniform(-1, 4, (3, 3, 5, 2)).astype(np.float32)
    far = [far_apart(a, axis, 2**30 + 2**20) for a in (dV, U)]
    far.append(far_apart(xy, axis, 2**31 + 2**20) if axis != 3 else xy)
    far = [np.moveaxis(np.moveaxis(a, axis, 0)[turn], 0, axis) for a in far[:2]] + far[2:]
    near = [np.array(a, order="C") for a in far]
    assert max(abs(far[1].strides[axis]) * 2 // 4, far[2].strides[0]) > 2**31
    for kernel in (eq.BILINEAR, eq.keys()):
        assert_array_equal(
            cpu.sample(*far[1:], kernel=kernel), cpu.sample(*near[1:], kernel=kernel)
        )
        ours, truth = (cpu.sample_backward(*a, kernel=kernel) for a in (far, near))
        for a, b in zip(ours[:2], truth[:2], strict=True):
            assert_allclose(a, b, rtol=1e-5, atol=1e-5)


# What is compiled.


def everything():
    """All kernels, paddings, ties and layouts, small and large, single and double."""
    cpu = backends.get("cpu")
    for dtype in (np.float32, np.float64):
        for layout in LAYOUTS:
            dV, U, xy = case(dtype, layout)
            for kernel in KERNELS:
                for padding in eq.PADDINGS:
                    cpu.sample(U, xy, kernel=kernel, padding=padding)
                for tie in ("right", "left", "central"):
                    cpu.sample_backward(dV, U, xy.astype(dtype), kernel=kernel, tie=tie)
        for axes in (1, 3):
            dV, U, xy = case(dtype, axes=axes)
            cpu.sample_backward(dV, U, xy.astype(dtype))
            cpu.transform(
                U, np.tile(np.eye(axes, axes + 1), (2, 1, 1)), transformation=eq.affine(axes)
            )
        U = np.ones((1, 200, 100, 1), dtype)
        for theta in (np.eye(2, 3)[None], np.eye(2, 3, dtype=np.float32)[None]):
            cpu.transform_backward(cpu.transform(U, theta), U, theta)
    from stn_ref.backends.cpu import compiling, rows

    loops = compiling._compiled
    assert len(loops) == 8, "forward and backward, single and double, serial and parallel"
    assert all(len(loop.signatures) == 1 for loop in loops.values())
    print(len(rows._compiled))


@pytest.mark.slow
def test_a_loop_is_compiled_once_for_each_dtype_and_a_row_once():
    distinct = {
        (k.normalises is not None, base.k.__qualname__, support_of(base))
        for k in KERNELS
        for base in [k.normalises or k]
    }
    assert int(child(everything)) == len(distinct)


def support_of(kernel):
    """The number that lanczos and bspline close over."""
    return tuple(c.cell_contents for c in kernel.k.__closure__ or ())


def test_a_row_is_compiled_once_for_all_its_parameters():
    from stn_ref.backends.cpu import rows

    addresses = [rows.row(k, left=False)[0] for k in (eq.hat(1), eq.lanczos(3), eq.lanczos(2))]
    count = len(rows._compiled)
    again = [rows.row(k, left=True)[0] for k in (eq.hat(2.3), eq.lanczos(3), eq.lanczos(2))]
    assert addresses == again and len(set(addresses)) == 3 and len(rows._compiled) == count


def own(power):
    """A user's kernel: its functions are lambdas that close over a number."""
    return eq.Kernel(
        "own",
        (0.7,),
        lambda t, Phi: (abs(t) < 1) * Phi[0] * (1 - abs(t)) ** power,
        lambda t, Phi: (
            ((t >= -1) & (t < 1)) * (1.0 - 2.0 * (t >= 0)) * Phi[0] * power * (1 - abs(t))
        ),
        lambda t, Phi: ((abs(t) < 1) * (1 - abs(t)) ** power,),
        1.0,
    )


def test_a_kernel_that_divides_by_zero_gives_what_ieee_says():
    box = eq.Kernel(
        "box",
        (),
        lambda t, Phi: (abs(t) < 1) * abs(t) / abs(t),  # 0/0 on a pixel
        lambda t, Phi: 0.0 * t,
        lambda t, Phi: (),
        1.0,
    )
    U, xy = np.ones((1, 3, 3, 1)), np.array([[[[1.5, 0.5], [1.0, 0.5]]]])
    for backend in ("cpu", "reference"):
        V = backends.get(backend).sample(U, xy, kernel=box)
        assert_array_equal(V.ravel(), [4, np.nan])


def test_a_users_own_kernel_is_compiled_and_right():
    cpu, (dV, U, xy) = backends.get("cpu"), case(np.float64)
    for kernel in (own(2), eq.normalised(own(2))):
        V, truth = (m.sample(U, xy, kernel=kernel) for m in (cpu, reference))
        assert_allclose(V, truth, rtol=1e-12, atol=1e-12)
        ours, truth = (m.sample_backward(dV, U, xy, kernel=kernel) for m in (cpu, reference))
        for a, b in zip((*ours[:2], *ours[2]), (*truth[:2], *truth[2]), strict=True):
            assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_what_a_kernel_closes_over_tells_it_from_another():
    U, xy = small(np.float64)
    V = [backends.get("cpu").sample(U, xy, kernel=own(power)) for power in (2, 3)]
    assert_allclose(V[1], reference.sample(U, xy, kernel=own(3)), rtol=1e-12, atol=1e-12)
    assert not np.allclose(*V)


def test_a_kernel_that_does_not_compile_is_named():
    (U, xy), zero = small(), lambda t, Phi: 0 * t
    kernel = eq.Kernel("spelled out", (), lambda t, Phi: {}[t], zero, lambda t, Phi: (), 1.0)
    with pytest.raises(TypeError, match="kernel spelled out does not compile"):
        backends.get("cpu").sample(U, xy, kernel=kernel)


# What it is given.

CALLS = {
    "sample": ("U", "xy"),
    "sample_backward": ("dV", "U", "xy"),
    "transform": ("U", "theta"),
    "transform_backward": ("dV", "U", "theta"),
}
calls = pytest.mark.parametrize("name", CALLS)


def given(name, dtype=np.float32):
    dV, U, xy = case(dtype)
    arrays = {"dV": dV, "U": U, "xy": xy, "theta": np.tile(np.eye(2, 3) * 0.9, (2, 1, 1))}
    return [arrays[a] for a in CALLS[name]]


def arrays_of(result):
    """The arrays in a result, however deep."""
    return [result] if isinstance(result, np.ndarray) else [a for r in result for a in arrays_of(r)]


@calls
def test_long_doubles_are_refused_with_what_to_do(name):
    if np.longdouble is np.float64 or np.finfo(np.longdouble).eps == np.finfo(float).eps:
        pytest.skip("a long double is a double here")
    call, arrays = getattr(backends.get("cpu"), name), given(name)
    for i in range(CALLS[name].index("U"), len(arrays)):
        wide = [a.astype(np.longdouble) if i == j else a for j, a in enumerate(arrays)]
        with pytest.raises(TypeError, match='float64: cast it, or use backend="reference"'):
            call(*wide)


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def unaligned(array):
    """A field of a packed record: one byte off."""
    packed = np.zeros(array.shape, [("byte", np.int8), ("value", array.dtype)])
    packed["value"] = array
    assert not packed["value"].flags.aligned
    return packed["value"]


@calls
@pytest.mark.parametrize("dtype", (np.float32, np.float64), ids=("single", "double"))
@pytest.mark.parametrize("kind", (read_only, unaligned))
def test_read_only_and_unaligned_arrays_are_taken_and_left_as_they_are(name, dtype, kind):
    call, arrays = getattr(backends.get("cpu"), name), given(name, dtype)
    expected, odd = arrays_of(call(*arrays)), [kind(a) for a in arrays]
    for a, b in zip(arrays_of(call(*odd)), expected, strict=True):
        assert_array_equal(a, b)
        assert a.flags.writeable and not any(np.shares_memory(a, o) for o in odd)
    for a, b in zip(odd, arrays, strict=True):
        assert_array_equal(a, b)

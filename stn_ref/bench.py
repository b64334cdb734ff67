"""How fast the CPU backend is: beside PyTorch and OpenCV where they are installed, in one run.

Every case is computed and checked before it is timed. The contestants take turns, so that whatever
else the machine does falls on all of them. Times are medians: of processor time on one thread, of
the time that passes on all.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stn_ref import backends
from stn_ref.backends import reference
from stn_ref.backends.pixels import source_pixels
from stn_ref.equations import AFFINE, BILINEAR, Kernel, keys
from stn_ref.equations.arguments import Array
from stn_ref.progress import progress

SHAPES = (
    *((1, 1, 28, 28), (256, 1, 28, 28), (64, 1, 60, 60), (32, 64, 56, 56)),
    *((8, 3, 512, 512), (1, 1, 2160, 3840)),
)
QUICK = ((1, 1, 28, 28), (2, 4, 12, 12))
TASKS = ("grid forward", "fused forward", "grid backward", "fused backward")
SAMPLES = 4096  # output pixels whose values are checked


class Case(NamedTuple):
    """One shape in one layout with one kernel, and all that the tasks take."""

    shape: tuple[int, int, int, int]  # B, C, H, W
    layout: str
    kernel: Kernel
    U: Array
    dV: Array
    theta: Array
    xy: Array
    grid: Array


def case(shape: tuple[int, int, int, int], layout: str, kernel: Kernel, rng: Any) -> Case:
    """Random maps, and affine transformations near the identity."""
    B, C, H, W = shape
    U, dV = (rng.random(shape, np.float32).transpose(0, 2, 3, 1) for _ in range(2))
    if layout == "channels last":
        U, dV = np.ascontiguousarray(U), np.ascontiguousarray(dV)
    theta = (AFFINE.identity() + rng.uniform(-0.15, 0.15, (B, 2, 3))).astype(np.float32)
    xy = source_pixels(theta, AFFINE, (H, W), (H, W), False)
    grid = (2 * xy + 1) / [W, H] - 1
    return Case(shape, layout, kernel, U, dV, theta, xy.astype(np.float32), grid.astype(np.float32))


def ours(c: Case) -> dict[str, Callable[[], Any]]:
    """The four tasks on the CPU backend."""
    cpu: Any = backends.get("cpu")
    options: dict[str, Any] = {"kernel": c.kernel}
    fused: dict[str, Any] = {"kernel": c.kernel, "align_corners": False}
    return {
        "grid forward": lambda: cpu.sample(c.U, c.xy, **options),
        "fused forward": lambda: cpu.transform(c.U, c.theta, **fused),
        "grid backward": lambda: cpu.sample_backward(c.dV, c.U, c.xy, **options),
        "fused backward": lambda: cpu.transform_backward(c.dV, c.U, c.theta, **fused),
    }


def torchs(c: Case, *, turned: bool = False) -> dict[str, Callable[[], Any]]:
    """The same by torch's affine_grid and grid_sample; backward without its forward pass.

    `turned` gives it planar maps with their channels last.
    """
    torch = import_module("torch")
    F, mode = torch.nn.functional, "bilinear" if c.kernel is BILINEAR else "bicubic"
    U, dV = (torch.from_numpy(a.transpose(0, 3, 1, 2)) for a in (c.U, c.dV))
    if turned:
        U, dV = (a.contiguous(memory_format=torch.channels_last) for a in (U, dV))
    theta, grid = torch.from_numpy(c.theta), torch.from_numpy(c.grid)

    def sample(U: Any, grid: Any) -> Any:
        return F.grid_sample(U, grid, mode=mode, align_corners=False)

    def lattice(theta: Any) -> Any:
        return F.affine_grid(theta, c.shape, align_corners=False)

    u, t, g = (a.detach().requires_grad_() for a in (U, theta, grid))
    by_grid, by_theta = sample(u, g), sample(u, lattice(t))

    def back(V: Any, leaf: Any) -> Any:
        return torch.autograd.grad(V, (u, leaf), dV, retain_graph=True)

    return {
        "grid forward": lambda: sample(U, grid),
        "fused forward": lambda: sample(U, lattice(theta)),
        "grid backward": lambda: back(by_grid, g),
        "fused backward": lambda: back(by_theta, t),
    }


def opencvs(c: Case) -> dict[str, Callable[[], Any]]:
    """The forward tasks by OpenCV, image by image, on interleaved channels; three at most."""
    cv2 = import_module("cv2")
    (_, C, H, W), U = c.shape, np.ascontiguousarray(c.U)
    if C > 3:
        return {}
    flag = cv2.INTER_LINEAR if c.kernel is BILINEAR else cv2.INTER_CUBIC
    maps = [(np.ascontiguousarray(p[..., 0]), np.ascontiguousarray(p[..., 1])) for p in c.xy]
    matrices = []
    for p in c.xy.astype(np.float64):
        x0, dx = p[0, 0], (p[0, -1] - p[0, 0]) / max(W - 1, 1)
        matrices.append(np.stack([dx, (p[-1, 0] - x0) / max(H - 1, 1), x0], axis=-1))
    warp = flag | cv2.WARP_INVERSE_MAP
    return {
        "grid forward": lambda: [cv2.remap(u, *m, flag) for u, m in zip(U, maps, strict=True)],
        "fused forward": lambda: [
            cv2.warpAffine(u, m, (W, H), flags=warp) for u, m in zip(U, matrices, strict=True)
        ],
    }


def check(c: Case, rng: Any) -> None:
    """V and dxy at random output pixels against the reference, dU by adjointness.

    Raises AssertionError, with the case's name, if one of them is wrong.
    """
    B, _, H, W = c.shape
    tasks, name = ours(c), f"{c.shape} {c.layout} {c.kernel.name}"
    tolerance = 6e-7 if c.kernel is BILINEAR else 3e-6  # maps lie in [0, 1]
    V, (dU, dxy, _) = tasks["grid forward"](), tasks["grid backward"]()
    fused, (dU_fused, _) = tasks["fused forward"](), tasks["fused backward"]()
    b = int(rng.integers(B))
    i, j = rng.integers(H, size=SAMPLES), rng.integers(W, size=SAMPLES)
    exact = source_pixels(c.theta[b : b + 1], AFFINE, (H, W), (H, W), False)[:, i, j][:, None]
    for found, xy in ((V, c.xy[b : b + 1, i, j][:, None]), (fused, exact)):
        truth = reference.sample(c.U[b : b + 1], xy, kernel=c.kernel)[0, 0]
        if not np.allclose(found[b, i, j], truth, rtol=0, atol=tolerance):
            raise AssertionError(f"{name}: V is wrong by {np.abs(found[b, i, j] - truth).max()}")
    one = c.dV[b, i, j][None, None], c.U[b : b + 1], c.xy[b : b + 1, i, j][:, None]
    _, truth, _ = reference.sample_backward(*one, kernel=c.kernel)
    scale = np.abs(truth).max() + 1
    if not np.allclose(dxy[b, i, j], truth[0, 0], rtol=1e-4, atol=1e-5 * scale):
        raise AssertionError(f"{name}: dxy is wrong by {np.abs(dxy[b, i, j] - truth[0, 0]).max()}")
    for found, gradient in ((V, dU), (fused, dU_fused)):
        there = np.sum(found * c.dV, dtype=np.float64)
        back = np.sum(c.U * gradient, dtype=np.float64)
        if not np.isclose(there, back, rtol=1e-4):
            raise AssertionError(f"{name}: ⟨V, dV⟩ = {there} and ⟨U, dU⟩ = {back}")


def in_turns(
    contestants: dict[str, Callable[[], Any]],
    seconds: float,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, float]:
    """The median time of each, in milliseconds; one after another, again and again."""
    for run in contestants.values():
        run()
        run()
    times: dict[str, list[float]] = {name: [] for name in contestants}
    start = time.perf_counter()
    while time.perf_counter() - start < seconds or len(times["ours"]) < 5:
        for name, run in contestants.items():
            begin = clock()
            run()
            times[name].append(clock() - begin)
    return {name: 1e3 * float(np.median(t)) for name, t in times.items()}


def copy(c: Case, U: Array, V: Array) -> None:
    """Input and output once over: nothing that reads and writes them is faster."""
    np.copyto(U, c.U)
    np.copyto(V, c.dV)


PEERS = {"torch": "set_num_threads", "cv2": "setNumThreads"}


def installed() -> list[str]:
    """The peers that are."""
    return [name for name in PEERS if find_spec(name)]


def use_threads(number: int) -> None:
    """Tell everyone to use so many."""
    import_module("numba").set_num_threads(number)
    for name in installed():
        getattr(import_module(name), PEERS[name])(number)


def fields(c: Case) -> dict[str, Any]:
    """Who takes part in a case, with what they can do."""
    U, V = np.empty_like(c.U), np.empty_like(c.dV)
    taking: dict[str, Any] = {"ours": ours(c), "copy": dict.fromkeys(TASKS, partial(copy, c, U, V))}
    if "torch" in installed():
        taking["torch"] = torchs(c)
        if c.layout == "planar" and c.shape[1] > 1:
            taking["torch, channels last"] = torchs(c, turned=True)
    if "cv2" in installed():
        taking["opencv"] = opencvs(c)
    return taking


def all_cases(*, quick: bool, rng: Any) -> list[tuple[Any, str, Kernel]]:
    """Shape, layout, kernel: the fixed ones and some drawn now."""
    shapes = list(QUICK if quick else SHAPES)
    for _ in range(1 if quick else 3):
        side = 12 if quick else 200
        B, C, H, W = (int(rng.integers(1, most)) for most in (9, 9, side, side))
        shapes.append((B, C, H + 1, W + 1))
    cases: list[tuple[Any, str, Kernel]] = []
    for shape in shapes:
        cases.append((shape, "planar", BILINEAR))
        if shape[1] >= 4:
            cases.append((shape, "channels last", BILINEAR))
    cases.append(((1, 3, 12, 12) if quick else (8, 3, 512, 512), "planar", keys()))
    return cases


def measure(*, quick: bool, seconds: float, seed: int) -> dict[str, Any]:
    """All rows, and the machine they were taken on."""
    rng = np.random.default_rng(seed)
    most, rows = int(import_module("numba").config.NUMBA_NUM_THREADS), []
    for shape, layout, kernel in progress(all_cases(quick=quick, rng=rng), "bench"):
        c = case(shape, layout, kernel, rng)
        check(c, rng)
        taking = fields(c)
        for threads in dict.fromkeys((1, most)):
            use_threads(threads)
            for task in TASKS:
                runs = {name: tasks[task] for name, tasks in taking.items() if task in tasks}
                clock = time.process_time if threads == 1 else time.perf_counter
                times = in_turns(runs, seconds, clock)
                rows.append(
                    {"shape": shape, "layout": layout, "kernel": kernel.name, "task": task}
                    | {"threads": threads, "milliseconds": times}
                    | {"ratio": {n: t / times["ours"] for n, t in times.items() if n != "ours"}}
                )
    return {"machine": machine(installed()), "seed": seed, "rows": rows}


def machine(peers: list[str]) -> dict[str, str]:
    """Processor and versions."""
    processor = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [x for x in info.read_text().splitlines() if x.startswith("model name")]
        processor = names[0].split(":")[1].strip() if names else processor
    packages = ["numpy", "numba", *(p for p in peers if p == "torch")]
    versions = {name: metadata.version(name) for name in packages}
    if "cv2" in peers:
        versions["opencv"] = import_module("cv2").__version__
    return {"processor": processor, "python": platform.python_version(), **versions}


def table(result: dict[str, Any]) -> str:
    """One line a row: time per output value, and how many times faster than each peer.

    torch: in the same layout; best: in whichever of its two was faster.
    """
    title = f"{'threads':>7} {'shape':>16} {'layout':13} {'kernel':9} {'task':15} ns/value"
    lines = [f"{title}  torch   best opencv   copy"]
    for row in result["rows"]:
        B, C, H, W = row["shape"]
        each, ratio = 1e6 * row["milliseconds"]["ours"] / (B * C * H * W), dict(row["ratio"])
        both = [ratio[name] for name in ratio if name.startswith("torch")]
        ratio |= {"best": min(both)} if both else {}
        columns = ("torch", "best", "opencv", "copy")
        marks = [f"{ratio[name]:6.2f}" if name in ratio else "     -" for name in columns]
        lines.append(
            f"{row['threads']:7} {','.join(map(str, row['shape'])):>16} {row['layout']:13} "
            f"{row['kernel']:9} {row['task']:15} {each:8.2f} {' '.join(marks)}"
        )
    return "\n".join(lines)


def bench(out: Path, figure: Path, *, quick: bool = False, seed: int = 0) -> None:
    """Measure, print, and write the numbers and their picture."""
    from stn_ref.roofline import roofline

    result = measure(quick=quick, seconds=0.01 if quick else 0.5, seed=seed)
    print(table(result))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")
    figure.parent.mkdir(parents=True, exist_ok=True)
    alone = [row for row in result["rows"] if row["threads"] == 1]
    roofline(alone).savefig(figure, dpi=100)
    print(f"{out}\n{figure}")

"""How fast the CPU backend is: beside PyTorch and OpenCV where they are installed, in one run.

Every row is computed and checked before it is timed. The contestants take turns, so that whatever
else the machine does falls on all of them; times are medians of processor time on one thread.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module, metadata
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


def torchs(c: Case) -> dict[str, Callable[[], Any]]:
    """The same by torch's affine_grid and grid_sample; backward without its forward pass."""
    torch = import_module("torch")
    F, mode = torch.nn.functional, "bilinear" if c.kernel is BILINEAR else "bicubic"
    U, dV = (torch.from_numpy(a.transpose(0, 3, 1, 2)) for a in (c.U, c.dV))
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


def in_turns(contestants: dict[str, Callable[[], Any]], seconds: float) -> dict[str, float]:
    """The median time of each, in milliseconds; one after another, again and again."""
    for run in contestants.values():
        run()
        run()
    times: dict[str, list[float]] = {name: [] for name in contestants}
    start = time.perf_counter()
    while time.perf_counter() - start < seconds or len(times["ours"]) < 5:
        for name, run in contestants.items():
            begin = time.process_time()
            run()
            times[name].append(time.process_time() - begin)
    return {name: 1e3 * float(np.median(t)) for name, t in times.items()}


def copy(c: Case, U: Array, V: Array) -> None:
    """Input and output once over: nothing that reads and writes them is faster."""
    np.copyto(U, c.U)
    np.copyto(V, c.dV)


def single_thread() -> list[str]:
    """Tell everyone to use one thread; the names of the peers that are installed."""
    import_module("numba").set_num_threads(1)
    peers = []
    for name, setting in (("torch", "set_num_threads"), ("cv2", "setNumThreads")):
        try:
            getattr(import_module(name), setting)(1)
            peers.append(name)
        except ImportError:
            pass
    return peers


def measure(*, quick: bool, seconds: float, seed: int) -> dict[str, Any]:
    """All rows, and the machine they were taken on."""
    rng, peers = np.random.default_rng(seed), single_thread()
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
    rows = []
    for shape, layout, kernel in progress(cases, "bench"):
        c = case(shape, layout, kernel, rng)
        check(c, rng)
        U, V = np.empty_like(c.U), np.empty_like(c.dV)
        fields = {"ours": ours(c)}
        fields |= {"torch": torchs(c)} if "torch" in peers else {}
        fields |= {"opencv": opencvs(c)} if "cv2" in peers else {}
        for task in TASKS:
            runs = {name: tasks[task] for name, tasks in fields.items() if task in tasks}
            runs["copy"] = partial(copy, c, U, V)
            times = in_turns(runs, seconds)
            rows.append(
                {"shape": shape, "layout": layout, "kernel": kernel.name, "task": task}
                | {"milliseconds": times}
                | {"ratio": {n: t / times["ours"] for n, t in times.items() if n != "ours"}}
            )
    return {"machine": machine(peers), "threads": 1, "seed": seed, "rows": rows}


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
    """One line a row: time per output value, and how many times faster than each peer."""
    lines = [f"{'shape':>20} {'layout':13} {'kernel':9} {'task':15} ns/value  torch opencv   copy"]
    for row in result["rows"]:
        B, C, H, W = row["shape"]
        each = 1e6 * row["milliseconds"]["ours"] / (B * C * H * W)
        marks = [
            f"{row['ratio'][name]:6.2f}" if name in row["ratio"] else "     -"
            for name in ("torch", "opencv", "copy")
        ]
        lines.append(
            f"{','.join(map(str, row['shape'])):>20} {row['layout']:13} {row['kernel']:9} "
            f"{row['task']:15} {each:8.2f} {' '.join(marks)}"
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
    roofline(result["rows"]).savefig(figure, dpi=100)
    print(f"{out}\n{figure}")

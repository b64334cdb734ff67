"""How fast the CUDA backend is on a GPU: beside PyTorch's kernels, and beside a plain copy.

Every case is checked before it is timed, on the GPU. Each contestant goes from one set of inputs to
the next, and keeps its last results, so that what it reads and writes is larger than the GPU's
cache and does not lie there. Two times are taken, in milliseconds: `gpu`, the median between two
events around one call, while the host is ahead of the GPU; and `call`, a call's share of a row of
them, which is longer where the host takes longer. With θ on the GPU a call waits for it.
"""

from __future__ import annotations

import json
import time
import warnings
from collections import deque
from collections.abc import Callable
from functools import partial
from importlib import import_module, metadata
from importlib.util import find_spec
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np

from stn_ref import backends
from stn_ref.backends.cuda import numba_cuda
from stn_ref.bench.contest import TASKS, Case, case, check, in_layouts, ours, torchs
from stn_ref.bench.cpu import machine
from stn_ref.progress import progress

SHAPES = (
    *((1, 1, 28, 28), (256, 1, 28, 28), (64, 1, 60, 60), (32, 64, 56, 56), (8, 3, 512, 512)),
    *((1, 1, 2160, 3840), (1, 3, 2160, 3840), (64, 256, 64, 64)),
    *((2, 1, 64, 64, 64), (1, 32, 32, 64, 64), (1, 1, 160, 192, 160)),  # volumes
)
QUICK = ((1, 1, 3, 4), (1, 4, 3, 2), (1, 1, 2, 2, 3))
RUNS = 30
MOST = 256  # sets of inputs: more are not made of small maps
LARGE = 20_000_000  # bytes of a map from which the copy is the measure
SHARE = 0.7  # of the copy's speed


def placed(c: Case) -> Case:
    """The case in torch's tensors, on the GPU where there is one, in the same layout."""
    torch = import_module("torch")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    arrays = {name: torch.from_numpy(a) for name, a in c._asdict().items() if _is_array(a)}
    return c._replace(**{name: a.to(device, copy=True) for name, a in arrays.items()})


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray)


def on_host(array: Any) -> Any:
    """A tensor as an array of NumPy."""
    return array.cpu().numpy() if hasattr(array, "cpu") else np.asarray(array)


def traffic(c: Case, task: str) -> int:
    """The bytes that a task must read and write."""
    U, V, xy = (int(a.nbytes) for a in (c.U, c.dV, c.xy))
    grid = xy if task.startswith("grid") else 0
    return U + V + grid if task.endswith("forward") else 2 * U + V + 2 * grid


def fields(c: Case, sets: int) -> dict[str, dict[str, list[Callable[[], Any]]]]:
    """For each contestant and task the same call on several sets of inputs."""
    torch, there = import_module("torch"), [placed(c) for _ in range(sets)]
    host_theta = [x._replace(theta=c.theta) for x in there]
    taking = {
        "ours": [ours(x, "cuda") for x in there],
        "ours, θ on the host": [_fused(ours(x, "cuda")) for x in host_theta],
        "ours, atomics": [_back(ours(x, "cuda", deterministic=False)) for x in there],
        "torch": [torchs(x) for x in there],
    }
    if c.layout == "planar" and c.shape[1] > 1:
        taking["torch, channels last"] = [torchs(x, turned=True) for x in there]
    turns = {n: {t: [s[t] for s in each] for t in each[0]} for n, each in taking.items()}
    turns["copy"] = {}
    for task in TASKS:
        half = -(-traffic(c, task) // 1024) * 512
        pairs = [
            torch.zeros((2, half), dtype=torch.uint8, device=there[0].U.device) for _ in range(sets)
        ]
        turns["copy"][task] = [partial(pair[0].copy_, pair[1]) for pair in pairs]
    return turns


def _fused(tasks: dict[str, Any]) -> dict[str, Any]:
    return {name: run for name, run in tasks.items() if name.startswith("fused")}


def _back(tasks: dict[str, Any]) -> dict[str, Any]:
    return {name: run for name, run in tasks.items() if name.endswith("backward")}


def simulated() -> bool:
    """Whether Numba's simulator is in the GPU's place."""
    return bool(import_module("numba").config.ENABLE_CUDASIM)


def pause() -> Callable[[], Any]:
    """Something that keeps the GPU busy for two milliseconds, while the host gets ahead of it."""
    cuda = numba_cuda()
    if simulated():
        return lambda: None

    def wait(times: Any) -> None:
        for _ in range(times):
            cuda.nanosleep(np.uint32(100_000))

    with warnings.catch_warnings():  # that one thread does not fill the GPU
        warnings.simplefilter("ignore")
        started = cuda.jit(wait)[1, 1]
    return lambda: started(20)


def timed(
    contestants: dict[str, list[Callable[[], Any]]], runs: int, wait: Callable[[], Any]
) -> dict[str, dict[str, float]]:
    """`gpu` and `call` of each, which take turns: a GPU's clock is slow to rise."""
    cuda = import_module("numba.cuda")
    kept = {name: deque[Any](maxlen=len(turns)) for name, turns in contestants.items()}
    for name, turns in contestants.items():  # all is compiled and all memory taken
        kept[name].extend(run() for run in islice(cycle(turns), max(2, len(turns))))
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for n in range(runs):
        for name, turns in contestants.items():
            begin, end = cuda.event(), cuda.event()
            cuda.synchronize()
            wait()
            begin.record()
            kept[name].append(turns[n % len(turns)]())
            end.record()
            end.synchronize()
            times[name].append(float(begin.elapsed_time(end)))
    calls = {}
    for name, turns in contestants.items():
        cuda.synchronize()
        start = time.perf_counter()
        kept[name].extend(run() for run in islice(cycle(turns), runs))
        cuda.synchronize()
        calls[name] = 1e3 * (time.perf_counter() - start) / runs
    return {n: {"gpu": float(np.median(t)), "call": calls[n]} for n, t in times.items()}


def row(c: Case, task: str, times: dict[str, dict[str, float]]) -> dict[str, Any]:
    """The times of a task, how many times faster than each, and whether that is enough."""
    on_gpu = {name: t["gpu"] for name, t in times.items()}
    ratio = {name: t / on_gpu["ours"] for name, t in on_gpu.items() if name != "ours"}
    holds = {"torch": ratio["torch"] >= 1}
    if task.endswith("forward") and c.U.nbytes >= LARGE:
        holds["copy"] = ratio["copy"] >= SHARE
    about = {"shape": c.shape, "layout": c.layout, "kernel": c.kernel.name, "task": task}
    return {**about, "bytes": traffic(c, task), "times": times, "ratio": ratio, "holds": holds}


def line(found: dict[str, Any]) -> str:
    """A row in one line: times on the GPU, the call's, and the ratios with their targets."""
    mine, shape = found["times"]["ours"], ",".join(map(str, found["shape"]))
    marks = "  ".join(
        f"{name} {value:.2f}{'' if found['holds'].get(name, True) else ' (too slow)'}"
        for name, value in found["ratio"].items()
    )
    return (
        f"{shape:>15} {found['layout']:13} {found['kernel']:8} {found['task']:14} "
        f"gpu {mine['gpu']:.4f} call {mine['call']:.4f} ms; times as fast as  {marks}"
    )


def about(cache: int) -> dict[str, Any]:
    """The machine, with its GPU."""
    gpu = getattr(import_module("numba.cuda").get_current_device(), "name", "simulator")
    versions = {"numba-cuda": metadata.version("numba-cuda")}
    return machine(["torch"]) | {"gpu": str(gpu), "cache": cache} | versions


def bench(out: Path, *, quick: bool = False, seed: int = 0) -> None:
    """Measure, print, and write the numbers as they come."""
    backend: Any = backends.get("cuda")
    reason = backend.why_not() or ("" if find_spec("torch") else "torch is not installed")
    if reason:
        raise RuntimeError(f"there is nothing to time: {reason}")
    device = numba_cuda().get_current_device()
    cache = int(getattr(device, "L2_CACHE_SIZE", 0))
    rng, wait, rows = np.random.default_rng(seed), pause(), []
    cases = in_layouts(QUICK if quick else SHAPES, (1, 1, 2, 2) if quick else (8, 3, 512, 512))
    out.parent.mkdir(parents=True, exist_ok=True)
    for shape, layout, kernel in progress(cases, "bench"):
        c = case(shape, layout, kernel, rng)
        check(c, rng, lambda c: ours(placed(c), "cuda"), on_host)
        sets = min(MOST, max(2, -(-4 * cache // (c.U.nbytes + c.dV.nbytes))))
        contestants = fields(c, sets)
        for task in TASKS:
            runs = {name: turns[task] for name, turns in contestants.items() if task in turns}
            rows.append(row(c, task, timed(runs, 1 if quick else RUNS, wait)))
            print(line(rows[-1]), flush=True)
        result = {"machine": about(cache), "seed": seed, "rows": rows}
        out.write_text(json.dumps(result, indent=1) + "\n")
    held = sum(all(r["holds"].values()) for r in rows)
    verdict = f"the targets hold in {held} of {len(rows)} rows"
    print(f"{'simulated: these are no times' if simulated() else verdict}\n{out}")

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
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from stn_ref.bench.contest import TASKS, Case, case, check, in_layouts, opencvs, ours, torchs
from stn_ref.equations import Kernel
from stn_ref.equations.arguments import Array
from stn_ref.progress import progress

SHAPES = (
    *((1, 1, 28, 28), (256, 1, 28, 28), (64, 1, 60, 60), (32, 64, 56, 56)),
    *((8, 3, 512, 512), (1, 1, 2160, 3840)),
    *((2, 1, 64, 64, 64), (1, 32, 32, 64, 64), (1, 1, 160, 192, 160)),
)
QUICK = ((1, 1, 28, 28), (2, 4, 12, 12), (1, 1, 5, 6, 7))


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
    return in_layouts(shapes, (1, 3, 12, 12) if quick else (8, 3, 512, 512))


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
    title = f"{'threads':>7} {'shape':>17} {'layout':13} {'kernel':9} {'task':15} ns/value"
    lines = [f"{title}  torch   best opencv   copy"]
    for row in result["rows"]:
        each = 1e6 * row["milliseconds"]["ours"] / prod(row["shape"])
        ratio = dict(row["ratio"])
        both = [ratio[name] for name in ratio if name.startswith("torch")]
        ratio |= {"best": min(both)} if both else {}
        columns = ("torch", "best", "opencv", "copy")
        marks = [f"{ratio[name]:6.2f}" if name in ratio else "     -" for name in columns]
        lines.append(
            f"{row['threads']:7} {','.join(map(str, row['shape'])):>17} {row['layout']:13} "
            f"{row['kernel']:9} {row['task']:15} {each:8.2f} {' '.join(marks)}"
        )
    return "\n".join(lines)


def bench(out: Path, figure: Path, *, quick: bool = False, seed: int = 0) -> None:
    """Measure, print, and write the numbers and their picture."""
    from stn_ref.plots.canvas import save
    from stn_ref.plots.roofline import roofline

    result = measure(quick=quick, seconds=0.01 if quick else 0.5, seed=seed)
    print(table(result))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")
    figure.parent.mkdir(parents=True, exist_ok=True)
    alone = [row for row in result["rows"] if row["threads"] == 1]
    save(roofline(alone), figure, dpi=100)
    print(f"{out}\n{figure}")

"""How fast the CUDA backend is, on a GPU, beside PyTorch's kernels where it is installed.

The cases, the checks and the tasks are those of `bench`; the maps are on the GPU. A time is the
median of runs between two events on the stream, after all have been compiled; what the host spends
on a call is in it where that is longer.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from stn_ref import backends
from stn_ref.bench import TASKS, Case, all_cases, case, machine
from stn_ref.equations import BILINEAR
from stn_ref.equations.sampler import sample
from stn_ref.progress import progress

RUNS = 30


def on_gpu(array: Any) -> Any:
    """The array on the GPU with its layout: torch's if it is installed, else Numba's."""
    if find_spec("torch"):
        return import_module("torch").from_numpy(array).cuda()
    return import_module("numba.cuda").to_device(array)


def ours(c: Case, *, deterministic: bool = True) -> dict[str, Callable[[], Any]]:
    """The four tasks."""
    cuda: Any = backends.get("cuda")
    U, dV, theta, xy = (on_gpu(a) for a in (c.U, c.dV, c.theta, c.xy))
    options: dict[str, Any] = {"kernel": c.kernel, "deterministic": deterministic}
    fused: dict[str, Any] = {**options, "align_corners": False}
    return {
        "grid forward": lambda: cuda.sample(U, xy, **options),
        "fused forward": lambda: cuda.transform(U, theta, **fused),
        "grid backward": lambda: cuda.sample_backward(dV, U, xy, **options),
        "fused backward": lambda: cuda.transform_backward(dV, U, theta, **fused),
    }


def torchs(c: Case) -> dict[str, Callable[[], Any]]:
    """The same by torch's affine_grid and grid_sample."""
    torch = import_module("torch")
    F, mode = torch.nn.functional, "bilinear" if c.kernel is BILINEAR else "bicubic"
    U, dV = (on_gpu(a).permute(0, 3, 1, 2) for a in (c.U, c.dV))
    theta, grid = on_gpu(c.theta), on_gpu(c.grid)

    def run(U: Any, grid: Any) -> Any:
        return F.grid_sample(U, grid, mode=mode, align_corners=False)

    def lattice(theta: Any) -> Any:
        return F.affine_grid(theta, c.shape, align_corners=False)

    u, t, g = (a.detach().requires_grad_() for a in (U, theta, grid))
    by_grid, by_theta = run(u, g), run(u, lattice(t))
    back = partial(torch.autograd.grad, grad_outputs=dV, retain_graph=True)
    return {
        "grid forward": lambda: run(U, grid),
        "fused forward": lambda: run(U, lattice(theta)),
        "grid backward": lambda: back(by_grid, (u, g)),
        "fused backward": lambda: back(by_theta, (u, t)),
    }


def check(c: Case) -> None:
    """V against the equations on the first rows of the first image.

    Raises AssertionError, with the case's name, if it is wrong.
    """
    found = backends.get("cuda").sample(c.U, c.xy, kernel=c.kernel)[:1, :2]
    truth = sample(c.U[:1], c.xy[:1, :2], kernel=c.kernel)
    if not np.allclose(found, truth, rtol=0, atol=3e-6):
        raise AssertionError(f"{c.shape} {c.layout} {c.kernel.name}: V is wrong")


def milliseconds(run: Callable[[], Any], runs: int) -> float:
    """The median time of one run."""
    cuda = import_module("numba.cuda")
    stream: Any = 0
    if find_spec("torch"):
        pointer = import_module("torch").cuda.current_stream().cuda_stream
        stream = cuda.external_stream(pointer) if pointer else 0
    run()
    run()
    times = []
    for _ in range(runs):
        begin, end = cuda.event(), cuda.event()
        begin.record(stream)
        run()
        end.record(stream)
        end.synchronize()
        times.append(float(cuda.event_elapsed_time(begin, end)))
    return float(np.median(times))


def bench(out: Path, *, quick: bool = False, seed: int = 0) -> None:
    """Measure, print, and write the numbers."""
    reason = backends.get("cuda").why_not()
    if reason:
        raise RuntimeError(f"there is nothing to time: {reason}")
    rng, rows = np.random.default_rng(seed), []
    for shape, layout, kernel in progress(all_cases(quick=quick, rng=rng), "bench"):
        c = case(shape, layout, kernel, rng)
        check(c)
        taking = {"ours": ours(c), "atomics": ours(c, deterministic=False)}
        if find_spec("torch"):
            taking["torch"] = torchs(c)
        for task in TASKS:
            times = {n: milliseconds(t[task], 3 if quick else RUNS) for n, t in taking.items()}
            rows.append(
                {"shape": shape, "layout": layout, "kernel": kernel.name, "task": task}
                | {"milliseconds": times}
            )
            shown = "  ".join(f"{name} {t:.4f}" for name, t in times.items())
            print(f"{shape!s:22} {layout:13} {kernel.name:9} {task:15} {shown}")
    peers = ["torch"] if find_spec("torch") else []
    gpu = import_module("numba.cuda").get_current_device().name
    about = machine(peers) | {"gpu": gpu if isinstance(gpu, str) else gpu.decode()}
    about["numba-cuda"] = metadata.version("numba-cuda")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"machine": about, "seed": seed, "rows": rows}, indent=1) + "\n")
    print(out)

"""How fast training is: a step of each of the paper's networks, beside the same network in PyTorch.

A step is the forward pass, the loss, the gradients of all weights and Adam, on one batch of
distorted digits. Both have the same weights, and are checked against each other before they are
timed: in float64, and again in float32, where rounding may put a maximum or a point on the other
side of a knot. They take turns, on one thread; times are medians of processor time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stn_ref import nn
from stn_ref.bench.cpu import in_turns, installed, machine, use_threads
from stn_ref.data import TASKS, digits, distort
from stn_ref.equations import AFFINE, BILINEAR
from stn_ref.equations.arguments import Array
from stn_ref.experiments.models import MODELS, network
from stn_ref.nn.layer import Layer, Params, backward_to_params
from stn_ref.nn.trees import mapped, named
from stn_ref.progress import progress

NETWORKS = [(task, model) for task in ("R", "RTS") for model in MODELS]
BATCH, QUICK = 256, 8
TOLERANCES = {np.float64: 1e-9, np.float32: 5e-2}  # of gradients, in units of their norms
AXES = {1: (0,), 2: (1, 0), 4: (3, 2, 0, 1)}  # ours in torch's order: of biases, Dense and Conv2d
TORCHS: dict[str, dict[str, Any]] = {
    "torch": {},
    "torch, fused Adam": {"fused": True},
    "torch, fused Adam, channels last": {"fused": True, "turned": True},
}


class Case(NamedTuple):
    """A network, its weights, and a batch."""

    model: Layer
    params: Params
    images: Array
    labels: Array


class Step(NamedTuple):
    """The loss and its gradients with respect to the weights; and a step, which moves no weights.

    So every step is the same work.
    """

    gradients: Callable[[], tuple[float, Params]]
    run: Callable[[], Any]


def case(model: Layer, task: str, batch: int, rng: Any, dtype: Any) -> Case:
    """Distorted digits, and weights off the first ones.

    The first θ is the identity, whose points all lie on knots: there derivatives are a choice.
    """
    found = digits(dtype=dtype)
    images, labels, *_ = distort(TASKS[task], found.x_train[:batch], found.y_train[:batch], rng)
    params, _ = model.initialise(rng, images.shape[1:])
    moved = mapped(lambda w: w + 0.01 * rng.standard_normal(w.shape), params)
    return Case(model, nn.cast(moved, dtype), images, labels)


def ours(c: Case) -> Step:
    """As `fit` makes it."""
    optimiser = nn.Adam()
    state = optimiser.initialise(c.params)

    def gradients() -> tuple[float, Params]:
        z, cache = c.model.forward(c.params, c.images)
        loss, dz = nn.softmax_cross_entropy(z, c.labels)
        return loss, backward_to_params(c.model, dz, cache)

    return Step(gradients, lambda: optimiser.step(c.params, gradients()[1], state))


def torchs(c: Case, *, fused: bool | None = None, turned: bool = False) -> Step:
    """The same by torch, on planar maps; `turned` gives it maps with their channels last."""
    torch = import_module("torch")
    form = torch.channels_last if turned else torch.contiguous_format

    def tensor(array: Array, axes: tuple[int, ...]) -> Any:
        found = torch.from_numpy(array.transpose(axes).copy())
        return found.contiguous(memory_format=form) if found.ndim == 4 else found

    images, labels = tensor(c.images, (0, 3, 1, 2)), torch.from_numpy(c.labels)
    params = mapped(lambda w: tensor(w, AXES[w.ndim]).requires_grad_(), c.params)
    optimiser = torch.optim.Adam([leaf for _, leaf in named(params)], lr=0.0, fused=fused)

    def backward() -> Any:
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(twin(c.model, params, images), labels)
        loss.backward()
        return loss

    def gradients() -> tuple[float, Params]:
        loss = backward().item()
        return loss, mapped(lambda w: w.grad.numpy().transpose(np.argsort(AXES[w.ndim])), params)

    return Step(gradients, lambda: (backward(), optimiser.step()))


def twin(layer: Layer, params: Params, x: Any) -> Any:
    """What a layer makes of x, (B, C, H, W) or (B, F), by torch.

    Raises ValueError if torch has no such layer.
    """
    F = import_module("torch").nn.functional
    match layer:
        case nn.Sequential(layers=layers):
            for inner, weights in zip(layers, params, strict=True):
                x = twin(inner, weights, x)
            return x
        case nn.Parallel(layers=layers):
            seen = [twin(inner, w, x) for inner, w in zip(layers, params, strict=True)]
            return import_module("torch").cat(seen, dim=1)
        case nn.SpatialTransformer(transformation=T, kernel=kernel, padding="zeros"):
            if T is AFFINE and kernel is BILINEAR:
                theta = twin(layer.f_loc, params["f_loc"], x).reshape(-1, 2, 3)
                size = (*x.shape[:2], *(layer.size or x.shape[2:]))
                grid = F.affine_grid(theta, size, align_corners=layer.align_corners)
                return F.grid_sample(x, grid, align_corners=layer.align_corners)
        case nn.Conv2d(stride=stride, padding=padding):
            return F.conv2d(x, params["W"], params["b"], stride, padding)
        case nn.Dense():
            return F.linear(x, params["W"], params["b"])
        case nn.MaxPool2d(size=n):
            return F.max_pool2d(x, n)
        case nn.AveragePool2d(size=n):
            return F.avg_pool2d(x, n)
        case nn.Relu():
            return F.relu(x)
        case nn.Flatten():
            return x.permute(0, 2, 3, 1).flatten(1) if x.ndim == 4 else x.flatten(1)
    raise ValueError(f"torch has no {layer}")


def check(name: str, found: Step, expected: Step, tolerance: float) -> None:
    """The loss and each gradient against the peer's; the tolerance is in units of their norms.

    Raises AssertionError, with the name of the network and of the weights, if one is wrong.
    """
    (loss, dparams), (true_loss, truth) = found.gradients(), expected.gradients()
    if not abs(loss - true_loss) <= min(tolerance, 1e-5) * true_loss:
        raise AssertionError(f"{name}: the loss is {loss}; expected {true_loss}")
    for (leaf, g), (_, t) in zip(named(dparams), named(truth), strict=True):
        off, norm = np.linalg.norm(g - t), np.linalg.norm(t)
        if not off <= tolerance * norm:
            raise AssertionError(f"{name}: the gradient of {leaf} is off by {off} of {norm}")


def contestants(name: str, c: Case, tolerance: float) -> dict[str, Step]:
    """Who takes part, all checked against ours."""
    peers = TORCHS if "torch" in installed() else {}
    taking = {peer: torchs(c, **options) for peer, options in peers.items()}
    for peer, step in taking.items():
        check(f"{name} beside {peer}", ours(c), step, tolerance)
    return {"ours": ours(c), **taking}


def blas_threads() -> int:
    """How many threads NumPy's matrix products keep busy: all processor time, by this thread's."""
    a = np.ones((1024, 1024), np.float32)
    a @ a
    begin = time.process_time(), time.thread_time()
    for _ in range(4):
        a @ a
    return round((time.process_time() - begin[0]) / (time.thread_time() - begin[1]))


def measure(*, quick: bool, seconds: float, seed: int) -> dict[str, Any]:
    """All rows, and the machine they were taken on.

    Raises ValueError if NumPy uses more than one thread: then times are not comparable.
    """
    use_threads(1)
    threads = blas_threads()
    if threads != 1:
        raise ValueError(
            f"NumPy's products run on {threads} threads, torch's on 1: "
            "set OPENBLAS_NUM_THREADS=1, or your BLAS's own, before Python starts"
        )
    batch, rows = QUICK if quick else BATCH, []
    for task, model in progress(NETWORKS, "bench"):
        net = network(model, TASKS[task])
        for dtype, tolerance in TOLERANCES.items():  # the last is what is timed
            c = case(net, task, batch, np.random.default_rng(seed), dtype)
            taking = contestants(f"{model} on {task}", c, tolerance)
        times = in_turns({name: step.run for name, step in taking.items()}, seconds)
        ratio = {name: times[name] / times["ours"] for name in taking if name != "ours"}
        rows.append(
            {"task": task, "model": model, "batch": batch, "weights": nn.count(c.params)}
            | {"milliseconds": times, "ratio": ratio}
        )
    about = {**machine([n for n in installed() if n == "torch"]), "blas_threads": threads}
    return {"machine": about, "seed": seed, "rows": rows}


def table(result: dict[str, Any]) -> str:
    """One line a network: time of a step, and how many times faster than torch's.

    torch: with its Adam as it comes; best: the fastest of its three.
    """
    lines = ["task model   weights  ms/step  torch   best"]
    for row in result["rows"]:
        ratio, each = row["ratio"], row["milliseconds"]["ours"]
        marks = f"{ratio['torch']:6.2f} {min(ratio.values()):6.2f}" if ratio else "     -      -"
        lines.append(f"{row['task']:4} {row['model']:6} {row['weights']:8} {each:8.2f} {marks}")
    if not result["rows"][0]["ratio"]:
        lines.append("torch is not installed: these are ours alone, and unchecked")
    return "\n".join(lines)


def bench(out: Path, *, quick: bool = False, seed: int = 0) -> None:
    """Measure, print, and write the numbers."""
    result = measure(quick=quick, seconds=0.01 if quick else 5.0, seed=seed)
    print(table(result))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")
    print(out)

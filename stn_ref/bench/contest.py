"""What a benchmark times: cases, the tasks of each contestant, and the check that comes before."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from stn_ref import backends
from stn_ref.backends.pixels import source_pixels, source_pixels_backward
from stn_ref.equations import BILINEAR, Kernel, Transformation, affine, keys
from stn_ref.equations.arguments import Array, Size

reference = backends.get("reference")

TASKS = ("grid forward", "fused forward", "grid backward", "fused backward")
SAMPLES = 4096  # output pixels whose values are checked


class Case(NamedTuple):
    """One shape in one layout with one kernel, and all that the tasks take."""

    shape: tuple[int, ...]  # B, C, H, W, or B, C, D, H, W
    layout: str
    kernel: Kernel
    U: Array
    dV: Array
    theta: Array
    xy: Array
    grid: Array

    @property
    def size(self) -> Size:
        return self.shape[2:]

    @property
    def transformation(self) -> Transformation:
        return affine(len(self.size))


def case(shape: tuple[int, ...], layout: str, kernel: Kernel, rng: Any) -> Case:
    """Random maps or volumes, and affine transformations near the identity."""
    B, _, *sides = shape
    size, transformation = tuple(sides), affine(len(sides))
    U, dV = (np.moveaxis(rng.random(shape, np.float32), 1, -1) for _ in range(2))
    if layout == "channels last":
        U, dV = np.ascontiguousarray(U), np.ascontiguousarray(dV)
    start = transformation.identity()
    theta = (start + rng.uniform(-0.15, 0.15, (B, *start.shape))).astype(np.float32)
    xy = source_pixels(theta, transformation, size, size, False)
    grid = (2 * xy + 1) / size[::-1] - 1
    return Case(shape, layout, kernel, U, dV, theta, xy.astype(np.float32), grid.astype(np.float32))


def ours(c: Case, backend: str = "cpu", **options: Any) -> dict[str, Callable[[], Any]]:
    """The four tasks on a backend."""
    module: Any = backends.get(backend)
    options |= {"kernel": c.kernel}
    fused = {**options, "align_corners": False, "transformation": c.transformation}
    return {
        "grid forward": lambda: module.sample(c.U, c.xy, **options),
        "fused forward": lambda: module.transform(c.U, c.theta, **fused),
        "grid backward": lambda: module.sample_backward(c.dV, c.U, c.xy, **options),
        "fused backward": lambda: module.transform_backward(c.dV, c.U, c.theta, **fused),
    }


def torchs(c: Case, *, turned: bool = False) -> dict[str, Callable[[], Any]]:
    """The same by torch's affine_grid and grid_sample; backward without its forward pass.

    The arrays are NumPy's or torch's; `turned` gives it planar maps with their channels last.
    """
    torch = import_module("torch")
    F, mode = torch.nn.functional, "bilinear" if c.kernel is BILINEAR else "bicubic"
    U, dV = (torch.as_tensor(a).movedim(-1, 1) for a in (c.U, c.dV))
    if turned:
        last = torch.channels_last if len(c.size) == 2 else torch.channels_last_3d
        U, dV = (a.contiguous(memory_format=last) for a in (U, dV))
    theta, grid = torch.as_tensor(c.theta), torch.as_tensor(c.grid)

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
    if c.shape[1] > 3 or len(c.size) > 2:
        return {}
    (H, W), U = c.size, np.ascontiguousarray(c.U)
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


def check(
    c: Case,
    rng: Any,
    tasks_of: Callable[[Case], dict[str, Callable[[], Any]]] = ours,
    host: Callable[[Any], Array] = np.asarray,
) -> None:
    """V and dxy at random output pixels against the reference, dU by adjointness, dθ by dxy.

    `host` brings results of the tasks to the host.
    Raises AssertionError, with the case's name, if one of them is wrong.
    """
    B, size, transformation = c.shape[0], c.size, c.transformation
    tasks, name = tasks_of(c), f"{c.shape} {c.layout} {c.kernel.name}"
    tolerance = 6e-7 if c.kernel is BILINEAR else 3e-6  # maps lie in [0, 1]
    V, (dU, dxy) = host(tasks["grid forward"]()), map(host, tasks["grid backward"]()[:2])
    fused, (dU_fused, dtheta) = host(tasks["fused forward"]()), map(host, tasks["fused backward"]())
    b = int(rng.integers(B))
    some = (b, *(rng.integers(side, size=SAMPLES) for side in size))
    row = (1, *[1] * (len(size) - 1), SAMPLES, -1)  # the points picked, as an output one line long
    exact = source_pixels(c.theta, transformation, size, size, False)
    for found, points in ((V, c.xy), (fused, exact)):
        truth = reference.sample(c.U[b : b + 1], points[some].reshape(row), kernel=c.kernel)
        off = np.abs(found[some] - truth.reshape(SAMPLES, -1)).max()
        if not off <= tolerance:
            raise AssertionError(f"{name}: V is wrong by {off}")
    one = c.dV[some].reshape(row), c.U[b : b + 1], c.xy[some].reshape(row)
    _, truth, _ = reference.sample_backward(*one, kernel=c.kernel)
    truth, scale = truth.reshape(SAMPLES, -1), np.abs(truth).max() + 1
    if not np.allclose(dxy[some], truth, rtol=1e-4, atol=1e-5 * scale):
        raise AssertionError(f"{name}: dxy is wrong by {np.abs(dxy[some] - truth).max()}")
    pulls = host(tasks_of(c._replace(xy=exact))["grid backward"]()[1])
    truth = source_pixels_backward(pulls, c.theta, transformation, size, False)
    if not np.allclose(dtheta, truth, rtol=0, atol=1e-3 * np.abs(truth).max()):
        raise AssertionError(f"{name}: dθ is wrong by {np.abs(dtheta - truth).max()}")
    for found, gradient in ((V, dU), (fused, dU_fused)):
        there = np.sum(found * c.dV, dtype=np.float64)
        back = np.sum(c.U * gradient, dtype=np.float64)
        if not np.isclose(there, back, rtol=1e-4):
            raise AssertionError(f"{name}: ⟨V, dV⟩ = {there} and ⟨U, dU⟩ = {back}")


def in_layouts(shapes: Any, bicubic: Any) -> list[tuple[Any, str, Kernel]]:
    """Every shape planar, with many channels also with them last, and a bicubic one."""
    cases: list[tuple[Any, str, Kernel]] = []
    for shape in shapes:
        cases.append((shape, "planar", BILINEAR))
        if shape[1] >= 4:
            cases.append((shape, "channels last", BILINEAR))
    return [*cases, (bicubic, "planar", keys())]

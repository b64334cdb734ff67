"""Pictures for a lecture, drawn from the equations: coordinates, weights, fields, gradients."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import stn_ref
from stn_ref import equations as eq
from stn_ref.equations.arguments import Array, Size
from stn_ref.equations.localisation import Layer
from stn_ref.plots.canvas import BLUE, GREEN, GREY, ORANGE, RED, SIGNED, WIDTH, headline, page, show
from stn_ref.plots.descent import Warp
from stn_ref.plots.diagrams import arrow, block
from stn_ref.tracing import Trace


def chain(report: Trace, U: Array, theta: Array, size: Size) -> Figure:
    """The coordinates of one output pixel, from its row and column to its taps in U (H, W, C).

    theta  (2, 3)  of the affine map that the trace is of
    """
    _, i, j = report.at
    (H, W), (x, y) = size, report.xy
    G = eq.target_grid(size)
    square = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]])
    moved, frame = eq.AFFINE.grid(theta[None], G)[0], eq.AFFINE.grid(theta[None], square[None])[0]
    figure: Figure = page(None, 2.9)
    pixel, target, source, taps = figure.subplots(1, 4)
    for ax, title, step, point in (
        (pixel, "pixel $(i, j)$", "", (j, i)),
        (target, "target $(x^t, y^t)$", "§3.2  $(j - c)/c$", report.G),
        (source, "source $(x^s, y^s)$", r"Eq. 1  $A_\theta$", report.grid),
        (taps, "pixels $(x, y)$", r"§3.2  $\tilde c\, x^s + c$", (x, y)),
    ):
        shown = point[::-1] if ax is pixel else point
        ax.set(aspect="equal", xticks=[], yticks=[], title=title)
        ax.set_xlabel("(" + ", ".join(f"{n:.4g}" for n in shown).replace("-", "−") + ")")
        ax.text(0.5, -0.26, step, transform=ax.transAxes, ha="center", color=BLUE, fontsize=10)
        ax.plot(*point, "o", color=RED, ms=7, mec="k", zorder=5)
    pixel.hlines(np.arange(H + 1) - 0.5, -0.5, W - 0.5, color=GREY, lw=0.4)
    pixel.vlines(np.arange(W + 1) - 0.5, -0.5, H - 0.5, color=GREY, lw=0.4)
    pixel.set(xlim=(-0.5, W - 0.5), ylim=(H - 0.5, -0.5))
    for ax, dots, edge in ((target, G, square), (source, moved, frame)):
        ax.plot(*dots.reshape(-1, 2).T, ".", color=ORANGE, ms=2)
        ax.plot(*square.T, color=GREY, lw=1)
        ax.plot(*edge.T, color=BLUE, lw=1.8)
        ax.set(xlim=(-1.25, 1.25), ylim=(1.25, -1.25))
    taps.imshow(U[..., 0], cmap="gray_r", alpha=0.6)
    for tap in report.taps:
        taps.add_patch(Rectangle((tap.m - 0.5, tap.n - 0.5), 1, 1, fill=False, ec=RED, lw=1.2))
    taps.set(xlim=(x - 4, x + 4), ylim=(y + 4, y - 4))
    return figure


def areas(U: Array, x: float, y: float) -> Figure:
    """Eq. 5 as areas: the point cuts the square between four centres of U (H, W); each weighs as
    much as the rectangle across from it."""
    m, n = int(np.floor(x)), int(np.floor(y))
    figure: Figure = page(None, 4.0)
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.1])
    colours = dict(zip(product((0, 1), (0, 1)), (BLUE, ORANGE, GREEN, RED), strict=True))
    for (down, across), colour in colours.items():
        column, row = m + across, n + down
        corner = m + 1 - across, n + 1 - down  # across from it
        sides = x - corner[0], y - corner[1]
        left.add_patch(Rectangle(corner, *sides, fc=colour, alpha=0.45, ec="k", lw=0.8))
        weight = abs(sides[0] * sides[1])
        left.text(
            *((c + p) / 2 for c, p in zip(corner, (x, y), strict=True)),
            f"{weight:.2f}",
            ha="center",
            va="center",
            fontsize=11,
        )
        left.plot(column, row, "o", color=colour, ms=16, mec="k")
        side = {"ha": "left" if across else "right", "va": "top" if down else "bottom"}
        place = column + 0.1 * (2 * across - 1), row + 0.1 * (2 * down - 1)
        left.text(*place, f"$U$ = {U[row, column]:.2f}", fontsize=10, **side)
        height = 0.8 - 0.19 * (2 * down + across)
        term = f"$U_{{{row},{column}}}\\,k\\,k$ = {U[row, column]:.2f} × {weight:.2f}"
        right.text(0.12, height, term, fontsize=12, va="center")
        right.plot(0.05, height, "o", color=colour, ms=12, mec="k")
    left.plot(x, y, "P", color="black", ms=11)
    left.set(xlim=(m - 0.65, m + 1.65), ylim=(n + 1.4, n - 0.4), aspect="equal")
    left.set(xticks=(m, x, m + 1), yticks=(n, y, n + 1), xlabel="$x$, pixels", ylabel="$y$, pixels")
    left.xaxis.set_major_formatter("{x:g}")
    left.yaxis.set_major_formatter("{x:g}")
    V = eq.sample(U[None, ..., None], np.array([[[[x, y]]]])).item()
    right.text(0.12, 0.02, f"$V$ = {V:.3f}", fontsize=13, va="center", weight="bold")
    right.plot([0.02, 0.95], [0.12, 0.12], color="black", lw=1)
    right.set(xlim=(0, 1), ylim=(-0.08, 0.95))
    right.axis("off")
    headline(figure, "Eq. 5  each centre weighs as much as the rectangle across from it")
    return figure


def six_fields() -> Figure:
    """∂T_θ(G)/∂θ of Eq. 1: where each of the six numbers pushes the source points."""
    G = eq.target_grid((9, 9))
    identity = eq.AFFINE.identity()[None]
    figure: Figure = page(None, 5.9)
    axes = figure.subplots(2, 3)
    says = ["stretches $x$", "shears along $x$", "moves along $x$"]
    says += ["shears along $y$", "stretches $y$", "moves along $y$"]
    for ax, (k, l), what in zip(axes.flat, np.ndindex(2, 3), says, strict=True):
        one = np.zeros((1, 2, 3))
        one[0, k, l] = 1
        field = eq.AFFINE.grid_jvp(one, np.zeros_like(G), identity, G)[0]  # type: ignore[misc]
        ax.plot(*G.reshape(-1, 2).T, ".", color=GREY, ms=3)
        arrows: dict[str, Any] = {"angles": "xy", "scale_units": "xy", "scale": 4.2, "width": 0.009}
        ax.quiver(G[..., 0], G[..., 1], field[..., 0], field[..., 1], color=RED, **arrows)
        ax.add_patch(Rectangle((-1, -1), 2, 2, fill=False, ec=BLUE, lw=1.5))
        ax.set(xlim=(-1.35, 1.35), ylim=(1.35, -1.35), aspect="equal", xticks=[], yticks=[])
        ax.set_title(rf"$\theta_{{{k + 1}{l + 1}}}$  {what}", fontsize=11)
    headline(figure, r"Eq. 1  $\partial T_\theta(G)/\partial\theta$, a field for each number")
    return figure


def basin(U: Array, starts: Sequence[tuple[float, float]], *, reach: float = 12) -> Figure:
    """½ Σ (V − U)² over translations of U (H, W, C), and descent on it from some starts, in pixels.

    On the right for a soft copy of U, whose slopes reach further.
    """
    xy = eq.to_pixels(eq.target_grid(U.shape[:2])[None], U.shape[:2])
    soft = eq.sample(U[None], xy, kernel=eq.normalised(eq.hat(4)))[0]
    figure: Figure = page(None, 4.6)
    axes = figure.subplots(1, 2, sharey=True)
    for ax, image, title in ((axes[0], U, "the digit"), (axes[1], soft, "a soft copy of it")):
        _landscape(ax, image, starts, reach)
        ax.set_title(title)
    axes[0].set_ylabel("$t_y$, pixels")
    axes[0].legend(loc="lower left", fontsize=8)
    headline(figure, r"Eq. 7  $L = \frac{1}{2}\sum (V - U)^2$ of a translation, and descent on it")
    return figure


def _landscape(ax: Axes, U: Array, starts: Sequence[tuple[float, float]], reach: float) -> None:
    half = (np.array(U.shape[1::-1]) - 1) / 2
    sides = np.linspace(-reach, reach, 97)
    t = np.stack(np.meshgrid(sides, sides), axis=-1)
    flat = (t / half).reshape(-1, 2)
    V = stn_ref.transform(
        np.broadcast_to(U, (len(flat), *U.shape)), flat, transformation=eq.TRANSLATION
    )
    loss = 0.5 * np.sum((V - U) ** 2, axis=(1, 2, 3)).reshape(t.shape[:2])
    ax.contourf(sides, sides, loss, levels=24, cmap="Greys")
    ends = {BLUE: ("-", "finds it"), RED: ("--", "is lost on the way")}
    for start in starts:
        path = _descent(U, np.array(start) / half) * half
        colour = BLUE if np.hypot(*path[-1]) < 0.5 else RED
        ax.plot(*path.T, color="white", lw=3.5)
        ax.plot(*path.T, ends[colour][0], color=colour, lw=1.8)
        ax.plot(*path[0], "o", color=colour, mec="white", ms=8)
    for colour, (dash, label) in ends.items():
        ax.plot([], [], f"o{dash}", color=colour, label=label)
    ax.plot(0, 0, "*", color="white", mec="k", ms=15)
    ax.set(aspect="equal", xlabel="$t_x$, pixels", xlim=(-reach, reach), ylim=(reach, -reach))


def _descent(U: Array, t: Array, steps: int = 150) -> Array:
    """The way of t (2,) down ½ Σ (V − U)²: steps of half a pixel at first, shorter by and by."""
    path, warp = [t], Warp(U, eq.TRANSLATION, True, {})
    for k in range(steps):
        xy, V, _ = warp.forward(t)
        _, dt = warp.backward(t, xy, V)
        t = t - 0.97**k / U.shape[1] * dt / max(np.linalg.norm(dt), 1e-30)
        path.append(t)
    return np.array(path)


def backwards(U: Array, layers: Sequence[Layer], size: Size, dV: Array) -> Figure:
    """The paper's Figure 2 backwards, from a run: every arrow with the gradient that it carries.

    U (H, W, C), dV (H', W', C) the loss gradient at V
    """
    theta, G = eq.f_loc(U[None], layers), eq.target_grid(size)
    xy = eq.to_pixels(eq.AFFINE.grid(theta, G), U.shape[:2])
    _, dxy, _ = eq.sample_backward(dV[None], U[None], xy)
    dU, dlayers = eq.spatial_transformer_backward(dV[None], U[None], layers)
    figure = plt.figure(figsize=(WIDTH, 4.0))
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, 8.4), ylim=(0, 4.0))
    ax.axis("off")
    ax.text(0.15, 3.7, "§3.4  the same module backwards", fontsize=12)
    panels = (0.02, "dU", dU[0]), (0.78, "dV", dV)
    for left, name, d in panels:
        most = float(np.max(np.abs(d)))
        title = rf"$\partial L/\partial {name[1]}$  {d[None].shape}"
        place = figure.add_axes((left, 0.05, 0.2, 0.42))
        show(d[..., :1], place, title, cmap=SIGNED, vmin=-most, vmax=most)
    block(ax, 2.75, 2.9, "§3.1", "localisation network\n$dW = h^T da$,  $db$")
    block(ax, 5.5, 2.9, "Eq. 1", "grid generator\n" + r"$dA_{kl} = \sum_i dx_k\,g_l$")
    block(ax, 4.15, 0.95, "Eqs. 6, 7", "sampler\n$k\\,k$  and  $U\\,k'\\,k$")
    weights = ", ".join(str(dW.shape) for dW, _ in dlayers)
    ax.text(2.75, 2.3, f"$dW$  {weights}", ha="center", fontsize=8.5)
    arrow(ax, (6.5, 0.95), (5.02, 0.95), "$dV$")
    arrow(ax, (3.28, 0.95), (1.92, 0.95), "$dU$, Eq. 6")
    arrow(ax, (4.6, 1.36), (5.5, 2.49))
    ax.text(4.9, 1.9, rf"$\tilde c\;dx$, Eq. 7  {dxy.shape}", ha="right", fontsize=9)
    arrow(ax, (4.62, 2.9), (3.62, 2.9), rf"$d\theta$  {theta.shape}")
    ax.plot([1.86, 1.0], [2.9, 2.9], color="#333")
    arrow(ax, (1.0, 2.9), (1.0, 2.15))
    ax.text(1.0, 3.0, "$dU$ through $f_{loc}$", ha="center", fontsize=9)
    return figure


def blocks() -> Figure:
    """Where modules go in a network: in series at growing depth, or side by side.  §3.4"""
    figure, (series, parallel) = plt.subplots(2, 1, figsize=(WIDTH, 4.4), height_ratios=[1, 1.7])
    for ax, height, title in (
        (series, 1.0, "in series: each looks at what the layers before it have made"),
        (parallel, 2.0, "side by side: each looks at one thing, and their number is the limit"),
    ):
        ax.set(xlim=(0, 8.4), ylim=(0, height))
        ax.axis("off")
        ax.set_title(f"§3.4  {title}", fontsize=11, loc="left")
    names = "image", "transformer", "convolution", "transformer", "convolution", "classifier"
    for k, name in enumerate(names):
        _layer(series, 0.7 + 1.4 * k, 0.5, name)
        if k:
            arrow(series, (1.4 * k - 0.15, 0.5), (0.15 + 1.4 * k, 0.5))
    for y in (0.35, 1.0, 1.65):
        _layer(parallel, 2.8, y, "transformer")
        arrow(parallel, (1.25, 1.0), (2.25, y))
        arrow(parallel, (3.35, y), (4.35, 1.0 + 0.15 * np.sign(y - 1.0)))
    for x, name in ((0.7, "image"), (4.9, "all channels"), (7.0, "classifier")):
        _layer(parallel, x, 1.0, name)
    arrow(parallel, (5.45, 1.0), (6.45, 1.0))
    return figure


def _layer(ax: Axes, x: float, y: float, name: str) -> None:
    colour = "#E8F1F8" if name == "transformer" else "white"
    block(ax, x, y, "", name, wide=1.02, high=0.4, size=9, colour=colour)

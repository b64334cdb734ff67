"""The paper explained in pictures: the lattice, the module, one pixel, a knot.

Like `stn_ref.plots`, arrays in, figures out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Rectangle

import stn_ref
from stn_ref import equations as eq
from stn_ref.backends.pixels import source_pixels
from stn_ref.equations.arguments import Array, Size
from stn_ref.equations.localisation import Layer
from stn_ref.plots.canvas import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    RED,
    SIGNED,
    WIDTH,
    animate,
    headline,
    page,
    show,
)
from stn_ref.plots.own_data import control_points, source_and_target, warped_grid
from stn_ref.tracing import Trace


def lattices(size: Size) -> Figure:
    """The lattice G on the pixels that it stands for, under both conventions for ±1."""
    H, W = size
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 4.2), layout="constrained")
    for ax, align_corners in zip(axes, (True, False), strict=True):
        G = eq.target_grid(size, align_corners=align_corners)
        corners = np.array([[[[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]]]], float)
        square = eq.to_pixels(corners, size, align_corners=align_corners)[0, 0]
        for i, j in np.ndindex(H, W):
            ax.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, fill=False, ec=GREY, lw=0.8))
            label = f"{G[i, j, 0]:.2g}\n{G[i, j, 1]:.2g}".replace("-", "−")
            ax.text(j + 0.07, i + 0.08, label, ha="left", va="top", size=8)
        ax.plot(*square.T, color=BLUE, lw=2, label="[−1, 1]²")
        ax.plot(*np.mgrid[:W, :H].reshape(2, -1), "o", color=RED, ms=4, label="$G_i$")
        ax.set(xlim=(-0.7, W - 0.3), ylim=(H - 0.3, -0.7), aspect="equal")
        ax.set(title=f"align_corners={align_corners}", xlabel="$x$, pixels", ylabel="$y$, pixels")
        ax.set(xticks=range(W), yticks=range(H))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    headline(figure, r"§3.2  the regular grid $G$: each pixel labelled $x^t$, $y^t$")
    return figure


def module(
    U: Array, layers: Sequence[Layer], size: Size, *, transformation: eq.Transformation = eq.AFFINE
) -> Figure:
    """The paper's Figure 2 from a run of the code: every arrow with the shape that it carries."""
    theta = eq.f_loc(U[None], layers)
    G = eq.target_grid(size)
    grid = transformation.grid(theta, G)
    V = eq.spatial_transformer(U[None], layers, transformation=transformation, size=size)
    figure = plt.figure(figsize=(8.4, 3.5))
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, 8.4), ylim=(0, 3.5))
    ax.axis("off")
    ax.text(0.15, 3.2, "§3.4  the spatial transformer (the paper's Figure 2)", fontsize=12)
    left, right = figure.add_axes((0.02, 0.04, 0.2, 0.48)), figure.add_axes((0.78, 0.04, 0.2, 0.48))
    show(U, left, f"$U$  {U[None].shape}")
    warped_grid(theta[0], size, U.shape[:2], transformation=transformation, lines=5, ax=left)
    show(V[0], right, f"$V$  {V.shape}", vmin=0, vmax=float(U.max()))
    block(ax, 2.75, 2.55, "§3.1", "localisation network\n$\\theta = f_{loc}(U)$")
    block(ax, 5.5, 2.55, "§3.2", "grid generator\n$T_\\theta(G)$")
    block(ax, 4.15, 0.95, "§3.3", "sampler\n$\\sum_n\\sum_m U_{nm}\\,k\\,k$")
    ax.plot([0.08, 0.08], [1.0, 2.55], color="#333")
    ax.plot([0.08, 0.17], [1.0, 1.0], color="#333")
    arrow(ax, (0.08, 2.55), (1.86, 2.55), "$U$")
    arrow(ax, (3.62, 2.55), (4.62, 2.55), f"$\\theta$  {theta.shape}")
    arrow(ax, (7.05, 2.55), (6.38, 2.55))
    ax.plot(*(np.moveaxis(G[::4, ::4], -1, 0) * 0.32 + [[[7.45]], [[2.55]]]), ".", color=RED, ms=3)
    ax.text(7.45, 3.0, f"$G$  {G.shape}", ha="center", fontsize=9)
    arrow(ax, (5.5, 2.14), (4.6, 1.36))
    ax.text(5.15, 1.6, f"$T_\\theta(G)$  {grid.shape}", fontsize=9)
    arrow(ax, (1.92, 0.95), (3.28, 0.95), "$U$")
    arrow(ax, (5.02, 0.95), (6.5, 0.95), "$V$")
    return figure


def block(
    ax: Axes,
    x: float,
    y: float,
    section: str,
    text: str,
    *,
    wide: float = 1.6,
    high: float = 0.66,
    colour: str = "#E8F1F8",
    size: float = 10,
) -> None:
    """A box of a diagram, around (x, y), with its section above."""
    style: dict[str, Any] = {"boxstyle": "round,pad=0.05", "fc": colour, "ec": BLUE, "lw": 1.5}
    ax.add_patch(FancyBboxPatch((x - wide / 2, y - high / 2), wide, high, **style))
    ax.text(x, y, text, ha="center", va="center", fontsize=size)
    ax.text(x - wide / 2 - 0.02, y + high / 2 + 0.1, section, fontsize=9, color=BLUE)


def arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], label: str = "") -> None:
    """An arrow of a diagram, with what it carries written above."""
    ax.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=14, color="#333"))
    middle = (start[0] + end[0]) / 2
    ax.text(middle, (start[1] + end[1]) / 2 + 0.12, label, ha="center", fontsize=9)


def trace(report: Trace, U: Array, V: Array) -> Figure:
    """One output pixel: where it is in V, where it lands in U, and the taps that it weighs."""
    _, i, j = report.at
    x, y = report.xy
    figure: Figure = page(None, 3.3)
    axes = figure.subplots(1, 3)
    show(V, axes[0], "§3.2  one pixel of $G$, in $V$", vmin=0, vmax=float(U.max()))
    axes[0].add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, fill=False, ec=RED, lw=2))
    for ax, title in (
        (axes[1], "§3.2  its source $(x, y)$ in $U$"),
        (axes[2], "Eqs. 3, 6  its taps"),
    ):
        show(U, ax, title, vmin=0, vmax=float(U.max()))
        ax.plot(x, y, "+", color=RED, ms=14, mew=2)
    corners = [(t.m, t.n) for t in report.taps]
    low, high = np.min(corners, axis=0) - 1, np.max(corners, axis=0) + 1
    axes[1].add_patch(Rectangle(low - 0.5, *(high - low + 1), fill=False, ec=BLUE, lw=1.5))
    axes[2].set(xlim=(low[0] - 0.5, high[0] + 0.5), ylim=(high[1] + 0.5, low[1] - 0.5))
    for t in report.taps:
        radius = 0.45 * np.sqrt(abs(t.weight))
        axes[2].add_patch(Circle((t.m, t.n), radius, fc=ORANGE, ec="k", alpha=0.85))
        text = f"$U$ = {t.value[0]:.2f}\n{t.k_x:.2f} × {t.k_y:.2f}\n= {t.weight:.2f}"
        below = t.n > y
        axes[2].text(
            t.m,
            t.n + (0.5 if below else -0.5),
            text,
            ha="center",
            va="top" if below else "bottom",
            fontsize=7,
            bbox={"fc": "white", "ec": "none", "alpha": 0.85, "pad": 1},
        )
    axes[2].set_xlabel(f"$k(x - m)$ × $k(y - n)$ = weight;  $V$ = {report.V[0]:.3f}")
    return figure


def spline(
    U: Array, theta: Array, transformation: eq.Linear, *, figure: Figure | None = None
) -> Figure:
    """A warp of U (H, W, C) with its control points drawn: open where they are, full where θ is."""
    figure = page(figure, 4.5)
    title = f"§3.2  {transformation.name}, {len(theta)} control points"
    options: dict[str, Any] = {"transformation": transformation}
    axes = source_and_target(U, theta, title=title, axes=figure.subplots(1, 2), **options)
    control_points(theta, U.shape[:2], ax=axes[0], **options)
    return figure


def bending(U: Array, theta: Array, transformation: eq.Linear, path: Path) -> Path:
    """Write a GIF of `spline` bent from the identity to θ and back."""
    identity = transformation.identity()
    pull = (1 - np.cos(np.linspace(0, 2 * np.pi, 32, endpoint=False))) / 2
    moments = [identity + p * (theta - identity) for p in pull]
    return animate(lambda page, m: spline(U, m, transformation, figure=page), moments, path)


def knot(U: Array, signal: Sequence[float] = (10, 11, 14, 19, 26)) -> Figure:
    """Eq. 7 on the knots: along a row of numbers, and on U (H, W, C) at the identity."""
    figure = plt.figure(figsize=(8.4, 5.6), layout="constrained")
    top, bottom = np.asarray(figure.subfigures(2, 1, height_ratios=[1.2, 1]))
    _knot_in_a_row(top.subplots(1, 2), np.asarray(signal, float))
    _knot_in_an_image(bottom.subplots(1, 4), bottom, U)
    return figure


def _knot_in_a_row(axes: Sequence[Axes], signal: Array) -> None:
    row = signal[None, None, :, None]
    x = np.arange(1, len(signal) - 1)
    axes[0].plot(signal, "o-", color=BLUE)
    axes[0].set(title="Eq. 5  $V(x)$ along a row of $U$", xlabel="$x$, pixels")
    for a in range(len(signal) - 1):
        axes[1].plot([a, a + 1], [signal[a + 1] - signal[a]] * 2, color=BLUE, lw=2)
    marks = {
        "paper": ("X", RED),
        "left": ("<", GREEN),
        "right": (">", ORANGE),
        "central": ("s", BLUE),
    }
    xy = np.stack([x, 0.0 * x], axis=-1)[None, None]
    for tie, (marker, color) in marks.items():
        slope = stn_ref.sample_backward(np.ones((1, 1, len(x), 1)), row, xy, tie=tie)[1][0, 0, :, 0]
        label = "as printed" if tie == "paper" else tie
        size = 15 if tie == "paper" else 7
        axes[1].plot(x, slope, marker, color=color, label=label, ms=size, mec="k", mew=0.5)
    axes[1].margins(y=0.15)
    axes[1].set_xlim(-0.2, 5.6)
    axes[1].legend(
        title="at the knots", fontsize=8, title_fontsize=8, markerscale=0.6, loc="lower right"
    )
    axes[1].set(title=r"Eq. 7  $\partial V/\partial x$", xlabel="$x$, pixels")
    for ax in axes:
        ax.set_xticks(np.arange(len(signal)))
        ax.grid(alpha=0.3)


def _knot_in_an_image(axes: Sequence[Axes], figure: Any, U: Array) -> None:
    H, W, _ = U.shape
    xy = source_pixels(eq.AFFINE.identity()[None], eq.AFFINE, (H, W), (H, W), True)
    ones = np.ones((1, H, W, 1))
    for ax, tie in zip(axes, ("left", "right", "central", "paper"), strict=True):
        slope = stn_ref.sample_backward(ones, U[None, ..., :1], xy, tie=tie)[1][0, ..., :1]
        title = "as printed: $U$ itself" if tie == "paper" else tie
        image = show(slope, ax, title, cmap=SIGNED, vmin=-1, vmax=1).images[0]
    figure.colorbar(image, ax=list(axes), shrink=0.75)
    headline(
        figure, r"Eq. 7  $\partial V/\partial x$ at the identity, where every point is on a knot"
    )

"""Pictures of the equations, on anyone's data: arrays in, Matplotlib axes or figures out.

Colours are those of Okabe and Ito, told apart by colour-blind readers and in print.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import stn_ref
from stn_ref import equations as eq
from stn_ref.backends.pixels import source_pixels
from stn_ref.equations.arguments import Array, Size, shaped

BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#999999"
Example: TypeAlias = tuple[str, eq.Transformation, Array]  # title, T, θ without a batch axis


def save(figure: Figure, path: Path, dpi: int = 120) -> Path:
    """Write a figure on white, the same bytes from the same picture, close it; return the path."""
    figure.savefig(path, dpi=dpi, facecolor="white", metadata={"Software": None})
    plt.close(figure)
    return path


def show(U: Array, ax: Axes, title: str = "", **options: Any) -> Axes:
    """The first channel of a feature map (H, W, C), dark on light, pixel centres at integers."""
    ax.imshow(U[..., 0], **({"cmap": "gray_r", "interpolation": "nearest"} | options))
    ax.set_title(title)
    ax.set_xticks([])
    ax.set_yticks([])
    return ax


def compare(
    images: Sequence[Array], titles: Sequence[str], title: str = "", *, columns: int = 5
) -> Figure:
    """Feature maps (H, W, C) side by side on one scale."""
    columns = min(len(images), columns)
    rows = -(-len(images) // columns)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(8.4, 0.6 + 8.4 * rows / columns),
        layout="constrained",
        squeeze=False,
    )
    for ax in axes.flat:
        ax.axis("off")
    low, high = np.min([i.min() for i in images]), np.max([i.max() for i in images])
    for ax, image, name in zip(axes.flat, images, titles, strict=False):
        ax.axis("on")
        show(image, ax, name, vmin=low, vmax=high)
    figure.suptitle(title)
    return figure


def contact_sheet(
    images: Array,
    labels: Sequence[object] | Array,
    ax: Axes,
    *,
    columns: int = 10,
    boxes: Array | None = None,
) -> Axes:
    """Small images in rows, each under its label; with several channels, each in a colour.

    images  (B, H, W, C)  in [0, 1], dark on light; C from 1 to 3
    labels  B of anything that can be printed
    boxes   (B, K, 4)     drawn over each image: left, top, right, bottom, pixels
    Raises ValueError if one of them has another form.
    """
    images = shaped("images", images, ("B", "H", "W", "C"))
    B, H, W, C = images.shape
    if not (B and 1 <= C <= 3 and len(labels) == B and columns >= 1):
        raise ValueError(
            f"{B} images of {C} channels, {len(labels)} labels and {columns} columns; expected "
            "at least one image, 1 to 3 channels, a label for each, and at least one column"
        )
    boxes = np.zeros((B, 0, 4)) if boxes is None else shaped("boxes", boxes, (B, "K", 4))
    inks = np.array([to_rgb(c) for c in (("black",) if C == 1 else (BLUE, ORANGE, GREEN)[:C])])
    papers = np.clip(1 - images @ (1 - inks), 0, 1)
    columns, head, gap = min(columns, B), round(H / 3), round(W / 14)
    rows = -(-B // columns)
    sheet = np.ones((rows * (head + H), columns * (W + gap) - gap, 3))
    for b, (paper, label) in enumerate(zip(papers, labels, strict=True)):
        i, j = b // columns * (head + H) + head, b % columns * (W + gap)
        sheet[i : i + H, j : j + W] = paper
        middle, above = j + (W - 1) / 2, i - 0.5 - head / 5
        ax.text(middle, above, str(label), ha="center", va="bottom", fontsize=8)
        edges = [((-0.5, -0.5, W - 0.5, H - 0.5), GREY, 0.6)]
        edges += [(box, RED, 1.2) for box in boxes[b]]
        for (left, top, right, bottom), colour, width in edges:
            frame = (j + left, i + top), right - left, bottom - top
            ax.add_patch(Rectangle(*frame, fill=False, ec=colour, lw=width, clip_on=False))
    ax.imshow(sheet)
    ax.axis("off")
    return ax


def warped_grid(
    theta: Array,
    size: Size,
    source: Size,
    ax: Axes,
    *,
    transformation: eq.Transformation = eq.AFFINE,
    lines: int = 10,
    align_corners: bool = True,
) -> Axes:
    """T_θ(G) over the source: every few rows and columns of G, its border, a dot at its corner.

    theta         (*identity().shape)  without a batch axis
    size, source  (H', W') of the lattice and (H, W) of the source
    """
    xy = source_pixels(theta[None], transformation, size, source, align_corners)[0]
    return grid_lines(xy, ax, lines=lines)


def grid_lines(xy: Array, ax: Axes, *, lines: int = 10) -> Axes:
    """Source points (H', W', 2) in pixels: every few rows and columns, border, first corner."""
    x, y = np.moveaxis(xy, -1, 0)
    rows, columns = (np.unique(np.linspace(0, s - 1, lines).round().astype(int)) for s in x.shape)
    for i in rows:
        ax.plot(x[i], y[i], color=RED, lw=0.8)
    for j in columns:
        ax.plot(x[:, j], y[:, j], color=RED, lw=0.8)
    for edge in (np.s_[0, :], np.s_[-1, :], np.s_[:, 0], np.s_[:, -1]):
        ax.plot(x[edge], y[edge], color=BLUE, lw=1.8)
    ax.plot(x[0, 0], y[0, 0], "o", color=BLUE, ms=5)
    return ax


def control_points(
    theta: Array,
    source: Size,
    ax: Axes,
    *,
    transformation: eq.Transformation,
    align_corners: bool = True,
) -> Axes:
    """Arrows from the points a transformation is anchored at to where θ (K, 2) puts them."""
    both = np.stack([transformation.identity(), theta])[None]
    start, end = eq.to_pixels(both, source, align_corners=align_corners)[0]
    ax.quiver(*start.T, *(end - start).T, angles="xy", scale_units="xy", scale=1, color=GREEN)
    ax.plot(*start.T, "o", color=GREEN, ms=4, mfc="white")
    ax.plot(*end.T, "o", color=GREEN, ms=4)
    return ax


def source_and_target(
    U: Array,
    theta: Array,
    axes: Sequence[Axes],
    *,
    transformation: eq.Transformation = eq.AFFINE,
    size: Size | None = None,
    title: str = "",
) -> Sequence[Axes]:
    """Left the feature map U (H, W, C) under the warped grid, right what is sampled there."""
    H, W, _ = U.shape
    V = stn_ref.transform(U[None], theta[None], transformation=transformation, size=size)[0]
    show(U, axes[0], title)
    axes[0].add_patch(Rectangle((-0.5, -0.5), W, H, fill=False, ec=GREY, lw=1))
    warped_grid(theta, V.shape[:2], (H, W), axes[0], transformation=transformation)
    axes[0].set(xlim=(-0.25 * W, 1.25 * W), ylim=(1.25 * H, -0.25 * H))
    show(V, axes[1], "$V$", vmin=0, vmax=float(U.max()))
    return axes


def warped_grids(U: Array, examples: Sequence[Example]) -> Figure:
    """A pair of pictures for each example, two pairs a row."""
    rows = -(-len(examples) // 2)
    figure, axes = plt.subplots(rows, 4, figsize=(8.4, 2.35 * rows), layout="constrained")
    for ax in axes.flat:
        ax.axis("off")
    for pair, (title, transformation, theta) in zip(axes.reshape(-1, 2), examples, strict=False):
        for ax in pair:
            ax.axis("on")
        source_and_target(U, theta, pair, transformation=transformation, title=title)
    figure.suptitle(r"§3.2  the warped grid $T_\theta(G)$ over $U$, and the output $V$")
    return figure


def kernel(row: eq.Kernel, axes: Sequence[Axes] | Array, **style: Any) -> None:
    """k(t; Φ) in the first axes, its right derivative in the second, with the jumps left open."""
    s = row.support + 0.5
    ends = np.arange(np.ceil(-s), s)
    knots = np.unique([ends + e for e in (0, row.support, -row.support)])
    knots = knots[np.abs(knots) < s]
    for ax, f in zip(axes, (row.k, row.dk), strict=True):
        style = style | ({"ls": "-"} if f is row.dk else {})
        for a, b in zip([-s, *knots], [*knots, s], strict=True):
            t = np.linspace(a, b, 101)[:-1]
            ax.plot(t, f(t, row.Phi), **style)
        ax.axhline(0, color=GREY, lw=0.6, zorder=0)
        ax.grid(alpha=0.3)
        low, high = ax.get_ylim()
        ax.set_ylim(min(low, -0.3), max(high, 1.1))
    Phi = ", ".join(f"{p:g}".replace("-", "−") for p in row.Phi)
    axes[0].plot([], [], label=Phi or row.name, **style)


def kernels(groups: Sequence[tuple[str, Sequence[eq.Kernel]]]) -> Figure:
    """Each group's kernels drawn together, above their derivatives; four groups a row."""
    styles = [
        {"color": BLUE, "ls": "-"},
        {"color": ORANGE, "ls": "--"},
        {"color": GREEN, "ls": "-."},
    ]
    rows = -(-len(groups) // 4)
    figure, axes = plt.subplots(
        2 * rows, 4, figsize=(8.4, 3.9 * rows), layout="constrained", squeeze=False
    )
    columns = axes.reshape(rows, 2, 4).swapaxes(1, 2).reshape(-1, 2)
    for column, (title, group) in zip(columns, groups, strict=False):
        for row, style in zip(group, styles, strict=False):
            kernel(row, column, **style)
        if len(group) > 1:
            column[0].set_ylim(top=1.7)
            column[0].legend(
                title=r"$\Phi$" if group[0].Phi else None,
                fontsize=6.5,
                title_fontsize=7,
                loc="upper center",
                ncols=3,
                handlelength=1.1,
                columnspacing=0.6,
                handletextpad=0.3,
            )
        column[0].set_title(title, fontsize=10)
        column[0].tick_params(labelbottom=False)
        column[1].set_xlabel("$t = x - m$")
    for column in columns[::4]:
        column[0].set_ylabel("$k(t; \\Phi)$")
        column[1].set_ylabel("right derivative $k'$")
    for column in columns[len(groups) :]:
        for ax in column:
            ax.axis("off")
    figure.suptitle("§3.3  sampling kernels")
    return figure

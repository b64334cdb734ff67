"""Galleries: transformations, kernels, paddings, each beside its kin on one page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from matplotlib.figure import Figure

import stn_ref
from stn_ref import equations as eq
from stn_ref.equations.arguments import Array, Size
from stn_ref.plots.canvas import BLUE, GREEN, ORANGE, RED, WIDTH, figure_of, headline, page
from stn_ref.plots.own_data import kernel, source_and_target
from stn_ref.plots.sheets import compare

Example: TypeAlias = tuple[str, eq.Transformation, Array]  # title, T, θ without a batch axis
STYLES = [
    {"color": BLUE, "ls": "-", "lw": 2.2},
    {"color": ORANGE, "ls": "--", "lw": 1.6},
    {"color": GREEN, "ls": ":", "lw": 1.6},
]
LEGEND: dict[str, Any] = {
    "loc": "upper center",
    "ncols": 3,
    "fontsize": 7.5,
    "handlelength": 1.1,
    "handletextpad": 0.5,
    "columnspacing": 0.7,
    "borderpad": 0.2,
    "borderaxespad": 0.2,
}


def warped_grids(U: Array, examples: Sequence[Example], triangles: Array | None = None) -> Figure:
    """A pair of pictures for each example, up to three pairs a row, and θ where it is short.

    triangles  (M, 3)  of a piecewise affine map's mesh, drawn over its grid
    """
    pairs = min(3, len(examples))
    rows = -(-len(examples) // pairs)
    figure: Figure = page(None, 0.4 + rows * (0.45 + WIDTH / 2 / pairs))
    axes = figure.subplots(rows, 2 * pairs, squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for pair, (title, transformation, theta) in zip(axes.reshape(-1, 2), examples, strict=False):
        for ax in pair:
            ax.axis("on")
        source_and_target(U, theta, transformation=transformation, title=title, axes=pair)
        if theta.size <= 8:
            rows_of_theta = (", ".join(f"{v:.2g}" for v in row) for row in np.atleast_2d(theta))
            says = "\n".join(rows_of_theta).replace("-", "−")
            pair[0].set_xlabel(rf"$\theta$ = {says}", fontsize=8)
        if triangles is not None and transformation.name == "piecewise affine":
            vertices = eq.to_pixels(theta[None, None], U.shape[:2])[0, 0]
            for corners in vertices[triangles]:
                pair[0].fill(*corners.T, fill=False, ec=GREEN, lw=1.5)
    headline(figure, r"§3.2  $T_\theta(G)$ over $U$, whose edge is grey, and the output $V$")
    return figure


def kernels(groups: Sequence[tuple[str, Sequence[eq.Kernel]]]) -> Figure:
    """Each group's kernels drawn together, above their derivatives; four groups a row."""
    rows = -(-len(groups) // 4)
    figure: Figure = page(None, 0.3 + 3.9 * rows)
    axes = figure.subplots(2 * rows, 4, squeeze=False)
    columns = axes.reshape(rows, 2, 4).swapaxes(1, 2).reshape(-1, 2)
    for column, (title, group) in zip(columns, groups, strict=False):
        for row, style in zip(group, STYLES, strict=False):
            kernel(row, axes=column, **style)
        if len(group) > 1:
            column[0].set_ylim(top=1.6)
            column[0].legend(**LEGEND)
        column[0].set_title(title, fontsize=10)
        column[0].tick_params(labelbottom=False)
        column[0].set_xlabel("")
    for ax in axes[:, 1:].flat:
        ax.set_ylabel("")
    for column in columns[len(groups) :]:
        for ax in column:
            ax.axis("off")
    headline(figure, "§3.3  sampling kernels and their $\\Phi$")
    return figure


def paddings(U: Array, theta: Array, size: Size) -> Figure:
    """U (H, W, C) warped by an affine θ (2, 3) that looks beyond it, under each padding, framed."""
    inverse = np.linalg.inv(np.vstack([theta, [0, 0, 1]]))[None, :2]
    corners = np.array([[[[-1.0, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]]]])
    frame = eq.to_pixels(eq.AFFINE.grid(inverse, corners), size, align_corners=False)[0, 0]
    options: dict[str, Any] = {"size": size, "kernel": eq.INTEGER, "align_corners": False}
    images = [
        stn_ref.transform(U[None], theta[None], padding=p, fill=0.5 * (p == "constant"), **options)
        for p in eq.PADDINGS
    ]
    title = "§3.3  six paddings; the frame is the outer edge of $U$"
    axes = compare([image[0] for image in images], list(eq.PADDINGS), title, columns=3)
    for ax in axes.flat:
        ax.plot(*frame.T, color=RED, lw=1.5)
    return figure_of(axes)


def shrinking(size: int = 160, step: int = 4) -> Figure:
    """Rings, ever finer outwards, shrunk by a narrow kernel and by wide normalised ones."""
    n = np.arange(size) - (size - 1) / 2
    rings = 0.5 + 0.5 * np.cos((n * n + (n * n)[:, None]) * np.pi / size)[None, ..., None]
    small = size // step
    kernels = [eq.BILINEAR, *(eq.normalised(eq.hat(w)) for w in (step / 2, step))]
    images = [
        stn_ref.transform(
            rings,
            eq.AFFINE.identity()[None],
            size=(small, small),
            kernel=k,
            padding="symmetric",
            align_corners=False,
        )[0]
        for k in kernels
    ]
    titles = ["$U$", "Eq. 5", f"normalised(hat({step // 2}))", f"normalised(hat({step}))"]
    title = f"Eq. 3  {size} pixels shrunk to {small}"
    return figure_of(compare([rings[0], *images], titles, title))

"""What spatial transformers look at while they learn: pictures of grids over training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from stn_ref import plots
from stn_ref.equations import to_pixels
from stn_ref.equations.arguments import Array
from stn_ref.nn import warps
from stn_ref.nn.layer import Layer, Params


class Frame(NamedTuple):
    """What a transformer did with a few feature maps after so many steps.

    U   (B, H, W, C)     what it saw
    xy  (B, H', W', 2)   where it looked, pixels
    V   (B, H', W', C)   what it passed on
    """

    step: int
    U: Array
    xy: Array
    V: Array


def frames(model: Layer, params: Params, images: Array, step: int) -> list[Frame]:
    """What each transformer of a network does with some images (B, H, W, C), in order."""
    found = []
    for transformer, warp in warps(model, model.forward(params, images)[1]):
        size, corners = warp.U.shape[1:3], transformer.align_corners
        xy = to_pixels(transformer.grid(warp), size, align_corners=corners)
        found.append(Frame(step, warp.U, xy.astype(np.float32), warp.V))
    return found


def training_film(film: Sequence[Frame], title: str = "") -> Figure:
    """A column for each frame; for each image its grid over U, and below it V.

    The channels of feature maps are averaged.
    """
    B, columns = len(film[0].U), len(film)
    width = 8.4 / max(columns, 6)
    heights = [a.shape[1] / a.shape[2] for a in (film[0].U, film[0].V)] * B
    figure, axes = plt.subplots(
        2 * B,
        columns,
        figsize=(0.4 + columns * width, 0.5 + sum(heights) * width),
        height_ratios=heights,
        layout="constrained",
        squeeze=False,
    )
    for frame, column in zip(film, axes.T, strict=True):
        _, H, W, _ = frame.U.shape
        for b, (above, below) in enumerate(column.reshape(B, 2)):
            U, V = (a[b].mean(axis=-1, keepdims=True) for a in (frame.U, frame.V))
            plots.show(U, above, f"step {frame.step}" if b == 0 else "")
            plots.grid_lines(frame.xy[b], above, lines=7)
            above.set(xlim=(-0.25 * W, 1.25 * W), ylim=(1.25 * H, -0.25 * H))
            plots.show(V, below, vmin=0, vmax=float(U.max()) or 1.0)
    for above, below in axes[:, 0].reshape(B, 2):
        above.set_ylabel("$U$, $T_\\theta(G)$")
        below.set_ylabel("$V$")
    figure.suptitle(title)
    return figure


def every_so_often(film: Sequence[Frame], count: int) -> list[Frame]:
    """So many of the frames, the first and the last among them, close together at the start."""
    last = len(film) - 1
    which = np.round(last * np.linspace(0, 1, min(count, len(film))) ** 2).astype(int)
    return [film[k] for k in np.maximum(which, range(len(which)))]  # none of them twice

"""What spatial transformers look at while they learn: pictures of grids over training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from stn_ref.equations import to_pixels
from stn_ref.equations.arguments import Array
from stn_ref.nn import warps
from stn_ref.nn.layer import Layer, Params
from stn_ref.plots.canvas import WIDTH, animate, headline
from stn_ref.plots.own_data import Frame, glimpse, images_of


def frames(model: Layer, params: Params, images: Array, step: int) -> list[Frame]:
    """What each transformer of a network does with some images (B, H, W, C), in order."""
    found = []
    for transformer, warp in warps(model, model.forward(params, images)[1]):
        size, corners = warp.U.shape[1:3], transformer.align_corners
        xy = to_pixels(transformer.grid(warp), size, align_corners=corners)
        found.append(Frame(step, warp.U, xy.astype(np.float32), warp.V))
    return found


def every_so_often(film: Sequence[Frame], count: int) -> list[Frame]:
    """So many of the frames, the first and the last among them, close together at the start."""
    last = len(film) - 1
    which = np.round(last * np.linspace(0, 1, min(count, len(film))) ** 2).astype(int)
    return [film[k] for k in np.maximum(which, range(len(which)))]  # none of them twice


def moving_picture(film: Sequence[Frame], path: Path, title: str = "") -> Path:
    """Write a GIF of a film: each image under its grid, and below it what was passed on.

    title  before "step …"
    Raises ValueError if a frame has another B than the first.
    """
    B = images_of(film)
    heights = [a.shape[1] / a.shape[2] for a in (film[0].U, film[0].V)]
    width = min(2.0, WIDTH / B)

    def draw(page: Figure, frame: Frame) -> None:
        for b, pair in enumerate(page.subplots(2, B, height_ratios=heights, squeeze=False).T):
            glimpse(frame, b, axes=pair)
        headline(page, f"{title}step {frame.step}")

    still = [film[-1]] * 12  # a second and a half to look at the last
    return animate(draw, [*film, *still], path, size=(B * width, 0.4 + sum(heights) * width))

"""Many feature maps on one sheet: compared on one scale, or small under their labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Rectangle

from stn_ref.equations.arguments import Array, flag, shaped, whole
from stn_ref.plots.canvas import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    RED,
    SIGNED,
    WIDTH,
    a_map,
    headline,
    one,
    page,
    scale,
    show,
)


def compare(
    images: Sequence[Array],
    titles: Sequence[str] | None = None,
    title: str = "",
    *,
    columns: int = 5,
    difference: bool = False,
    figure: Figure | SubFigure | None = None,
) -> Array:
    """Feature maps (H, W, C) side by side on one scale; on request their differences below.

    difference  from the first, the mean over channels, dark where it is negative, light where it is
                positive; the maps must then have one shape
    Returns the axes (rows, columns), with every second row for differences.
    Raises TypeError or ValueError for an argument of a wrong shape, dtype or value.
    """
    maps = [a_map(f"images[{k}]", image) for k, image in enumerate(images)]
    titles = [""] * len(maps) if titles is None else list(titles)
    columns = whole("columns", columns)
    if not maps or len(titles) != len(maps):
        raise ValueError(f"{len(maps)} images and {len(titles)} titles; expected a title for each")
    if flag("difference", difference) and len({U.shape for U in maps}) > 1:
        raise ValueError(f"images have shapes {[U.shape for U in maps]}; expected one shape")
    columns, deep = min(len(maps), columns), 1 + difference
    rows, (H, W, _) = -(-len(maps) // columns), maps[0].shape
    high = WIDTH * H / W / columns + 0.2
    axes = page(figure, 0.4 + rows * deep * high).subplots(rows * deep, columns, squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for ax, U, name in zip(axes[::deep].flat, maps, titles, strict=False):
        ax.axis("on")
        show(U, ax, name, **scale(*maps))
    if difference:
        _differences(axes[1::2], [(U - maps[0]).mean(axis=-1, keepdims=True) for U in maps])
    headline(axes[0, 0].figure, title)
    return np.asarray(axes)


def _differences(axes: Array, maps: Sequence[Array]) -> None:
    """Each but the first, on one scale about 0, whose key is where the first would be."""
    most = max(map(abs, scale(*maps, zero=True).values()))
    for ax, U in zip(axes.flat[1:], maps[1:], strict=False):
        ax.axis("on")
        image = show(U, ax, "", cmap=SIGNED, vmin=-most, vmax=most).images[0]
    if len(maps) > 1:
        key = axes.flat[0].inset_axes((0.72, 0.05, 0.08, 0.9))
        axes.flat[0].figure.colorbar(image, cax=key, ticklocation="left")
        key.set_ylabel("difference from\nthe first")


def inked(images: Array) -> Array:
    """Feature maps (…, C) in [0, 1] as black ink on white paper, or each channel in a colour.

    Returns (…, 3), red, green and blue. Raises ValueError if C is not from 1 to 3.
    """
    C = images.shape[-1]
    if not 1 <= C <= 3:
        raise ValueError(f"images has shape {images.shape}; expected 1 to 3 channels, last")
    inks = np.array([to_rgb(c) for c in (("black",) if C == 1 else (BLUE, ORANGE, GREEN)[:C])])
    return np.asarray(np.clip(1 - images @ (1 - inks), 0, 1))


def contact_sheet(
    images: Array,
    labels: Sequence[object] | Array,
    *,
    columns: int = 10,
    boxes: Array | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Small images in rows, each under its label; with several channels, each in a colour.

    images  (B, H, W, C)  in [0, 1], dark on light; C from 1 to 3
    labels  B of anything that can be printed
    boxes   (B, K, 4)     drawn over each image: left, top, right, bottom, pixels
    Raises ValueError if one of them has a wrong shape.
    """
    images = shaped("images", images, ("B", "H", "W", "C"))
    B, H, W, C = images.shape
    if not (B and 1 <= C <= 3 and len(labels) == B):
        raise ValueError(
            f"{B} images of {C} channels and {len(labels)} labels; expected at least one image, "
            "1 to 3 channels, and a label for each"
        )
    boxes = np.zeros((B, 0, 4)) if boxes is None else shaped("boxes", boxes, (B, "K", 4))
    columns, head, gap = min(whole("columns", columns), B), round(H / 3), round(W / 14)
    ax = one(ax)
    papers = inked(images)
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

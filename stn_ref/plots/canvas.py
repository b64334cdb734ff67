"""What every picture has in common: paper, ink, axes to draw into, one feature map, a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.animation import PillowWriter
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from stn_ref.equations.arguments import Array, shaped
from stn_ref.progress import progress

BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#999999"
SIGNED = "cividis"  # dark is negative, grey 0, light positive, in print as on a screen
WIDTH = 8.4  # inches, of a page
Moment = TypeVar("Moment")
UNDATED = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}  # the same bytes every time


def save(picture: Figure | SubFigure | Axes | Array, path: Path, dpi: int = 120) -> Path:
    """Write a figure, or the one that these axes are in, and close it; return the path.

    On white, cropped to what is drawn, and the same bytes from the same picture. For slides,
    STN_REF_FORMAT=svg (or pdf) in the environment writes it in that format, too, beside the first.
    Raises ValueError for another format.
    """
    figure, too = figure_of(picture), os.environ.get("STN_REF_FORMAT", "")
    if too not in ("", *UNDATED):
        raise ValueError(f"STN_REF_FORMAT is {too!r}; expected one of {', '.join(UNDATED)}")
    crop: dict[str, Any] = {"bbox_inches": "tight", "pad_inches": 0.06, "facecolor": "white"}
    figure.savefig(path, dpi=dpi, metadata={"Software": None}, **crop)
    if too:
        figure.savefig(path.with_suffix(f".{too}"), dpi=dpi, metadata=UNDATED[too], **crop)
    plt.close(figure)
    return path


def writable_directory(out: Path) -> None:
    """Make the directory; an OSError says which one cannot be written and why."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".stn_ref"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OSError(f"cannot write figures to {out}: {error.strerror or error}") from error


def figure_of(picture: Figure | SubFigure | Axes | Array) -> Figure:
    """The whole figure that something is in."""
    first = picture.flat[0] if isinstance(picture, np.ndarray) else picture
    figure: Figure = first.figure.figure  # axes may be in a subfigure
    return figure


def headline(figure: Figure | SubFigure, text: str) -> None:
    """What the whole picture shows, above its panels' titles and told apart from them."""
    figure.suptitle(text, weight="bold", fontsize=12)


def animate(
    draw: Callable[[Figure, Moment], object],
    moments: Sequence[Moment],
    path: Path,
    *,
    size: tuple[float, float] = (WIDTH, WIDTH / 2),
    fps: float = 8,
    dpi: int = 75,
) -> Path:
    """Write a GIF that runs for ever: draw(figure, moment) on an empty page for each moment.

    size  inches
    fps   moments a second
    Raises ValueError if there are no moments.
    """
    if not len(moments):
        raise ValueError("moments is empty; expected at least one")
    figure = plt.figure(figsize=size, layout="compressed")
    writer = PillowWriter(fps=fps)  # type: ignore[arg-type]
    try:
        with writer.saving(figure, path, dpi):
            for moment in progress(moments, path.name):
                figure.clear()
                draw(figure, moment)
                writer.grab_frame(facecolor="white")
    finally:
        plt.close(figure)
    return path


def one(ax: Axes | None) -> Axes:
    """The axes given, or new ones."""
    if ax is None:
        return plt.subplots(layout="compressed")[1]
    if not isinstance(ax, Axes):
        raise TypeError(f"ax is {ax!r}; expected Matplotlib axes")
    return ax


def row_of(axes: Sequence[Axes] | Array | None, count: int, height: float) -> Array:
    """The axes given, so many of them, or as many new ones side by side, so many inches high."""
    if axes is None:
        options: dict[str, Any] = {"figsize": (WIDTH, height), "layout": "compressed"}
        return np.asarray(plt.subplots(1, count, **options)[1])
    given = np.ravel(np.asarray(axes, dtype=object))
    if len(given) != count or not all(isinstance(ax, Axes) for ax in given):
        raise TypeError(f"axes is {axes!r}; expected {count} Matplotlib axes")
    return given


def page(figure: Figure | SubFigure | None, height: float, width: float = WIDTH) -> Any:
    """The figure given, or a new one of this size in inches."""
    if figure is None:
        return plt.figure(figsize=(width, height), layout="compressed")
    if not isinstance(figure, Figure | SubFigure):
        raise TypeError(f"figure is {figure!r}; expected a Matplotlib figure")
    return figure


def a_map(name: str, value: Any, channels: int | str = "C") -> Array:
    """A feature map (H, W, C) that has something to show."""
    array = shaped(name, value, ("H", "W", channels))
    if 0 in array.shape:
        raise ValueError(f"{name} has shape {array.shape}; each must be at least 1")
    return array


def scale(*maps: Array, zero: bool = False) -> dict[str, float]:
    """From the least to the greatest finite number in the maps' first channels, and 0 if asked."""
    shown = np.concatenate([np.ravel(U[..., 0]) for U in maps])
    shown = np.append(shown[np.isfinite(shown)], [0] * zero)
    low, high = (shown.min(), shown.max()) if len(shown) else (0, 0)
    return {"vmin": float(low), "vmax": float(high if high > low else low + 1)}


def show(U: Array, ax: Axes | None = None, title: str = "", **options: Any) -> Axes:
    """A feature map (H, W, C), pixel centres at integers, rows down.

    Three channels are red, green and blue from 0 to 1; else the first is drawn, dark on light.
    """
    U = a_map("U", U)
    ax = one(ax)
    colours = U.shape[-1] == 3
    ink: dict[str, Any] = {} if colours else {"cmap": "gray_r"}
    image = np.clip(U, 0, 1) if colours else U[..., 0]
    ax.imshow(image, **({"interpolation": "nearest"} | ink | options))
    ax.set_title(title, fontsize=10)
    ax.set_xticks([])
    ax.set_yticks([])
    return ax

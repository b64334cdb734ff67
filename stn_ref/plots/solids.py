"""Pictures of volumes and of signals, on anyone's data: arrays in, axes or figures out."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from stn_ref.equations.arguments import Array, shaped
from stn_ref.plots.canvas import BLUE, GREY, ORANGE, RED, show


def slices(U: Array, ax: Axes, depths: Iterable[int], title: str = "") -> Axes:
    """Slices of a volume (D, H, W, C) beside each other, each over its z in voxels."""
    _, H, W, _ = shaped("U", U, ("D", "H", "W", "C")).shape
    depths = list(depths)
    gap = max(1, W // 8)
    row = np.concatenate([np.pad(U[k], ((0, 0), (0, gap), (0, 0))) for k in depths], axis=1)
    show(row[:, :-gap], ax, title)
    for n, z in enumerate(depths):
        left = n * (W + gap) - 0.5
        ax.add_patch(Rectangle((left, -0.5), W, H, fill=False, ec=GREY, lw=1, clip_on=False))
        ax.text(left + W / 2, H + 0.5, f"$z={z}$", ha="center", va="top", fontsize=8)
    ax.set_frame_on(False)
    return ax


def solid(U: Array, ax: Any, title: str = "", *, least: float = 0.4) -> Any:
    """A volume (D, H, W, C) in space, x to the right, y down and z away; its first channel.

    ax     Matplotlib's, with projection="3d"
    least  voxels above it are drawn
    """
    sides = shaped("U", U, ("D", "H", "W", "C")).shape[:3]
    z, y, x = np.nonzero(U[..., 0] > least)
    ax.scatter(x, z, y, c=U[z, y, x, 0], cmap="gray_r", vmin=-0.8, vmax=1.1, s=12, lw=0)
    frame = np.stack(np.meshgrid(*([-0.5, S - 0.5] for S in sides), indexing="ij")[::-1], axis=-1)
    _edges(frame, ax, GREY, 0.7)
    D, H, W = sides
    ax.set(xlim=(-0.5, W - 0.5), ylim=(-0.5, D - 0.5), zlim=(H - 0.5, -0.5))
    ax.set_box_aspect((W, D, H), zoom=1.15)
    ax.view_init(elev=18, azim=-65)
    ax.set_title(title)
    ax.set_axis_off()
    return ax


def box(xyz: Array, ax: Any) -> Any:
    """The edges of a grid of source points (D', H', W', 3), voxels; the face in front in blue."""
    xyz = shaped("xyz", xyz, ("D", "H", "W", 3))
    _edges(xyz, ax, RED, 1.2)
    _edges(xyz[:1], ax, BLUE, 1.8)
    x, y, z = xyz[0, 0, 0]
    ax.plot(x, z, y, "o", color=BLUE, ms=5)
    return ax


def _edges(xyz: Array, ax: Any, colour: str, width: float) -> None:
    """The twelve edges of (D', H', W', 3) points."""
    for axis, (a, b) in product(range(3), product((0, -1), repeat=2)):
        x, y, z = np.moveaxis(xyz, axis, 0)[:, a, b].T
        ax.plot(x, z, y, color=colour, lw=width)


def stack(signals: Array, ax: Axes, title: str = "") -> Axes:
    """Signals (B, W, C), first channel, one above the other."""
    signals = shaped("signals", signals, ("B", "W", "C"))[..., 0]
    apart = 0.6 * (np.ptp(signals) or 1.0)
    for b, signal in enumerate(signals):
        ax.plot(signal - apart * b, color="black", lw=0.8)
    ax.set(title=title, yticks=[], xlim=(0, signals.shape[1] - 1))
    return ax


def straightened(before: Array, after: Array, truth: Array, *, shown: int = 12) -> Figure:
    """A few of the signals (B, W, C) before and after, above the mean of all and the truth (W, C).

    The band is one standard deviation of all signals, either way.
    """
    figure, axes = plt.subplots(
        2, 2, figsize=(8.4, 5.2), height_ratios=(3, 2), sharex=True, layout="constrained"
    )
    for (above, below), signals, name in zip(
        axes.T, (before, after), ("$U$, as they come", "$V$, as they leave"), strict=True
    ):
        stack(signals[:shown], above, name)
        mean, spread = signals[..., 0].mean(axis=0), signals[..., 0].std(axis=0)
        time = np.arange(len(mean))
        below.fill_between(time, mean - spread, mean + spread, color=BLUE, alpha=0.2, lw=0)
        below.plot(time, mean, color=BLUE, lw=1.8, label=f"mean of {len(signals)}")
        below.plot(time, truth[:, 0], color=ORANGE, lw=1.4, ls="--", label="the template")
        below.set(xlabel="$x$, samples", yticks=[])
    axes[1, 0].sharey(axes[1, 1])
    figure.legend(*below.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure

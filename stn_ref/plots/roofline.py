"""The picture of a benchmark: how near each comes to copying its input and output once."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from stn_ref.plots.canvas import BLUE, GREEN, GREY, ORANGE, headline

MARKS = {
    "ours": (BLUE, "o", "stn_ref"),
    "torch": (ORANGE, "s", "PyTorch"),
    "torch, channels last": (ORANGE, "D", "PyTorch, channels last"),
    "opencv": (GREEN, "^", "OpenCV"),
    "copy": (GREY, "", "copying input and output"),
}


def roofline(rows: Sequence[dict[str, Any]]) -> Figure:
    """One panel a task, one line a shape; input and output bytes by the time taken, per second.

    A bar ends where a plain copy of input and output does: no sampler can be faster.
    """
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    cases = list(dict.fromkeys(_case(row) for row in rows))
    height = 1.6 + 0.27 * len(cases)
    figure, axes = plt.subplots(
        1, len(tasks), figsize=(10, height), sharey=True, sharex=True, layout="constrained"
    )
    for ax, task in zip(axes, tasks, strict=True):
        ax.set(title=task, xscale="log", xlabel="GB/s", ylim=(len(cases) - 0.5, -0.5))
        ax.grid(axis="y", color=GREY, lw=0.3)
        for row in (row for row in rows if row["task"] == task):
            gigabytes = 2 * 4 * prod(row["shape"]) / 1e9
            for name, milliseconds in row["milliseconds"].items():
                colour, mark, label = MARKS[name]
                speed, line = gigabytes / (milliseconds / 1e3), cases.index(_case(row))
                if name == "copy":
                    ax.barh(line, speed, height=0.8, color="#E3E3E3", zorder=0, label=label)
                else:
                    ax.plot(speed, line, mark, color=colour, ms=7, label=label)
    axes[0].set_yticks(range(len(cases)), cases, fontsize=9)
    names = dict(zip(*reversed(axes[0].get_legend_handles_labels()), strict=True))
    figure.legend(names.values(), names, loc="outside lower center", ncols=5)
    headline(figure, "Input and output per second, one thread; the bar is the roof, a plain copy")
    return figure


def _case(row: dict[str, Any]) -> str:
    layout = ", channels last" if row["layout"] == "channels last" else ""
    kernel = "" if row["kernel"] == "bilinear" else f", {row['kernel']}"
    return "×".join(map(str, row["shape"])) + layout + kernel

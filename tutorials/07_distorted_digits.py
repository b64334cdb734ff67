# %% [markdown]
# # Distorted digits
#
# A spatial transformer is worth its cost where the thing to be seen is turned, shifted, bent or
# hidden. The paper makes such data from MNIST, and so does this page: each task is a row of ranges,
# `distort` draws from them, and every image comes out of the package's own transformations and
# sampler. The draws are made afresh for each batch, from a generator; nothing is stored.
#
# About three seconds: `python tutorials/07_distorted_digits.py`.

# %%
import sys
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np

from stn_ref import files, plots
from stn_ref.data import TASKS, digits, distort

out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "figures"
files.writable_directory(out)

data = digits(dtype=np.float32)
in_turn = np.argsort(data.y_test, kind="stable").reshape(10, -1).T.ravel()
x, y = data.x_test[in_turn], data.y_test[in_turn]  # 0, 1, …, 9, 0, 1, …
for task in TASKS.values():
    print(task)


def draw(name, count, seed=2015):
    """The first digits, distorted; those of class 3 where all must be of one class."""
    task = TASKS[name]
    one = y == 3 if task.together else y >= 0
    return distort(task, x[one][:count], y[one][:count], np.random.default_rng(seed), clutter=x)


def sheet(title, found, boxes=None):
    """Thirty distorted digits on a page."""
    figure, ax = plt.subplots(figsize=(8.4, 3.45), layout="constrained")
    plots.contact_sheet(found.images, found.labels, boxes=boxes, ax=ax)
    ax.set_title(title)
    return figure


# %% [markdown]
# ## One map, there and back
#
# A digit at $p$, in pixels from the middle of its frame, is turned, scaled and shifted to
# $p' = s R p + d$. The sampler asks the other way round: where does the output's pixel $p'$ come
# from? So θ is the inverse, $p = R^{-1} (p' - d) / s$, and a digit half as large has a θ twice as
# large. What a network has to find is the inverse of that again: it asks where the upright digit's
# pixels are on the canvas.
#
# **R** turns by up to 90° either way. Some sixes and nines can no longer be told apart.

# %%
print(plots.save(sheet("R: turned by up to 90°", draw("R", 30)), out / "distortions_R.png"))

# %% [markdown]
# **RTS** turns by up to 45°, scales by 0.7 to 1.2 and puts the digit anywhere on a canvas of
# 42 × 42. "Anywhere" is our reading: whole pixels, uniform where the scaled frame stays inside and,
# however it turns, so does all its ink. The boxes are the frames before they turn.

# %%
found = draw("RTS", 30)
title = "RTS: turned by up to 45°, scaled by 0.7 to 1.2, anywhere"
print(plots.save(sheet(title, found, found.boxes), out / "distortions_RTS.png"))

# %% [markdown]
# **P** scales by 0.75 to 1, then pulls each corner of the frame by a normal draw of 5 pixels.
# Eight numbers move four corners, so four corners give θ: eight linear equations.

# %%
title = "P: scaled by 0.75 to 1, the frame's corners pulled by 5 pixels"
print(plots.save(sheet(title, draw("P", 30)), out / "distortions_P.png"))

# %% [markdown]
# **E** scales alike, then bends a thin plate spline at 4 × 4 points of the frame, by 1.5 pixels.

# %%
title = "E: scaled by 0.75 to 1, bent at 16 points by 1.5 pixels"
print(plots.save(sheet(title, draw("E", 30)), out / "distortions_E.png"))

# %% [markdown]
# **TC** leaves the digit as it is, somewhere on 60 × 60, and throws in six patches of 6 × 6 pixels
# from other digits. All is pasted in whole pixels: were the digit alone interpolated, its blur
# would give it away.

# %%
title = "TC: anywhere on 60 × 60, with six patches of other digits"
print(plots.save(sheet(title, draw("TC", 30)), out / "distortions_TC.png"))

# %% [markdown]
# **Addition** has two channels, each with an RTS digit of its own, and asks for the sum. Here the
# first is blue and the second orange. One transformer can turn one of them upright, not both: the
# paper puts two in parallel.

# %%
title = "addition: two RTS digits, a channel each, and their sum"
print(plots.save(sheet(title, draw("addition", 30)), out / "distortions_addition.png"))

# %% [markdown]
# **Co-localisation** shows digits of one class somewhere on 84 × 84, and does not say which class
# nor where. The boxes are the answer, for no network to see.

# %%
found = draw("colocalisation", 30)
title = "co-localisation: one class, anywhere on 84 × 84"
print(plots.save(sheet(title, found, found.boxes), out / "distortions_colocalisation.png"))
found = draw("colocalisation_cluttered", 30)
title = "co-localisation in clutter: sixteen patches of other digits"
print(
    plots.save(sheet(title, found, found.boxes), out / "distortions_colocalisation_cluttered.png")
)

# %% [markdown]
# ## All of them, on one page
#
# The first row is what the others were made from.

# %%
rows = {"as they are": (x[:10], y[:10])}
rows |= {name.replace("_", "\n"): draw(name, 10)[:2] for name in TASKS}
figure, axes = plt.subplots(len(rows), 1, figsize=(8.4, 8.0), layout="constrained")
figure.get_layout_engine().set(rect=(0.05, 0, 0.95, 1))  # room for the names
for ax, (name, (images, labels)) in zip(axes, rows.items(), strict=True):
    plots.contact_sheet(images, labels, ax=ax)
    ax.text(-0.02, 0.4, name, transform=ax.transAxes, ha="right", va="center")
print(plots.save(figure, out / "distortions.png", dpi=90))

# %% [markdown]
# ## Exercise
#
# A frame of 28 × 28 pixels is turned by any angle. Up to which scale does it always fit on a canvas
# of 42 × 42, corners and all? Replace `None`.

# %%
scale = None
if scale is not None:
    a = np.linspace(0, np.pi / 2, 1000)
    widest = np.max(28 * scale * (np.cos(a) + np.sin(a)))
    assert abs(widest - 42) < 0.01
    print("it fits, and nothing larger does")

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

import matplotlib.pyplot as plt
import numpy as np

from stn_ref import plots
from stn_ref.data import TASKS, Task, digits, distort
from stn_ref.plots.output import out

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
# In the sampler's coordinates, −1 to 1, $p'$ is multiplied by half of what ±1 span on the canvas
# and $p$ divided by that of the frame. Here is θ of the first digit of a batch, from the truth
# about it:

# %%
found, half, frame = draw("RTS", 10), (42 - 1) / 2, (28 - 1) / 2
a, s, d = found.angle[0, 0], found.scale[0, 0], found.place[0, 0] - half
R_inverse = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
A = np.column_stack([R_inverse * half, -R_inverse @ d]) / (s * frame)
cos, sin, t_x, t_y = found.theta[0, 0]  # θ of a similarity
assert np.allclose(A, [[cos, -sin, t_x], [sin, cos, t_y]])

# %% [markdown]
# **R** turns by up to 90° either way. Some sixes and nines can no longer be told apart.

# %%
print(plots.save(sheet("R: turned by up to 90°", draw("R", 30)), out / "distortions_R.png"))

# %% [markdown]
# **RTS** turns by up to 45°, scales by 0.7 to 1.2 and puts the digit anywhere on a canvas of
# 42 × 42. "Anywhere" is our reading: whole pixels, uniform where the scaled frame stays inside and,
# however it turns, so does all its ink. The boxes are the frames before they turn.

# %%
found = draw("RTS", 30)
title = (
    "RTS: turned by up to 45°, scaled by 0.7 to 1.2, anywhere; boxed, the frames before the turn"
)
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
title = "co-localisation: one class, anywhere on 84 × 84; boxed, the answer"
print(plots.save(sheet(title, found, found.boxes), out / "distortions_colocalisation.png"))
found = draw("colocalisation_cluttered", 30)
title = "co-localisation in clutter: sixteen patches of other digits; boxed, the answer"
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
# ## Exercises
#
# **1. Predict.** A digit is shown at half its size, on a canvas as large as its frame, not turned
# and in the middle. What is $\theta_{11}$ of the affine map that made it?

# %%
theta_11 = None
if theta_11 is not None:
    small = distort(Task("small", 28, scale=(0.5, 0.5)), x[:1], y[:1], np.random.default_rng(0))
    assert theta_11 == small.theta[0, 0, 0], "θ says where the canvas looks, so it is the inverse"
    print("the canvas spans two frames")

# %% [markdown] solution
# ```python
# theta_11 = 2
# ```

# %% [markdown]
# **2. Compute.** A frame of 28 × 28 pixels is turned by any angle. Up to which scale does it always
# fit on a canvas of 42 × 42, corners and all?

# %%
scale = None
if scale is not None:
    a = np.linspace(0, np.pi / 2, 1000)
    widest = np.max(28 * scale * (np.cos(a) + np.sin(a)))
    assert abs(widest - 42) < 0.01, (
        f"at its widest it has {widest:.1f} pixels: think of its diagonal"
    )
    print("it fits, and nothing larger does")

# %% [markdown] solution
# The diagonal is $28\sqrt{2}\,s$ pixels long:
# ```python
# scale = 1.5 / np.sqrt(2)
# ```

# %% [markdown]
# **3. Extend.** Make a task of your own: one digit anywhere on 50 × 50 pixels, turned by up to 30°
# either way, its size kept, among three patches of other digits. `Task`'s docstring has the names.

# %%
mine = None  # Task("mine", …)
if mine is not None:
    found = distort(mine, x, y, np.random.default_rng(0), clutter=x)
    assert found.images.shape[1:] == (50, 50, 1), "size is the canvas along an axis, digits is one"
    degrees = np.rad2deg(found.angle)
    assert 28 < abs(degrees).max() <= 30, f"it is turned by up to {abs(degrees).max():.0f}°"
    assert np.all(found.scale == 1), "scale is a pair, from … to, and (1, 1) unless given"
    assert np.ptp(found.place) > 10, "anywhere decides whether the place is random"
    assert mine.patches == 3, "patches is how many"
    print(sum(found.boxes[0, 0, 2:] - found.boxes[0, 0, :2]) / 2, "pixels a side, as the frame is")

# %% [markdown] solution
# ```python
# mine = Task("mine", 50, angle=30, anywhere=True, patches=3)
# ```

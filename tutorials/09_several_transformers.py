# %% [markdown]
# # Several transformers
#
# A spatial transformer "can be dropped into a CNN architecture at any point, and in any number",
# says §3.4 of the paper: one after another, or side by side. This page tries both. Side by side
# they show a limit that the section states, too: a transformer attends to one place at a time, so
# that the number of transformers in parallel limits how many objects a feed-forward network can
# model.
#
# About two and a half minutes on one core: `python tutorials/09_several_transformers.py`. With
# `STN_REF_QUICK=1` in the environment training stops after a few steps, for whoever wants to see
# that it runs.

# %%
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a second thread gains such matrices nothing

import matplotlib.pyplot as plt
import numpy as np

from stn_ref import plots
from stn_ref.data import TASKS, Task, digits, distort
from stn_ref.equations import ATTENTION, ROTATION
from stn_ref.nn import (
    Adam,
    Cosine,
    Dense,
    Parallel,
    Sequential,
    SpatialTransformer,
    error_percent,
    fit,
    fully_connected,
    warps,
)
from stn_ref.plots import lecture
from stn_ref.plots.films import frames
from stn_ref.plots.output import out

data = digits(dtype=np.float32)


def trained(task, transformers, classes, x, y, test):
    """A network behind some transformers, and its weights; prints how it does."""
    model = Sequential(*transformers, fully_connected(200, 200), Dense(classes))
    params, _ = model.initialise(np.random.default_rng(0), test.images.shape[1:])
    now = fit(
        model,
        params,
        x,
        y,
        optimiser=Adam(Cosine(3e-3, warm_up=50)),
        rng=np.random.default_rng(1),
        steps=10 if os.environ.get("STN_REF_QUICK") else 1500,
        batch=128,
        prepare=lambda x, y, rng: distort(task, x, y, rng)[:2],
    )
    wrong = error_percent(model, now.params, test.images, test.labels)
    print(f"{wrong:5.1f}% wrong after {now.seconds:.0f} processor seconds")
    return model, now.params


def looking(transformation):
    """A transformer with a small network of its own that passes on 28 × 28 pixels."""
    return SpatialTransformer(fully_connected(32, 32), transformation=transformation, size=(28, 28))


# %% [markdown]
# Where they go:

# %%
print(plots.save(lecture.blocks(), out / "blocks.png"))

# %% [markdown]
# ## In series
#
# The paper's task RTS turns, scales and shifts digits on a canvas of 42 × 42. One transformer may
# find the digit (attention, Eq. 2); a second may look at what the first has found, and turn it.
# Neither is told what its part is. Nor is the first told where the digit is.

# %%
RTS = TASKS["RTS"]
test = distort(RTS, data.x_test, data.y_test, np.random.default_rng(2015))
chains = {
    "none": [],
    "attention": [looking(ATTENTION)],
    "attention, then rotation": [looking(ATTENTION), looking(ROTATION)],
}
for name, chain in chains.items():
    print(f"{name:24}", end=" ")
    model, params = trained(RTS, chain, 10, data.x_train, data.y_train, test)

# %% [markdown]
# These are single runs, tested on a thousand digits: a percent more or less means nothing. What the
# first transformer gains is more than that. What the second one gains is not, and no wonder: the
# classifier can learn to read what is turned by less than 45°.
#
# In the picture, the canvas with the first grid; what the first passes on, with the second grid;
# what the classifier sees. Look at the middle row: the digit has been found, and the grid over it
# is turned as the digit is, so that below the digit stands upright.

# %%
shown = [3, 14, 25, 36, 47, 58]
first, second = frames(model, params, test.images[shown], 0)
rows = (first.U, first.xy), (second.U, second.xy), (second.V, None)
figure, axes = plt.subplots(3, len(shown), figsize=(8.4, 4.4), layout="constrained")
for (images, points), name, row in zip(rows, ("$U$", "found", "turned"), axes, strict=True):
    for k, ax in enumerate(row):
        plots.show(images[k], ax)
        if points is not None:
            plots.grid_lines(points[k], lines=5, ax=ax)
            W = images.shape[2]
            ax.set(xlim=(-0.2 * W, 1.2 * W), ylim=(1.2 * W, -0.2 * W))
    row[0].set_ylabel(name)
plots.headline(figure, "§3.4  two transformers in series")
print(plots.save(figure, out / "series.png"))

(_, found), (_, turned) = warps(model, model.forward(params, test.images)[1])
place = test.place[:, 0] - (RTS.size - 1) / 2
for axis, letter in enumerate("xy"):
    related = np.corrcoef(found.theta[:, 1 + axis], place[:, axis])[0, 1]
    print(f"t_{letter} of the first and the digit's {letter}: correlation {related:.2f}")
related = np.corrcoef(-turned.theta[:, 0], test.angle[:, 0])[0, 1]
print(f"−θ of the second and the digit's angle: correlation {related:.2f}")

# %% [markdown]
# Two transformers read the image twice, and every reading between pixels blurs a little. Where two
# maps are known beforehand, `compose` makes one of them (see the page on projective maps, meshes
# and splines). Here the second is chosen by looking at what the first has found, and so it has to
# be read.
#
# ## In parallel, and the limit
#
# The paper's example is addition: an image of two channels with a digit in each, somewhere, and the
# label is their sum. A transformer warps both channels alike, so that it can bring one of the
# digits to the middle, or the other, or neither. Two transformers side by side each warp both
# channels, and pass on four. To be quick, our digits are 0 to 4, they are shifted and nothing else,
# and the networks are small.

# %%
pairs = Task("pairs", 42, anywhere=True, digits=2)
x, y = (a[data.y_train < 5] for a in (data.x_train, data.y_train))
x_test, y_test = (a[data.y_test < 5] for a in (data.x_test, data.y_test))
test = distort(pairs, x_test, y_test, np.random.default_rng(2015))
beside = {
    "none": [],
    "one": [looking(ATTENTION)],
    "two": [Parallel(looking(ATTENTION), looking(ATTENTION))],
}
networks = {}
for name, transformers in beside.items():
    print(f"{name:24}", end=" ")
    networks[name] = trained(pairs, transformers, 9, x, y, test)

# %% [markdown]
# One transformer is little help here: whatever it brings to the middle, it pushes the other digit
# aside. Two nearly halve the error. (The paper's digits are turned and scaled, too, and its
# networks trained for longer: 47.7% without a transformer, 18.5% with one, 5.8% with two.)
#
# Which digit does a transformer attend to? Each dot is a test image: where the transformer looks
# across where a digit is. Look at the left: one transformer follows both digits a little, and
# neither well. The two have shared the work, and nobody has told them how.

# %%
corners = (pairs.size - 1) / 2
looks = []
for name in ("one", "two"):
    model, params = networks[name]
    looks += [
        warp.theta[:, 1] * corners
        for _, warp in warps(model, model.forward(params, test.images)[1])
    ]
names = "the only one", "the first of two", "the second of two"
place = test.place - corners
figure, axes = plt.subplots(1, 3, figsize=(8.4, 3.1), layout="constrained", sharey=True)
for ax, name, t in zip(axes, names, looks, strict=True):
    for digit, (marker, colour) in enumerate((("o", plots.BLUE), ("^", plots.ORANGE))):
        at = place[:, digit, 0]
        related = np.corrcoef(at, t)[0, 1]
        style = {"color": colour, "ms": 3, "ls": "", "mew": 0.5, "mfc": "none"}
        ax.plot(at, t, marker, label=f"digit {digit + 1}, correlation {related:.2f}", **style)
    ax.set(title=name, xlabel="a digit's $x$ from the middle, pixels", ylim=(-13, 10.5))
    ax.legend(fontsize=7, loc="lower right")
axes[0].set_ylabel("$t_x$, pixels")
plots.headline(figure, "§3.4  who attends to what")
print(plots.save(figure, out / "attending.png"))

# %% [markdown]
# The same on the six images whose digits lie furthest apart. The first digit is blue, the second
# orange; the solid frame is what the first transformer looks at and the dashed one the second.
# Below is what they pass on. Look at which colour stands in the middle of which row.

# %%
apart = np.hypot(*(test.place[:, 0] - test.place[:, 1]).T)
shown = np.argsort(-apart, kind="stable")[:6]
views = frames(*networks["two"], test.images[shown], 0)
figure, axes = plt.subplots(3, len(shown), figsize=(8.4, 4.4), layout="constrained")
for k, column in enumerate(axes.T):
    for ax, images in zip(column, (views[0].U, views[0].V, views[1].V), strict=True):
        plots.show(plots.inked(images[k]), ax)
    for view, dash in zip(views, ("-", "--"), strict=True):
        (left, top), (right, bottom) = view.xy[k][0, 0], view.xy[k][-1, -1]
        frame = [left, right, right, left, left], [top, top, bottom, bottom, top]
        column[0].plot(*frame, dash, color=plots.RED, lw=1.5)
    column[0].set(xlim=(-8, 49), ylim=(49, -8))
for ax, name in zip(axes[:, 0], ("$U$", "$V$ of the first", "$V$ of the second"), strict=True):
    ax.set_ylabel(name)
frames_of = [plt.Line2D([], [], color=plots.RED, ls=dash) for dash in ("-", "--")]
names = "frame of the first", "frame of the second"
figure.legend(frames_of, names, loc="outside lower center", ncols=2)
plots.headline(figure, "§3.4  two transformers in parallel")
print(plots.save(figure, out / "parallel.png"))

# %% [markdown]
# A third digit would need a third transformer. The network cannot look twice: how many objects it
# can bring into view is decided when it is built. Networks that look again and again (recurrent
# ones) do not have this limit.
#
# ## Exercises
#
# **1. Predict.** An image has three channels, and five transformers in parallel look at it. How
# many channels do they pass on together?

# %%
channels = None
if channels is not None:
    five = Parallel(*[looking(ATTENTION)] * 5)
    _, shape = five.initialise(np.random.default_rng(0), (42, 42, 3))
    assert shape == (28, 28, channels), "each warps all channels alike, and passes all of them on"
    print("and the next layer has to take them all")

# %% [markdown] solution
# ```python
# channels = 5 * 3
# ```

# %% [markdown]
# **2. Compute.** Two transformers in series each read half a pixel to the right with Eq. 5. Which
# weights do three neighbouring pixels of the input have in a pixel of the output? One transformer
# that moves by a whole pixel would have 0, 1, 0.

# %%
weights = None  # (?, ?, ?)
if weights is not None:
    once = np.array([[0.5, 0.5, 0], [0, 0.5, 0.5]])  # two neighbours of what is passed on
    right = np.array([0.5, 0.5]) @ once
    assert np.isclose(sum(weights), 1), "all the weights together are one"
    assert np.allclose(weights, right), "each reading is the mean of two neighbours; take it twice"
    print("that is the blur of a second reading")

# %% [markdown] solution
# ```python
# weights = (0.25, 0.5, 0.25)
# ```

# %% [markdown]
# **3. Extend.** Write `chain(count)`: a `Sequential` of so many transformers in series, the first
# of which looks by attention and the others by rotation.

# %%
chain = None  # a function of count
if chain is not None:
    model = chain(3)
    params, shape = model.initialise(np.random.default_rng(0), (42, 42, 1))
    assert shape == (28, 28, 1), f"it passes on {shape}; `looking` passes on 28 × 28 pixels"
    found = warps(model, model.forward(params, np.ones((1, 42, 42, 1), np.float32))[1])
    numbers = [warp.theta.shape[1] for _, warp in found]
    assert numbers == [3, 1, 1], f"their θ have {numbers} numbers; attention has 3, rotation 1"
    print("three looks, one after another")

# %% [markdown] solution
# ```python
# def chain(count):
#     return Sequential(looking(ATTENTION), *[looking(ROTATION)] * (count - 1))
# ```

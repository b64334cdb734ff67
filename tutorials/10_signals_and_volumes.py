# %% [markdown]
# # Signals and volumes
#
# Nothing in section 3 asks for two axes. A signal has one, and $T_\theta$ is then an uneven pace
# of time; a volume has three, and $T_\theta$ turns it in space. The equations, the sampler and the
# layer are those of the tutorials before: the transformation says how many axes there are.
#
# Two networks learn here: one straightens signals that were played unevenly, and one, as in
# appendix A.3, learns from which side a solid digit has to be looked at.
#
# About a minute and a quarter: `python tutorials/10_signals_and_volumes.py`. With `STN_REF_QUICK=1`
# in the environment training stops after a few steps, for whoever wants to see that it runs.

# %%
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a second thread gains such matrices nothing

import matplotlib.pyplot as plt
import numpy as np

from stn_ref import plots, transform
from stn_ref.data import Extruded, digits, extrude, pace, played
from stn_ref.equations import ROTATION, affine, target_grid, to_pixels
from stn_ref.nn import (
    Adam,
    AveragePool,
    Cosine,
    Dense,
    Project,
    Sequential,
    SpatialTransformer,
    error_percent,
    fit,
    fully_connected,
    warps,
)
from stn_ref.plots import solids
from stn_ref.plots.output import out

steps = 8 if os.environ.get("STN_REF_QUICK") else 4000

# %% [markdown]
# ## Time, piecewise linear
#
# A template of four bumps is played at a pace of its own between six moments, and a little noise is
# added. `pace(6)` is a transformation like any other, $T_\theta(G) = M_\theta B(G)$, with a hat
# for each moment as its basis; $\theta$ says which moment of the template is heard there. In one
# line:

# %%
moments, theta = np.linspace(-1, 1, 6), np.array([-1, -0.7, -0.1, 0.1, 0.5, 1])
time = target_grid((96,))
B = np.maximum(0, 1 - abs(time - moments) / 0.4)  # (96, 6), the moments are 0.4 apart
assert np.allclose(B @ theta, pace(6).grid(theta[None, :, None], time)[0, :, 0])

# %% [markdown]
# And the sampler on one axis is Eq. 3 with one sum, $V_i = \sum_m U_m\,k(x_i - m)$. Nothing else
# changes.

# %%
rng = np.random.default_rng(0)
template = sum(
    height * np.exp(-(((time - at) / width) ** 2))
    for height, at, width in (
        (1.0, -0.55, 0.10),
        (0.6, -0.10, 0.05),
        (-0.5, 0.15, 0.06),
        (0.8, 0.60, 0.12),
    )
)


def heard(count):
    """So many signals (count, 96, 1)."""
    clean = played(np.broadcast_to(template, (count, *template.shape)), rng).signals
    return (clean + rng.normal(0, 0.05, clean.shape)).astype(np.float32)


# %% [markdown]
# ## A transformer alone
#
# It is the whole network: its localisation network reads a signal and predicts a pace, with more
# moments than there were, since it has to undo what was done. What it learns from is the squared
# difference between its output and the template.


# %%
def far_from_the_template(V, labels):
    """The mean of the squared differences, and its gradient."""
    difference = V - template.astype(V.dtype)
    return np.mean(difference**2), 2 * difference / difference.size


straighten = SpatialTransformer(fully_connected(64, 64), transformation=pace(12))
params, _ = straighten.initialise(np.random.default_rng(0), template.shape)
signals, unheard = heard(4000), heard(200)
trained = fit(
    straighten,
    params,
    signals,
    np.zeros(len(signals)),
    optimiser=Adam(Cosine(5e-3, warm_up=20)),
    rng=np.random.default_rng(1),
    steps=steps // 4,
    batch=64,
    loss=far_from_the_template,
)
V, _ = straighten.forward(trained.params, unheard)
for name, given in (("as they come", unheard), ("as they leave", V)):
    error = np.sqrt(far_from_the_template(given, None)[0])
    print(f"signals {name} differ from the template by {error:.2f}")

# %% [markdown]
# Signals that it was not trained on. Look at the means below: the bumps stand in line, so theirs is
# sharp again. Look also at the ends of $V$, where there is no noise: the transformer has found that
# beyond ±1 there is silence, and looks there.

# %%
figure = solids.straightened(unheard, V, template)
print(plots.save(figure, out / "straightened.png"))

# %% [markdown]
# ## Digits in space
#
# A digit is extruded to a solid, turned about any axis by up to 60° and placed at random among
# 20 × 20 × 20 voxels. Here is one, slice by slice, the nearest first: no slice has all of it, since
# it stands askew.

# %%
data = digits(dtype=np.float32)


def afresh(images, labels, rng):
    """A batch of digits in space."""
    return extrude(images, labels, rng, size=20, scale=0.5, angle=60, thickness=12)


rng = np.random.default_rng(2015)
fifties = zip(*(np.split(a, len(a) // 50) for a in (data.x_test, data.y_test)), strict=True)
drawn = [afresh(images, labels, rng) for images, labels in fifties]
test = Extruded(*map(np.concatenate, zip(*drawn, strict=True)))

normal = test.rotation[..., 2]  # of a digit: where its z went
askew = np.rad2deg(np.arccos(normal[:, 2]))
shown = [
    min(np.flatnonzero(test.labels == d), key=lambda k: abs(askew[k] - 40)) for d in (2, 3, 4, 7)
]

figure, ax = plt.subplots(figsize=(8.4, 1.3), layout="constrained")
solids.slices(test.images[shown[1]], ax, range(5, 15), "a 3 in a volume, slice by slice")
print(plots.save(figure, out / "slices.png"))

# %% [markdown]
# ## Looking from the right side
#
# The network sees a volume as a picture: `Project` takes the mean along $z$, and a perceptron says
# which digit that is. Before it a transformer may turn, shift, stretch and shear the volume, by
# the 12 numbers of an affine map on three axes. It samples 8 × 16 × 16 points: eight to a line of
# sight are enough. The same network without a transformer learns beside it, from as many digits.

# %%
classifier = Sequential(Project(), fully_connected(128, 128), Dense(10))
look = SpatialTransformer(
    Sequential(AveragePool(2), fully_connected(64, 64)),
    transformation=affine(3),
    size=(8, 16, 16),
)
trained = {}
for name, model in (("without", classifier), ("with", Sequential(look, *classifier.layers))):
    params, _ = model.initialise(np.random.default_rng(0), test.images.shape[1:])
    trained[name] = fit(
        model,
        params,
        data.x_train,
        data.y_train,
        optimiser=Adam(Cosine(2e-3, warm_up=20)),
        rng=np.random.default_rng(1),
        steps=steps,
        batch=32,
        prepare=lambda images, labels, rng: afresh(images, labels, rng)[:2],
    )
    error = error_percent(model, trained[name].params, test.images, test.labels)
    print(f"{error:.1f}% of the test digits are taken for others {name} a transformer", end="; ")
    print(f"{trained[name].seconds:.0f} processor seconds")

# %% [markdown]
# Above are volumes with the box of the grid $T_\theta(G)$ in them: its front in blue, its first
# corner a dot. Below is what `Project` makes of the volume as it is, and of what is in the box.
# Look at how shallow the boxes are: to see a digit plainly one can look along its depth, but also
# cut a thin slice out of it, and that is what this network has found.

# %%
((_, warp),) = warps(model, model.forward(trained["with"].params, test.images)[1])
xyz = to_pixels(look.grid(warp), test.images.shape[1:-1])
figure = plt.figure(figsize=(8.4, 4.4), layout="constrained")
axes = figure.add_gridspec(3, len(shown), height_ratios=(2, 1, 1))
for column, k in enumerate(shown):
    ax = figure.add_subplot(axes[0, column], projection="3d")
    solids.box(xyz[k], solids.solid(warp.U[k], ax))
    for row, volume, name in ((1, warp.U[k], "$U$"), (2, warp.V[k], "$V$")):
        ax = plots.show(volume.mean(axis=0), figure.add_subplot(axes[row, column]))
        ax.set_ylabel(f"mean of {name}" * (column == 0))
lines = [plt.Line2D([], [], color=colour) for colour in (plots.BLUE, plots.RED, plots.GREY)]
names = r"$T_\theta(G)$, its front", "its sides and back", "the volume"
figure.legend(lines, names, loc="outside lower center", ncols=3)
print(plots.save(figure, out / "volumes.png"))

# %% [markdown]
# In every slice an extruded digit is whole, and only stretched where the slice is askew. So slices
# need to lie no flatter than keeps them inside the digit; the rest the classifier can learn. Here
# are the angles between the normals of a digit and of the picture made of it, without and with the
# transformer, and the depth of its boxes: half of the digits have less, half more.

# %%
x, y, z = np.moveaxis(warp.theta[..., :3], 2, 0)  # where the box's axes point to
across = np.cross(x, y)
left = np.rad2deg(np.arccos(abs(np.sum(across * normal, 1)) / np.linalg.norm(across, axis=1)))
print(f"digits are askew by {np.median(askew):.0f}°, and in their slices by {np.median(left):.0f}°")
voxels = (test.images.shape[1] - 1) * abs(np.sum(across * z, 1)) / np.linalg.norm(across, axis=1)
print(f"a slice is {np.median(voxels):.1f} voxels deep, a digit {12 * 0.5:.0f}")

# %% [markdown]
# ## Exercises
#
# **1. Predict.** A volume is read with Keys' kernel, which reaches two voxels either way. How many
# voxels have a weight in one point of the output?

# %%
taps = None
if taps is not None:
    assert taps != 12, "not four for each axis: every tap along x meets every one along y and z"
    assert taps == 4**3, "four taps on each of three axes"
    print("sixteen times as many as in a signal")

# %% [markdown] solution
# ```python
# taps = 64
# ```

# %% [markdown]
# **2. Compute.** For which $\theta$ of `affine(3)` does `Project` see a volume from its side, with
# what is near on the left of the picture and what is far on the right? Give the 3 × 4 matrix; its
# rows are $x^s$, $y^s$ and $z^s$.

# %%
theta = None
if theta is not None:
    U = np.random.default_rng(0).random((1, 5, 5, 5, 1))
    V = transform(U, np.array([theta], float), transformation=affine(3))
    side, _ = Project().forward((), V)
    assert not np.allclose(side, U.mean(axis=1)), "that is the view from the front"
    assert np.allclose(side[0, ..., 0], U[0, ..., 0].mean(axis=2).T), (
        "z^s should be the picture's x"
    )
    print("so turned, and mirrored: det = −1")

# %% [markdown] solution
# ```python
# theta = [[0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0]]
# ```

# %% [markdown]
# **3. Extend.** Write `about_z(a)`: the $\theta$ (3, 4) of `affine(3)` that turns every slice as
# `ROTATION` turns an image, by the angle $a$.

# %%
about_z = None  # a function of an angle
if about_z is not None:
    U = np.random.default_rng(0).random((1, 4, 9, 9, 1))
    V = transform(U, np.array([about_z(0.4)], float), transformation=affine(3))
    slices = transform(U[0], np.full((4, 1), 0.4), transformation=ROTATION)
    backwards = transform(U[0], np.full((4, 1), -0.4), transformation=ROTATION)
    assert not np.allclose(V[0], backwards), "the other way: x^s = cos a x − sin a y"
    assert np.allclose(V[0], slices), "x and y turn as in an image; the row of z is 0, 0, 1, 0"
    print("a rotation that leaves z alone")

# %% [markdown] solution
# ```python
# def about_z(a):
#     return [[np.cos(a), -np.sin(a), 0, 0], [np.sin(a), np.cos(a), 0, 0], [0, 0, 1, 0]]
# ```

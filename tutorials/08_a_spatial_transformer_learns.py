# %% [markdown]
# # A spatial transformer learns
#
# Digits are turned by up to 90° either way (the paper's task R), and a network is told nothing but
# which digit is which. It begins with a transformer that can only turn what it sees, by an angle
# that its localisation network reads off the image: $\theta = f_{loc}(U)$. Nobody tells it the
# angle. Whatever makes the classifier's loss smaller flows back through Eq. 7 to $\theta$, and from
# there into $f_{loc}$ (§3.4).
#
# About half a minute: `python tutorials/08_a_spatial_transformer_learns.py`. With
# `STN_REF_QUICK=1` in the environment it stops after a few steps, for whoever wants to see that it
# runs.

# %%
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a second thread gains such matrices nothing

import matplotlib.pyplot as plt
import numpy as np

from stn_ref import equations as eq
from stn_ref import plots
from stn_ref.data import TASKS, digits, distort
from stn_ref.nn import (
    SGD,
    Adam,
    Cosine,
    Dense,
    Sequential,
    SpatialTransformer,
    error_percent,
    fit,
    fully_connected,
    warps,
)
from stn_ref.nn.trees import named
from stn_ref.plots import diagrams, examples
from stn_ref.plots.films import every_so_often, frames, moving_picture
from stn_ref.plots.output import out

data = digits(dtype=np.float32)

# %% [markdown]
# ## The module
#
# Three parts, the paper's Figure 2. A localisation network looks at $U$ and predicts $\theta$
# (§3.1); the grid generator turns $\theta$ into source points (§3.2); the sampler reads $U$ there
# (§3.3). In the picture the network is a perceptron that nobody has trained: its regression layer
# has weights of 0, so that it answers its bias, whatever it sees, and the bias was set to a crop.
# The shapes are those of the arrays of this run. Look at the two arrows that leave $U$: the image
# decides how it is looked at, and is then looked at.

# %%
U, (theta, size) = examples.a_digit(2), examples.a_crop()
layers = examples.layers_for(theta[0])
print("θ = f_loc(U) =", eq.f_loc(U[None], layers).tolist())
print(plots.save(diagrams.module(U, layers, size), out / "module.png"))

# %% [markdown]
# Going back, $\partial L/\partial U$ is what comes through the sampler (Eq. 6) plus what comes
# through $\theta$ and the network.

# %%
V = eq.spatial_transformer(U[None], layers, size=size)
dU, dlayers = eq.spatial_transformer_backward(np.ones_like(V), U[None], layers)
print("dU", dU.shape, "and for each layer dW", [dW.shape for dW, _ in dlayers])

# %% [markdown]
# ## The network
#
# In `stn_ref.nn` the module is a layer like any other. Its own network, two layers of 32 units,
# ends in features; the regression layer to $\theta$ it adds itself, again with weights of 0, and
# with the identity's $\theta$ as bias, so that at first it passes images on as they are.

# %%
model = Sequential(
    SpatialTransformer(fully_connected(32, 32), transformation=eq.ROTATION),
    fully_connected(340, 340),
    Dense(10),
)
params, _ = model.initialise(np.random.default_rng(0), (28, 28, 1))
test = distort(TASKS["R"], data.x_test, data.y_test, np.random.default_rng(2015))
shown = [104, 40, 9]  # a 3, a 4 and a 9

# %% [markdown]
# ## Training
#
# Every batch is turned afresh. `watch` keeps, as training goes, what the transformer does with
# three digits it is never trained on.

# %%
film = []
trained = fit(
    model,
    params,
    data.x_train,
    data.y_train,
    optimiser=Adam(Cosine(3e-3, warm_up=50)),
    rng=np.random.default_rng(1),
    steps=40 if os.environ.get("STN_REF_QUICK") else 800,
    prepare=lambda x, y, rng: distort(TASKS["R"], x, y, rng)[:2],
    every=20,
    watch=lambda now: film.extend(frames(model, now.params, test.images[shown], now.step)),
)
error = error_percent(model, trained.params, test.images, test.labels)
print(f"{error:.1f}% of the test digits are taken for others")

# %% [markdown]
# ## The film
#
# Time goes from left to right. Above is the grid $T_\theta(G)$ over the image, the blue dot its
# upper left corner; below is what the classifier gets to see. Look at the 3 and the 4: after 200
# of 800 steps they stand upright, while the classifier has only begun to learn. The 9 takes until
# step 360.

# %%
axes = plots.training_film(every_so_often(film, 7), "Task R: the transformer turns digits upright")
print(plots.save(axes, out / "film.png"))

# %% [markdown]
# The same, moving: a frame every twenty steps.

# %%
print(moving_picture(film, out / "training.gif", "Task R: "))

# %% [markdown]
# ## What it has found
#
# The angle it predicts against the true one. To undo a turn by $a$ it must predict $\theta = -a$.
# Zeros it may turn as it likes, and what is upright is its own convention: what counts is that the
# points lie along a line.

# %%
((_, warp),) = warps(model, model.forward(trained.params, test.images)[1])
true, found = test.angle[:, 0], -warp.theta[:, 0]
print(f"correlation of the predicted and the true angle: {np.corrcoef(true, found)[0, 1]:.2f}")

figure, ax = plt.subplots(figsize=(4.6, 5.8), layout="constrained")
zero = test.labels == 0
ax.plot(*np.rad2deg([true[~zero], found[~zero]]), ".", color=plots.BLUE, ms=3, label="1 to 9")
ax.plot(*np.rad2deg([true[zero], found[zero]]), "x", color=plots.ORANGE, ms=5, label="0")
ax.plot([-90, 90], [-90, 90], color="black", lw=1.2, label=r"$\theta = -a$")
ax.set(xlabel="true angle, degrees", ylabel=r"predicted angle $-\theta$, degrees")
ax.set(
    title="1,000 digits it has never seen", xticks=range(-90, 91, 45), yticks=range(-135, 136, 45)
)
ax.set_aspect("equal")
ax.legend()
print(plots.save(figure, out / "angles.png"))

# %% [markdown]
# Two digits of each class, turned by more than 45°: as they come, and as they leave. Look at those
# that are still askew, the first 4, 5 and 7. Nothing asks the transformer for upright digits, only
# for digits that are read.

# %%
far = [k for d in range(10) for k in np.flatnonzero((test.labels == d) & (abs(true) > 0.8))[:2]]
figure, axes = plt.subplots(2, 1, figsize=(8.4, 1.35), layout="constrained")
for ax, maps, name in zip(axes, (warp.U, warp.V), "UV", strict=True):
    plots.contact_sheet(np.clip(maps[far], 0, 1), test.labels[far], columns=20, ax=ax)
    ax.text(-0.01, 0.4, f"${name}$", transform=ax.transAxes, ha="right", va="center")
print(plots.save(figure, out / "upright.png"))

# %% [markdown]
# ## Exercises
#
# **1. Predict.** Before the first step, which angle does the transformer give to an image it sees?

# %%
angle = None
if angle is not None:
    first = SpatialTransformer(fully_connected(32, 32), transformation=eq.ROTATION)
    params, _ = first.initialise(np.random.default_rng(0), (28, 28, 1))
    ((_, warp),) = warps(
        Sequential(first), Sequential(first).forward((params,), data.x_test[:5])[1]
    )
    assert np.all(warp.theta == angle), (
        "the regression layer starts with weights of 0; its bias is …"
    )
    print("whatever it sees: at first it is the identity")

# %% [markdown] solution
# ```python
# angle = 0
# ```

# %% [markdown]
# **2. Compute.** How many weights does this transformer add to the network? Its $f_{loc}$ has two
# layers of 32 units over 28 × 28 pixels, and a regression layer to one angle.

# %%
count = None
if count is not None:
    first = SpatialTransformer(fully_connected(32, 32), transformation=eq.ROTATION)
    params, _ = first.initialise(np.random.default_rng(0), (28, 28, 1))
    right = sum(leaf.size for _, leaf in named(params))
    assert count != right - 65, "each unit has a bias, too"
    assert count == right, "inputs times units, and a bias a unit, for each of three layers"
    print("most of them look at the image")

# %% [markdown] solution
# ```python
# count = 784 * 32 + 32 + 32 * 32 + 32 + 32 * 1 + 1
# ```

# %% [markdown]
# **3. Extend.** The transformer's angle is a sum: $\theta = h W_\theta + b_\theta$. At first
# $W_\theta$ is 0, so no gradient reaches the layers before it. Which of the weights under
# `params[0]["f_loc"]` have moved after one step of plain SGD? Give a list of the arrays' names, as
# `stn_ref.nn.trees.named` gives them.

# %%
names = None
if names is not None:
    first = SpatialTransformer(fully_connected(32, 32), transformation=eq.ROTATION)
    model = Sequential(first, fully_connected(), Dense(10))
    before, _ = model.initialise(np.random.default_rng(0), (28, 28, 1))
    rng, images = np.random.default_rng(2), (data.x_train, data.y_train)
    after = fit(model, before, *images, optimiser=SGD(0.1, momentum=0), rng=rng, steps=1).params
    was = dict(named(before[0]["f_loc"]))
    moved = {k for k, leaf in named(after[0]["f_loc"]) if not np.allclose(leaf, was[k])}
    assert not set(names) - set(was), f"the names are {', '.join(was)}"
    assert set(names) == moved, "dh = dθ W_θᵀ is 0, but dW_θ = hᵀ dθ and db_θ = dθ are not"
    print("and the others follow from the second step on")

# %% [markdown] solution
# ```python
# names = ["2/W", "2/b"]
# ```

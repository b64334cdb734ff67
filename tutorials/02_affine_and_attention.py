# %% [markdown]
# # Affine maps and attention
#
# The lattice of the output is laid over the input, and before that it is moved, turned, scaled or
# sheared: $T_\theta(G)$, the points at which the input will be read. This page is about the two
# maps that §3.2 of the paper writes out, Eqs. 1 and 2, and about what is easily got wrong with
# both: they lead from the output to the input.
#
# About two seconds: `python tutorials/02_affine_and_attention.py`.

# %%
import sys
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import numpy as np

import stn_ref
from stn_ref import equations as eq
from stn_ref import files, plots
from stn_ref.plots import examples, galleries

out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "figures"
files.writable_directory(out)
U = examples.a_digit(2)

# %% [markdown]
# ## Eq. 1: six numbers
#
# $$(x_i^s, y_i^s)^T = A_\theta\,(x_i^t, y_i^t, 1)^T, \qquad
# A_\theta = \begin{bmatrix} \theta_{11} & \theta_{12} & \theta_{13} \\
# \theta_{21} & \theta_{22} & \theta_{23} \end{bmatrix}$$
#
# $t$ is for target, the output; $s$ for source, the input. One point by hand, then all of them:

# %%
theta = np.array([[[0.6, 0.0, 0.1], [0.0, 0.6, -0.1]]])  # a batch of one A_θ
G = eq.target_grid((20, 20))
grid = eq.AFFINE.grid(theta, G)
print("upper left corner:", G[0, 0], "->", grid[0, 0, 0], "=", theta[0] @ [-1, -1, 1])

# %% [markdown]
# ## Pull, do not push
#
# Why from the output to the input, against the way the picture seems to move? Because the other way
# leaves holes. Below, a digit is turned and made half as large again. On the left each pixel of the
# input is pushed to the output pixel nearest to where it should go: some get none, others several.
# On the right each pixel of the output asks the input for its value, and every one gets an answer.
# The price is that $A_\theta$ is the *inverse* of what one sees happen to the picture.

# %%
cos, sin = np.cos(0.5), np.sin(0.5)
seen = 1.5 * np.array([[cos, -sin], [sin, cos]])  # what should happen to the picture

pushed = np.zeros_like(U)
where = eq.target_grid((28, 28)) @ seen.T
j, i = np.moveaxis(np.rint(eq.to_pixels(where[None], (28, 28))[0]).astype(int), -1, 0)
inside = np.all([i >= 0, i < 28, j >= 0, j < 28], axis=0)
pushed[i[inside], j[inside]] = U[inside]

A = np.column_stack([np.linalg.inv(seen), [0, 0]])
pulled = stn_ref.transform(U[None], A[None])[0]
figure = plots.compare([U, pushed, pulled], ["$U$", "pushed", "pulled"], "§3.2  turned, × 1.5")
print(plots.save(figure, out / "push_and_pull.png"))

# %% [markdown]
# ## Eq. 2 and its relatives
#
# Attention keeps three of the six numbers: it crops, at a place and a scale of its choice.
#
# $$A_\theta = \begin{bmatrix} s & 0 & t_x \\ 0 & s & t_y \end{bmatrix}$$
#
# Translation, rotation and similarity keep others. A network that predicts fewer numbers has less
# to learn, and fewer ways to go wrong.
#
# In the picture each pair is the input under its warped grid, and the output. The blue frame is the
# border of the output, its dot the upper left corner. Look at the crop: the grid *shrinks*, and so
# the digit grows. And at the rotation: the grid turns one way, the digit the other.

# %%
for title, _, parameters in examples.affine_family():
    print(f"{title:<20} θ = {np.array2string(parameters, precision=2).replace(chr(10), '')}")
print(plots.save(galleries.warped_grids(U, examples.affine_family()), out / "warped_grids.png"))

# %% [markdown]
# ## Backwards
#
# Eq. 1 is linear in $\theta$ and in $G$, so its gradients are two matrix products: with
# $g_i = \partial L / \partial (x_i^s, y_i^s)$,
#
# $$\frac{\partial L}{\partial A_\theta} = \sum_i g_i\,(x_i^t, y_i^t, 1), \qquad
# \frac{\partial L}{\partial G_i} = A_{\theta,\,1..2}^T\, g_i$$
#
# Every point pulls on all six numbers, and far points turn and stretch harder than near ones. A
# constrained map collects what its numbers stand for: $\partial L/\partial s$ of attention is the
# sum of the two entries where $s$ stands.

# %%
g = np.random.default_rng(0).standard_normal((1, 20, 20, 2))
dA, _ = eq.AFFINE.grid_backward(g, theta, G)
dattention, _ = eq.ATTENTION.grid_backward(g, np.array([[0.6, 0.1, -0.1]]), G)
print("dA of Eq. 1:\n", dA[0].round(2))
print("dθ of Eq. 2:", dattention[0].round(2), " first:", (dA[0, 0, 0] + dA[0, 1, 1]).round(2))

# %% [markdown]
# ## Exercise
#
# Which $\theta$ mirrors the digit left to right? Replace `None` below; the assertion is the answer
# checking itself. (One sign is all it takes. Why is the result exact, bit for bit?)

# %%
mirror = None  # np.array([[[?, ?, ?], [?, ?, ?]]], float)
if mirror is not None:
    assert np.array_equal(stn_ref.transform(U[None], mirror)[0], U[:, ::-1])
    print("mirrored")

# %% [markdown]
# # Warped grids
#
# A spatial transformer does not push pixels of its input somewhere. It asks, for every pixel of
# its *output*, where in the input that pixel comes from. This page follows §3.2 of the paper
# (Jaderberg et al. 2015, arXiv 1506.02025) from the output's lattice $G$ to the points
# $T_\theta(G)$ in the input, and draws them over handwritten digits.
#
# It takes about two seconds: `python tutorials/01_warped_grids.py`. Pictures go to `figures/`,
# or to the directory named as the first argument.

# %%
import sys
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import numpy as np

import stn_ref
from stn_ref import demo, diagrams, galleries, plots
from stn_ref import equations as eq

out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "figures"
demo.writable_directory(out)

# %% [markdown]
# ## The regular grid
#
# The output's pixels form a lattice $G_i = (x_i^t, y_i^t)$ in coordinates that run from −1 to 1.
# The paper does not say what ±1 are. Two conventions are in use:
#
# * `align_corners=True`: ±1 are the *centres* of the corner pixels;
# * `align_corners=False`: ±1 are the outer *edges* of the corner pixels.

# %%
for align_corners in (True, False):
    x = eq.target_grid((1, 4), align_corners=align_corners)[0, :, 0]
    print(f"align_corners={align_corners!s:5}  x^t of four pixels: {x}")

print(plots.save(diagrams.lattices((3, 4)), out / "lattice.png"))

# %% [markdown]
# Look at where the blue square lies: through the centres on the left, around the pixels on the
# right. `to_pixels` is the way back, $x = \tilde c\, x^s + c$, and its slope $\tilde c$ multiplies
# every gradient that flows to $\theta$ later on.
#
# ## Eq. 1: an affine map of the lattice
#
# $$(x_i^s, y_i^s)^T = A_\theta\,(x_i^t, y_i^t, 1)^T$$
#
# Six numbers crop, move, turn, stretch and shear. One point by hand, then the whole lattice:

# %%
theta = np.array([[[0.6, 0.0, 0.1], [0.0, 0.6, -0.1]]])  # a batch of one A_θ
G = eq.target_grid((20, 20))
grid = eq.AFFINE.grid(theta, G)
print("upper left corner:", G[0, 0], "->", grid[0, 0, 0], "=", theta[0] @ [-1, -1, 1])

# %% [markdown]
# ## Eq. 2 and its relatives
#
# Attention keeps three of the six numbers, $[s\ 0\ t_x;\ 0\ s\ t_y]$. Translation, rotation and
# similarity keep others. In the picture each pair is the input under its warped grid, and the
# output. The blue frame is the border of the output, its dot the upper left corner.
#
# Look at the crop: the grid *shrinks*, and so the digit grows. And at the rotation: the grid turns
# one way, the digit the other. $T_\theta$ maps output to input.

# %%
U = demo.a_digit(2)
for title, _, parameters in demo.examples():
    print(f"{title:<20} θ = {np.array2string(parameters, precision=2).replace(chr(10), '')}")
print(plots.save(galleries.warped_grids(U, demo.examples()), out / "warped_grids.png"))

# %% [markdown]
# ## The module
#
# With a localisation network to predict $\theta$ and a sampler to read the input at
# $T_\theta(G)$, this is the whole spatial transformer of §3.4, the paper's Figure 2. The network
# here is a perceptron whose final regression layer starts at zero weights, so that it answers its
# bias, whatever it sees. The shapes in the picture are those of the arrays of this run.

# %%
theta, size = demo.a_crop()
layers = eq.initial_layers(np.random.default_rng(0), 28 * 28, (32, 32), theta[0])
print("θ = f_loc(U) =", eq.f_loc(U[None], layers).tolist())
V = eq.spatial_transformer(U[None], layers, size=size)
dU, dlayers = eq.spatial_transformer_backward(np.ones_like(V), U[None], layers)
print("dU", dU.shape, "and for each layer dW", [dW.shape for dW, _ in dlayers])
figure = diagrams.module(U, layers, size)
print(plots.save(figure, out / "module.png"))

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

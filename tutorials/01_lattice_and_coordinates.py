# %% [markdown]
# # The lattice and its coordinates
#
# A spatial transformer does not push the pixels of its input somewhere. For every pixel of its
# *output* it asks where in the input that pixel comes from. Before any question of how, there is
# one of what: in which coordinates is "where" said? §3.2 of the paper (Jaderberg et al. 2015)
# answers in one line: in normalised ones, $-1 \le x_i^t, y_i^t \le 1$ within the output and
# $-1 \le x_i^s, y_i^s \le 1$ within the input. This page looks at what that line leaves open.
#
# It takes about two seconds: `python tutorials/01_lattice_and_coordinates.py`. Pictures go to
# `figures/`, or to the directory named as the first argument; so it is on every page.

# %%
import sys
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np

import stn_ref
from stn_ref import equations as eq
from stn_ref import files, plots
from stn_ref.plots import diagrams, examples

out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "figures"
files.writable_directory(out)

# %% [markdown]
# ## The regular grid
#
# The output's pixels form a lattice $G = \{G_i\}$ with $G_i = (x_i^t, y_i^t)$. Here $x$ runs to the
# right and $y$ down, and $x$ comes first: a pixel in row $i$ and column $j$ has $x^t$ from $j$.
# Arrays of points end in an axis of two, $(x, y)$; arrays of pixels are indexed row first.
#
# The paper does not say what ±1 are. Two conventions are in use, and here as elsewhere the name of
# the choice is `align_corners`: with `True`, ±1 are the *centres* of the corner pixels; with
# `False`, they are the corner pixels' outer *edges*.

# %%
for align_corners in (True, False):
    x = eq.target_grid((1, 4), align_corners=align_corners)[0, :, 0]
    print(f"align_corners={align_corners!s:5}  x^t of four pixels: {x}")

print(plots.save(diagrams.lattices((3, 4)), out / "lattice.png"))

# %% [markdown]
# Look at where the blue square lies: through the centres on the left, around the pixels on the
# right.
#
# ## To pixels and back
#
# The sampler of §3.3 counts in pixels, with centres at 0 to $W - 1$. The way there is
# $x = \tilde c\, x^s + c$, where $c = (W - 1)/2$ is the middle of the row and $\tilde c$ is half of
# what ±1 span: $(W - 1)/2$ between centres, $W/2$ between edges. The paper has no such step. It
# matters twice: its slope $\tilde c$ multiplies every gradient that flows to $\theta$, and under
# the two conventions the same $\theta$ looks at different places.

# %%
for align_corners in (True, False):
    ends = np.array([[[[-1.0, 0], [1, 0]]]])
    x = eq.to_pixels(ends, (1, 4), align_corners=align_corners)[0, 0, :, 0]
    slope = eq.to_pixels_backward(np.ones_like(ends), (1, 4), align_corners=align_corners)
    print(f"align_corners={align_corners!s:5}  ±1 are x = {x}, slope {slope[0, 0, 0, 0]}")

# %% [markdown]
# ## Where they differ
#
# Four pixels are read at sixteen places with the identity $\theta$, which enlarges the row by four.
# Look at the first and the last dot. Between centres, fifteen steps lead from pixel 0 to pixel 3,
# so the picture grows by 5 and not by 4. Between edges each output pixel covers a quarter of an
# input pixel, the picture grows by exactly 4, and the outermost dots ask for what lies *outside*
# the first and the last centre. With zeros there, they fade.

# %%
row = np.array([2.0, 5, 3, 6])
figure, axes = plt.subplots(1, 2, figsize=(8.4, 2.9), layout="constrained", sharey=True)
for ax, align_corners in zip(axes, (True, False), strict=True):
    G = eq.target_grid((1, 16), align_corners=align_corners)
    xy = eq.to_pixels(G[None], (1, 4), align_corners=align_corners)  # T_θ(G) = G
    V = eq.sample(row.reshape(1, 1, 4, 1), xy)
    ax.bar(range(4), row, width=1, color="#DDDDDD", ec=plots.GREY, label="$U$")
    ax.plot(xy[0, 0, :, 0], V[0, 0, :, 0], "o", color=plots.BLUE, label="$V$, where it is read")
    ax.set(title=f"align_corners={align_corners}", xlabel="$x$, pixels of $U$", xticks=range(4))
axes[1].legend(loc="lower center")
figure.suptitle("§3.2  four pixels read at sixteen places, $\\theta$ = identity")
print(plots.save(figure, out / "corners.png"))

# %% [markdown]
# ## The square is not square
#
# $[-1, 1]$ spans the width *and* the height, whatever they are. On a map twice as wide as high, a
# unit of $x$ is twice as many pixels as a unit of $y$, and the rotation matrix of normalised
# coordinates is no rotation of the picture: it shears. To turn such a map, go to a square first,
# turn, and come back: $A = D^{-1} R D$ with $D = \mathrm{diag}(\tilde c_x, \tilde c_y)$.

# %%
wide = np.zeros((28, 56, 1))
wide[:, 14:42] = examples.a_digit(2)
cos, sin = np.cos(0.5), np.sin(0.5)
D = np.diag([27.5, 13.5])  # half of what ±1 span between the centres, in pixels
R = np.array([[cos, -sin], [sin, cos]])
turns = {"$R$, as on a square": R, "$D^{-1} R\\, D$": np.linalg.inv(D) @ R @ D}
figure, axes = plt.subplots(2, 2, figsize=(8.4, 4.6), layout="constrained")
for pair, (name, turn) in zip(axes, turns.items(), strict=True):
    plots.source_and_target(wide, np.column_stack([turn, [0, 0]]), title=name, axes=pair)
    pair[0].set(xlim=(-26, 81), ylim=(40, -13))
figure.suptitle("§3.2  turning a map of 28 × 56 pixels")
print(plots.save(figure, out / "aspect.png"))

# %% [markdown]
# Look at the corners of the blue frame: right angles below, none above.
#
# ## The identity
#
# With $\theta$ the identity and the output as large as the input, every output pixel comes from
# itself. It is where a network starts to train, so it had better be exact. From pixels to −1…1 and
# back, floating point misses some integers by a rounding, at more than half of all sizes;
# `stn_ref.transform` takes both steps in one, about the middle of the map, and misses none.

# %%
U = examples.a_digit(2)[None]
for size in (28, 42, 60):
    xy = eq.to_pixels(eq.target_grid((size, size))[None], (size, size))
    print(
        f"{size} pixels in two steps: {np.sum(xy != np.round(xy))} of {xy.size} miss the integers"
    )
V = stn_ref.transform(U, eq.AFFINE.identity()[None])
print("in one: V equals U, bit for bit:", np.array_equal(V, U))

# %% [markdown]
# ## Exercise
#
# A row has 28 pixels. Which $x^s$ is the centre of pixel 10 if ±1 are the outer edges? Work it out
# by hand, replace `None`, and run the cell.

# %%
x_s = None
if x_s is not None:
    assert eq.to_pixels(np.array([[[[x_s, 0.0]]]]), (1, 28), align_corners=False)[0, 0, 0, 0] == 10
    print("pixel 10")

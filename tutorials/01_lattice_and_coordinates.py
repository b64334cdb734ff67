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
# `output/`, or to the directory named as the first argument; so it is on every page.

# %%
import matplotlib.pyplot as plt
import numpy as np

import stn_ref
from stn_ref import equations as eq
from stn_ref import plots
from stn_ref.plots import diagrams, examples, lecture
from stn_ref.plots.output import out

# %% [markdown]
# ## The regular grid
#
# The output's pixels form a lattice $G = \{G_i\}$ with $G_i = (x_i^t, y_i^t)$. Here $x$ runs to the
# right and $y$ down, and $x$ comes first: a pixel in row $i$ and column $j$ has $x^t$ from $j$.
# Arrays of points end in an axis of two, $(x, y)$; arrays of pixels are indexed row first.
#
# The paper does not say what ±1 are. Two conventions are in use, and here as elsewhere the name of
# the choice is `align_corners`. With `True`, ±1 are the *centres* of the outer pixels; the middle
# of a row is pixel $c = (W' - 1)/2$, which is also how far it is to an outer centre:
#
# $$x_j^t = \frac{j - c}{c}$$

# %%
H, W = 3, 4
c_x, c_y = (W - 1) / 2, (H - 1) / 2
G = np.array([[((j - c_x) / c_x, (i - c_y) / c_y) for j in range(W)] for i in range(H)])
assert np.allclose(G, eq.target_grid((H, W)))

# %% [markdown]
# With `False`, ±1 are the outer pixels' *edges*. Half a pixel more, so that one divides by $W'/2$:

# %%
G = np.array([[((j - c_x) / (W / 2), (i - c_y) / (H / 2)) for j in range(W)] for i in range(H)])
assert np.allclose(G, eq.target_grid((H, W), align_corners=False))
print(plots.save(diagrams.lattices((H, W)), out / "lattice.png"))

# %% [markdown]
# Look at where the blue square lies: through the centres on the left, around the pixels on the
# right. What `target_grid` adds to these lines is little: an axis of one pixel is at 0, where a
# division by $c = 0$ would be none, and there may be one axis, or three.
#
# ## To pixels and back
#
# The sampler of §3.3 counts in pixels, with centres at 0 to $W - 1$. The way there undoes what the
# lattice did, with the *input's* size: $x = \tilde c\, x^s + c$, where $\tilde c$ is half of what
# ±1 span, $(W - 1)/2$ between centres and $W/2$ between edges. The paper has no such step. It
# matters twice: its slope $\tilde c$ multiplies every gradient that flows to $\theta$, and under
# the two conventions the same $\theta$ looks at different places.

# %%
ends = np.array([[[[-1.0, 0], [1, 0]]]])  # (x^s, y^s) = (−1, 0) and (1, 0)
for align_corners, c_tilde in (True, (W - 1) / 2), (False, W / 2):
    x = c_tilde * ends[..., 0] + (W - 1) / 2
    assert np.allclose(x, eq.to_pixels(ends, (1, W), align_corners=align_corners)[..., 0])
    slope = eq.to_pixels_backward(np.ones_like(ends), (1, W), align_corners=align_corners)[..., 0]
    assert np.all(slope == c_tilde)
    print(f"align_corners={align_corners!s:5}  ±1 are x = {x.ravel()}, slope {c_tilde}")

# %% [markdown]
# Here is the whole way of one pixel, for an affine $\theta$ of tutorial 2: from its row and column
# to the lattice, by Eq. 1 to the source point, and on to pixels, where its neighbours are the taps
# of Eq. 3. Look at the numbers below: four names for one place.

# %%
theta, size = examples.a_crop()
report = stn_ref.trace(examples.a_digit(2)[None], theta, at=(0, 6, 11), size=size)
figure = lecture.chain(report, examples.a_digit(2), theta[0], size)
print(plots.save(figure, out / "chain.png"))

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
ends = xy[0, 0, [0, -1], 0], V[0, 0, [0, -1], 0]
axes[1].plot(*ends, "o", ms=13, mfc="none", mec=plots.RED, label="mixed with the zeros outside")
figure.legend(*axes[1].get_legend_handles_labels(), loc="outside lower center", ncols=3)
plots.headline(figure, "§3.2  four pixels read at sixteen places, $\\theta$ = identity")
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
turns = {"$R$ as it is: sheared": R, "$D^{-1} R\\, D$: turned": np.linalg.inv(D) @ R @ D}
figure, axes = plt.subplots(2, 2, figsize=(8.4, 4.6), layout="constrained")
for pair, (name, turn) in zip(axes, turns.items(), strict=True):
    plots.source_and_target(wide, np.column_stack([turn, [0, 0]]), title=name, axes=pair)
    pair[0].set(xlim=(-26, 81), ylim=(40, -13))
plots.headline(figure, "§3.2  turning a map of 28 × 56 pixels")
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
# ## Exercises
#
# Replace `None` and run the cell; it says whether you are right, and if not, where to look.
#
# **1. Predict.** Eight pixels in a row, and ±1 are the outer edges. Which $x^t$ has the first
# pixel?

# %%
x_t = None
if x_t is not None:
    right = eq.target_grid((1, 8), align_corners=False)[0, 0, 0]
    assert x_t != -1, "−1 is where the pixel begins; its centre is half a pixel further in"
    assert x_t == right, "eight pixels share 2 units; how far from −1 is the middle of the first?"
    print("half of a pixel's 0.25 from the edge")

# %% [markdown] solution
# ```python
# x_t = -1 + 0.25 / 2
# ```

# %% [markdown]
# **2. Compute.** A row has 28 pixels. Which $x^s$ is the centre of pixel 10 if ±1 are the outer
# edges?

# %%
x_s = None
if x_s is not None:
    x = eq.to_pixels(np.array([[[[x_s, 0.0]]]]), (1, 28), align_corners=False)[0, 0, 0, 0]
    assert x == 10, f"that is x = {x:g}; solve x = c̃ x^s + c with c = 13.5, and mind which c̃"
    print("pixel 10")

# %% [markdown] solution
# $x^s = (x - c)/\tilde c$, and between edges $\tilde c = W/2$:
# ```python
# x_s = (10 - 13.5) / 14
# ```

# %% [markdown]
# **3. Extend.** Graphics cards count textures in a third way: $u$ from 0 to 1 between the outer
# edges. Write `to_pixels` for it: from $u$ and $W$ to $x$.

# %%
from_texture = None  # a function of u and W
if from_texture is not None:
    u = np.linspace(0, 1, 9)
    xy = np.stack([2 * u - 1, 0 * u], axis=-1)[None, None]
    x = eq.to_pixels(xy, (1, 5), align_corners=False)[0, 0, :, 0]
    found = from_texture(u, 5)
    assert found[0] == -0.5, "u = 0 is the left edge of pixel 0, whose centre is at x = 0"
    assert np.allclose(found, x), "u = 1 is W pixels to the right of u = 0"
    print("and its slope, W, takes the place of c̃")

# %% [markdown] solution
# ```python
# def from_texture(u, W):
#     return W * u - 0.5
# ```

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
import numpy as np

import stn_ref
from stn_ref import equations as eq
from stn_ref import plots
from stn_ref.plots import examples, galleries, lecture
from stn_ref.plots.output import out

U, G = examples.a_digit(2), eq.target_grid((20, 20))

# %% [markdown]
# ## Eq. 1: six numbers
#
# $$(x_i^s, y_i^s)^T = A_\theta\,(x_i^t, y_i^t, 1)^T, \qquad
# A_\theta = \begin{bmatrix} \theta_{11} & \theta_{12} & \theta_{13} \\
# \theta_{21} & \theta_{22} & \theta_{23} \end{bmatrix}$$
#
# $t$ is for target, the output; $s$ for source, the input. A matrix for each image of the batch,
# and the 1 that lets it shift: that is all.

# %%
theta = np.array([[[0.6, 0.0, 0.1], [0.0, 0.6, -0.1]]])  # a batch of one A_θ
homogeneous = np.concatenate([G, np.ones((20, 20, 1))], axis=-1)  # (x^t, y^t, 1)
grid = np.einsum("bkl,ijl->bijk", theta, homogeneous)
assert np.allclose(grid, eq.AFFINE.grid(theta, G))
print("upper left corner:", G[0, 0], "->", grid[0, 0, 0])

# %% [markdown]
# `AFFINE` is a record of such functions: the grid, its way back, the matrix, the identity. All that
# the library does with a transformation it does through this record, and tutorial 3 writes a new
# one.
#
# ## Pull, do not push
#
# Why from the output to the input, against the way the picture seems to move? Because the other way
# leaves holes. Below, a digit is turned and made half as large again. In the middle each pixel of
# the input is pushed to the output pixel nearest to where it should go: some get none, others
# several. On the right each pixel of the output asks the input for its value, and every one gets an
# answer. The price is that $A_\theta$ is the *inverse* of what one sees happen to the picture.

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

# %%
s, t_x, t_y = looks_at = np.array([0.5, 0.2, -0.2])
A = np.array([[[s, 0, t_x], [0, s, t_y]]])
assert np.allclose(eq.AFFINE.grid(A, G), eq.ATTENTION.grid(looks_at[None], G))

# %% [markdown]
# Translation, rotation and similarity keep others. A network that predicts fewer numbers has less
# to learn, and fewer ways to go wrong.
#
# In the picture each pair is the input under its warped grid, and the output. The blue frame is the
# border of the output, its dot the upper left corner. Look at attention: the grid *shrinks*, and so
# the digit grows. And at the rotation: the grid turns one way, the digit the other.

# %%
for title, _, parameters in examples.affine_family():
    print(f"{title:<20} θ = {np.array2string(parameters, precision=2).replace(chr(10), '')}")
print(plots.save(galleries.warped_grids(U, examples.affine_family()), out / "warped_grids.png"))

# %% [markdown]
# ## Backwards
#
# Let $d_i = \partial L / \partial (x_i^s, y_i^s)$, two numbers a point, which the sampler will hand
# us. Eq. 1 says $x_{ik}^s = \sum_l A_{kl}\, g_{il}$ with $g_i = (x_i^t, y_i^t, 1)$. So $A_{kl}$
# moves $x_{ik}^s$ by $g_{il}$, at *every* point $i$, and by the chain rule
#
# $$\frac{\partial L}{\partial A_{kl}} = \sum_i d_{ik}\, g_{il}, \qquad
# \frac{\partial L}{\partial g_{il}} = \sum_k d_{ik}\, A_{kl}$$
#
# So each of the six numbers has a field, $\partial T_\theta(G)/\partial A_{kl}$: where it pushes
# every source point. Its gradient is how well that field agrees with the pulls $d_i$. Look at the
# two in the right column, which push all points alike; the others do more the further out a point
# is.

# %%
print(plots.save(lecture.six_fields(), out / "six_fields.png"))

# %% [markdown]
# In NumPy it is the forward line with the letters rearranged:

# %%
d = np.random.default_rng(0).standard_normal((1, 20, 20, 2))
dA = np.einsum("bijk,ijl->bkl", d, homogeneous)
dG = np.einsum("bijk,bkl->ijl", d, theta[:, :, :2])
for found, right in zip((dA, dG), eq.AFFINE.grid_backward(d, theta, G), strict=True):
    assert np.allclose(found, right)

# %% [markdown]
# A difference settles it. Move one number of $A_\theta$ a little either way; how far does
# $\sum_i \langle d_i, (x_i^s, y_i^s)\rangle$ move?

# %%
h, one = 1e-6, np.zeros((1, 2, 3))
one[0, 1, 0] = 1  # A_21
ahead, behind = (np.sum(d * eq.AFFINE.grid(theta + step * one, G)) for step in (h, -h))
print(f"dA_21 = {dA[0, 1, 0]:.6f}, measured {(ahead - behind) / (2 * h):.6f}")

# %% [markdown]
# A constrained map collects what its numbers stand for: $s$ stands in two places of Eq. 2, so its
# gradient is the sum of those two.

# %%
dattention, _ = eq.ATTENTION.grid_backward(d, looks_at[None], G)
assert np.allclose(dattention[0], [dA[0, 0, 0] + dA[0, 1, 1], dA[0, 0, 2], dA[0, 1, 2]])
print("ds, dt_x, dt_y =", dattention[0].round(2))

# %% [markdown]
# ## Exercises
#
# **1. Predict.** $\theta$ of a translation is (0.5, 0): the grid moves to the right. To which side
# does the digit move in the output?

# %%
side = None  # "left" or "right"
if side is not None:
    V = stn_ref.transform(U[None], np.array([[0.5, 0.0]]), transformation=eq.TRANSLATION)[0]
    columns = np.arange(28)
    moved = np.average(columns, weights=V.sum((0, 2))) - np.average(columns, weights=U.sum((0, 2)))
    assert side == ("right" if moved > 0 else "left"), "the frame moves over the digit; sit in it"
    print(f"by {moved:.1f} pixels")

# %% [markdown] solution
# As scenery does in a train's window, it goes the other way:
# ```python
# side = "left"
# ```

# %% [markdown]
# **2. Compute.** Which $\theta$ mirrors the digit left to right? (One sign is all it takes. Why is
# the result exact, bit for bit?)

# %%
mirror = None  # np.array([[[?, ?, ?], [?, ?, ?]]], float)
if mirror is not None:
    V = stn_ref.transform(U[None], mirror)[0]
    assert not np.array_equal(V, U[::-1]), "that is upside down; left and right is x, the first row"
    assert np.array_equal(V, U[:, ::-1]), "x^s should be −x^t, and y^s should be y^t"
    print("mirrored")

# %% [markdown] solution
# Pixel $j$ comes from pixel $W - 1 - j$, a whole number, where Eq. 5 weighs that pixel alone:
# ```python
# mirror = np.array([[[-1, 0, 0], [0, 1, 0]]], float)
# ```

# %% [markdown]
# **3. Extend.** One affine map after another is an affine map. Write `product(outer, inner)`, from
# two $A_\theta$ of shape (2, 3) to the one for which $T(G) = \mathrm{outer}(\mathrm{inner}(G))$.

# %%
product = None  # a function of outer and inner
if product is not None:
    outer, inner = np.random.default_rng(1).standard_normal((2, 2, 3))
    once = eq.AFFINE.grid(product(outer, inner)[None], G)
    after = eq.AFFINE.grid(outer[None], eq.AFFINE.grid(inner[None], G))
    swapped = eq.AFFINE.grid(inner[None], eq.AFFINE.grid(outer[None], G))
    assert not np.allclose(once, swapped), "that runs outer first; matrices apply from the right"
    assert np.allclose(once, after), "give both a third row (0, 0, 1), multiply, and drop it again"
    print("one map instead of two, and one reading of the image")

# %% [markdown] solution
# ```python
# def product(outer, inner):
#     last = [0, 0, 1]
#     return (np.vstack([outer, last]) @ np.vstack([inner, last]))[:2]
# ```

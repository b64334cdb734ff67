# %% [markdown]
# # Kernels and the sampler
#
# The source points of §3.2 fall between pixels. §3.3 of the paper says how to read a feature map
# there: every pixel is weighed by a kernel of its distance, once for each axis,
#
# $$V_i^c = \sum_n \sum_m U_{nm}^c\, k(x_i - m; \Phi_x)\, k(y_i - n; \Phi_y) \qquad \text{Eq. 3}$$
#
# This page looks at the kernels, follows one pixel through the sum, and shows what the choice of
# $k$ does to a digit: inside, at its edges, and when it shrinks.
#
# About six seconds: `python tutorials/04_kernels_and_the_sampler.py`.

# %%
import matplotlib.pyplot as plt
import numpy as np

import stn_ref
from stn_ref import equations as eq
from stn_ref import plots
from stn_ref.plots import diagrams, examples, galleries, lecture
from stn_ref.plots.output import out

U = examples.a_digit(2)[None]

# %% [markdown]
# ## Eq. 3 as printed
#
# With the hat of Eq. 5, $k(t) = \max(0, 1 - |t|)$, the double sum is four lines. It runs over *all*
# pixels, for each point. A point between four pixels has weights for those four, and 0 for the
# rest:


# %%
def hat(t):
    return np.maximum(0, 1 - np.abs(t))


def V_at(U, x, y):
    """V_i for one channel: U is (H, W)."""
    H, W = U.shape
    return sum(U[n, m] * hat(x - m) * hat(y - n) for n in range(H) for m in range(W))


# %%
x, y = 17.3, 10.8
m, n = np.arange(17, 19), np.arange(10, 12)
print("k(x − m) for m = 17, 18:", hat(x - m).round(3), " k(y − n) for n = 10, 11:", hat(y - n))
four = hat(y - n) @ U[0, 10:12, 17:19, 0] @ hat(x - m)
xy = np.array([[[[x, y]]]])  # as the library takes points: (B, H', W', 2), in pixels
assert np.allclose([V_at(U[0, ..., 0], x, y), four], eq.sample(U, xy).item())

# %% [markdown]
# The four weights are areas. The point cuts the square between its four pixels in four, and each
# pixel weighs as much as the rectangle *across* from it: the nearer a pixel, the larger that is.

# %%
print(plots.save(lecture.areas(U[0, ..., 0], 17.3, 10.6), out / "areas.png"))

# %% [markdown]
# `sample` visits only the taps within a kernel's reach, for all points and channels at once. It
# also says what a pixel outside is, and what becomes of NaN. `sample_dense` is the sum over all
# pixels, as printed, for tests.
#
# ## A kernel is a row of data
#
# Eq. 4 takes the nearest pixel, Eq. 5 is the hat. A kernel here is a record: $k$, its derivative,
# its derivative for each parameter in $\Phi$, its support. Whoever wants another writes another
# row, and the sampler need not know.

# %%
for _, rows in examples.kernel_groups():
    for row in rows:
        weights = row.k(0.25 - np.arange(-1, 3), row.Phi).round(4) + 0.0
        print(f"{row.name:>14}{row.Phi!s:<9} weights of m = -1..2 at x = 0.25:", weights)
print(plots.save(galleries.kernels(examples.kernel_groups()), out / "kernels.png"))

# %% [markdown]
# Look at the lower row. The derivative of Eq. 4 is 0 everywhere, so no gradient reaches $\theta$
# through it. That of Eq. 5 jumps at $t = -1, 0, 1$, which is to say at every integer $x$: the next
# page is about those jumps. Keys' cubic has none. `normalised` divides a kernel by the sum of its
# weights, so that a flat image stays flat.
#
# ## Backwards to the map: the same weights, the other way
#
# $V$ is linear in $U$. With all output pixels in one column, Eq. 3 is a matrix: a row for each
# output pixel $i$, a column for each pixel $(n, m)$, and in it the weight $k(x_i - m)\,k(y_i - n)$.
# The loss gradient takes the way back through its transpose, for whatever $dV$ is,
#
# $$\langle dV, V \rangle = \sum_i dV_i \sum_{nm} U_{nm}\, k\, k
#   = \sum_{nm} U_{nm} \sum_i dV_i\, k\, k = \langle dU, U \rangle, \qquad
#   dU_{nm} = \sum_i dV_i\, k(x_i - m)\, k(y_i - n)$$
#
# Forward, a point *gathers* from its four pixels; backward, it *scatters* to them, with the same
# weights. That is Eq. 6 under the chain rule. The print has a second sum in it, which is not
# needed.

# %%
rng = np.random.default_rng(3)
points = rng.uniform(-1, 28, (40, 2))  # some of them outside
x, y = points.T[..., None]
weights = hat(y - np.arange(28))[:, :, None] * hat(x - np.arange(28))[:, None, :]
S = weights.reshape(40, 784)  # the matrix: V = S U
dV = rng.standard_normal(40)
V, dU = S @ U.ravel(), S.T @ dV

xy = points.reshape(1, 1, 40, 2)
assert np.allclose(V, eq.sample(U, xy).ravel())
assert np.allclose(dU, eq.sample_backward(dV.reshape(1, 1, 40, 1), U, xy)[0].ravel())
print(f"⟨dV, V⟩ = {dV @ V:.12f},  ⟨dU, U⟩ = {dU @ U.ravel():.12f}")

# %% [markdown]
# ## One pixel through all equations
#
# `trace` prints the paper run for one output pixel: its place in $G$, its source point, each tap's
# weight (Eq. 6) and its term in $V$ (Eq. 3) and in the slopes (Eq. 7). In the picture the discs'
# areas are the weights. Look at which tap weighs most: the nearest. The four sum to one.

# %%
theta, size = examples.a_crop()
traced = stn_ref.trace(U, theta, at=(0, 6, 11), size=size)
print(traced)
V = stn_ref.transform(U, theta, size=size)
print(plots.save(diagrams.trace(traced, U[0], V[0]), out / "trace.png"))

# %% [markdown]
# ## Inside: what the kernel does to a picture
#
# The same crop, a quarter of the digit on 56 × 56 pixels, read with five kernels. Look at the
# stairs of Eq. 4, at the soft creases of Eq. 5 through pixel centres, at the rims that Keys'
# negative lobes leave (blue is below zero), and at the blur of a hat that reaches two pixels
# either way.

# %%
crop, size = np.array([[0.5, 0.1, -0.1]]), (56, 56)
kernels = {
    "Eq. 4": eq.INTEGER,
    "Eq. 5": eq.BILINEAR,
    "keys(−¾)": eq.keys(-0.75),
    "keys(−½)": eq.keys(-0.5),
    "wide hat": eq.normalised(eq.hat(2)),
}
images = [
    stn_ref.transform(U, crop, transformation=eq.ATTENTION, size=size, kernel=kernel)[0]
    for kernel in kernels.values()
]
axes = plots.compare(
    [np.clip(image, 0, 1) for image in images], list(kernels), "Eq. 3  one crop, five kernels"
)
for ax, image in zip(axes.flat, images, strict=True):
    ax.contourf(image[..., 0], [-9, -0.04], colors=[plots.BLUE], alpha=0.6)
print(plots.save(axes, out / "sampling.png"))

# %% [markdown]
# ## Outside: paddings
#
# Eq. 3 says nothing about points outside the image. Six answers are in use. Here is a part of the
# digit, turned and seen from afar under each, by the nearest pixel and with its own edge drawn in:
# inside they agree. Look at where the strokes meet the frame: `border` drags them out; `symmetric`
# folds them back about the edge and so doubles the edge's pixels, `reflection` folds about their
# centres and does not; `wrap` starts again.

# %%
part, away, size = examples.a_part_from_afar()
print(plots.save(galleries.paddings(part, away, size), out / "paddings.png"))

# %% [markdown]
# ## Shrinking: aliasing
#
# Bilinear sampling looks at four pixels, however far apart the samples are. Shrink by four and it
# skips most of the image: fine stripes come back as coarse ones that were never there. A hat as
# wide as the step between samples looks at all of it. Look at the rings: under Eq. 5 the fine ones
# come back as false centres; under the wide hat they fade to grey, as they should.

# %%
print(plots.save(galleries.shrinking(), out / "shrinking.png"))

# %% [markdown]
# ## Φ can be learned
#
# The paper writes $k(\cdot\,; \Phi)$ and then lets $\Phi$ rest. But $V$ has a derivative in it,
# too, and `sample_backward` returns $\partial L/\partial \Phi$ with the rest. Below, a digit was
# blurred by a hat of 2.6 pixels either way, a width that we pretend not to know. Gradient descent
# on the squared error, from 1.2 and with a step length of 60 over the number of pixels, finds it.

# %%
xy = eq.to_pixels(eq.target_grid((28, 28))[None], (28, 28))
blurred = eq.sample(U, xy, kernel=eq.normalised(eq.hat(2.6)))
width, path = 1.2, []
for _ in range(50):
    kernel = eq.normalised(eq.hat(width))
    V = eq.sample(U, xy, kernel=kernel)
    _, _, (dx, dy) = eq.sample_backward(V - blurred, U, xy, kernel=kernel)
    path.append(width)
    width -= 60 / V.size * float((dx + dy).item())
print(f"width {width:.3f}")

before = eq.sample(U, xy, kernel=eq.normalised(eq.hat(1.2)))
figure, axes = plt.subplots(
    1, 4, figsize=(8.4, 2.6), layout="constrained", width_ratios=[1, 1, 1, 1.2]
)
names = "width 1.2", f"width {width:.2f}, found", "to be matched"
for ax, image, name in zip(axes, (before, V, blurred), names, strict=False):
    plots.show(image[0], ax, name, vmin=0, vmax=1)
axes[3].plot(path, "o-", color=plots.BLUE, ms=3)
axes[3].axhline(2.6, color=plots.RED, ls="--")
axes[3].set(title="width", xlabel="step")
plots.headline(figure, "§3.3  the kernel's own parameter, learned by $\\partial L/\\partial\\Phi$")
print(plots.save(figure, out / "phi.png"))

# %% [markdown]
# Look at the last panel: the width comes to rest where it should (dashed). On the way it leaps at
# 2, where the hat begins to reach two pixels more.
#
# ## Exercises
#
# **1. Predict.** Which weights has Eq. 5 for pixels 5 and 6 at $x = 5.2$?

# %%
weights = None  # (?, ?)
if weights is not None:
    assert np.isclose(sum(weights), 1), "the two weights of a hat sum to one"
    assert np.allclose(weights, hat(5.2 - np.arange(5, 7))), "the nearer pixel weighs more"
    print("the distance to the one is the weight of the other")

# %% [markdown] solution
# ```python
# weights = (0.8, 0.2)
# ```

# %% [markdown]
# **2. Compute.** Eq. 3 has a kernel for each axis. Which pair reads a crop with Eq. 4 along $x$ and
# Eq. 5 along $y$? The result has stairs in one direction only.

# %%
pair = None  # (?, ?)
if pair is not None:
    crop = np.array([[0.5, 0.1, -0.1]])
    V = stn_ref.transform(U, crop, transformation=eq.ATTENTION, size=(56, 56), kernel=pair)
    repeats_x, repeats_y = (np.mean(np.diff(V, axis=axis) == 0) for axis in (2, 1))
    assert repeats_x > repeats_y + 0.1, (
        "the stairs run along y; points are (x, y), and so are pairs"
    )
    print("stairs along x")

# %% [markdown] solution
# ```python
# pair = (eq.INTEGER, eq.BILINEAR)
# ```

# %% [markdown]
# **3. Extend.** Write a kernel of your own, half a wave of a cosine: $k(t) = (1 + \cos \pi t)/2$
# for $|t| < 1$. The record needs $k$ and $k'$, both with arguments $(t, \Phi)$, a $\Phi$ of no
# numbers, and the support.

# %%
wave = None  # eq.Kernel("wave", (), k, dk, lambda t, Phi: (), 1.0)
if wave is not None:
    t = np.array([-1.5, -0.5, 0, 0.25, 1.5])
    assert np.allclose(wave.k(t, ()), [0, 0.5, 1, (2 + 2**0.5) / 4, 0]), (
        "k is 1 at t = 0, and 0 from ±1 on"
    )
    slope = (wave.k(t + 1e-6, ()) - wave.k(t - 1e-6, ())) / 2e-6
    assert np.allclose(wave.dk(t, ()), slope, atol=1e-5), "k′(t) = −π/2 sin πt, within ±1"
    flat = eq.sample(np.ones((1, 6, 6, 1)), np.array([[[[2.3, 3.9]]]]), kernel=wave)
    print(f"a flat map stays flat: {flat.item():.12f}")

# %% [markdown] solution
# ```python
# wave = eq.Kernel(
#     "wave",
#     (),
#     lambda t, Phi: (abs(t) < 1) * (1 + np.cos(np.pi * t)) / 2,
#     lambda t, Phi: (abs(t) < 1) * -np.pi / 2 * np.sin(np.pi * t),
#     lambda t, Phi: (),
#     1.0,
# )
# ```

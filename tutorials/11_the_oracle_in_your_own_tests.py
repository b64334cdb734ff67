# %% [markdown]
# # The oracle in your own tests
#
# Somebody has written a sampler: for another language, for a chip, for a model that runs on a
# phone. Is it right? `stn_ref.oracle` answers in the dialect of the framework that it should equal,
# with the exact value of every element and how far from it a correct result may be. This page lets
# it find a planted bug, looks at what such a bound is worth, at where frameworks disagree among
# themselves, and ends inside pytest.
#
# About ten seconds: `python tutorials/11_the_oracle_in_your_own_tests.py`. None of the frameworks
# is needed.

# %%
import inspect
import subprocess
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np

from stn_ref import plots
from stn_ref.oracle import check, expected, explain, scipy, torch
from stn_ref.oracle.differences import NAMES, Probe, answer, dialect_of, differences
from stn_ref.plots.output import out

# %% [markdown]
# ## A sampler
#
# NumPy in PyTorch's layout: `images` are $(B, C, H, W)$, `grid` is $(B, H', W', 2)$ and normalised,
# ±1 are the corner pixels' centres, and outside there are zeros. `cell` is what takes a coordinate
# to the pixel before it, and `grain` into how many parts a weight is rounded; both are there to be
# played with.

# %%


def sampler(images, grid, cell=np.floor, grain=None):
    B, C, H, W = images.shape
    half = np.array([W - 1, H - 1], grid.dtype) / 2
    xy = np.clip(grid * half + half, -2, np.array([W, H], grid.dtype) + 1)
    mn = cell(xy)
    f = xy - mn if grain is None else np.round((xy - mn) * grain) / grain
    V, b = np.zeros((*grid.shape[:3], C), images.dtype), np.arange(B)[:, None, None]
    for o_x in (0, 1):
        for o_y in (0, 1):
            m, n = np.moveaxis(mn + [o_x, o_y], -1, 0)
            w = np.prod(np.where([o_x, o_y], f, 1 - f), axis=-1).astype(images.dtype)
            inside = (m >= 0) & (m < W) & (n >= 0) & (n < H)
            n, m = (np.where(inside, p, 0).astype(int) for p in (n, m))
            V += np.where(inside, w, 0)[..., None] * images[b, :, n, m]
    V[~np.isfinite(grid).all(axis=-1)] = np.nan
    return V.transpose(0, 3, 1, 2)


# %% [markdown]
# `check` throws cases at it wherever samplers go wrong, and compares each element with PyTorch's
# right answer, in units of what rounding may cost.

# %%
like = partial(torch.grid_sample, align_corners=True)
print(check(sampler, like=like, rng=np.random.default_rng(0)))

# %% [markdown]
# ## With a bug
#
# Now somebody casts to an integer where $\lfloor x \rfloor$ was meant. The cast rounds towards
# zero, so that between −1 and 0 the cell is 0 instead of −1. On most images nobody will ever see
# it. Look at which families have wrong cases: not `knots`, which are whole pixels, and not `far`,
# so it lives between pixels and near the image. The last lines are one such point to
# paste, and that pixel traced through the equations.

# %%
buggy = partial(sampler, cell=np.trunc)
report = check(buggy, like=like, rng=np.random.default_rng(0))
print(report)
assert not report.ok

# %% [markdown]
# ## What a bound is worth
#
# A tolerance is usually a guess: 1e-5, or whatever makes the test pass. The bound is not. It says
# for every element how far off a correct evaluation in float32 may be, given where its point lies
# and which pixels it weighs. Here are 65,536 elements of three samplers: the right one; the same
# with weights in steps of 1/256, as the texture units of graphics cards have them; and the bug.

# %%
rng = np.random.default_rng(0)
images = rng.random((1, 1, 64, 64), np.float32)
grid = rng.uniform(-1.02, 1.02, (1, 256, 256, 2)).astype(np.float32)
V, bound = expected(like, images, grid)
units = {
    name: (abs(f(images, grid) - V) / np.maximum(bound, 1e-300)).ravel()
    for name, f in {
        "right": sampler,
        "weights of 8 bits": partial(sampler, grain=256),
        "int(x) for ⌊x⌋": buggy,
    }.items()
}
figure, ax = plt.subplots(figsize=(8.4, 3.2), layout="constrained")
styles = zip((plots.BLUE, plots.ORANGE, plots.RED), ("-", "--", ":"), strict=True)
for (name, u), (colour, dash) in zip(units.items(), styles, strict=True):
    print(f"{name:18} worst {u.max():9.3g} bounds, {np.mean(u > 1):7.2%} of the elements beyond")
    worst_first = np.sort(u)[::-1] + 1e-3
    share = np.arange(1, len(u) + 1) / len(u)
    ax.plot(worst_first, share, dash, color=colour, lw=2, label=name)
ax.axvline(1, color="black", lw=1)
ax.text(1.15, 2e-5, "the bound", fontsize=10)
ax.set(xscale="log", yscale="log", xlim=(1e-2, None), ylabel="share of elements")
ax.set(xlabel="error in units of the bound", title="how many elements are so far off, or more")
ax.legend()
ax.grid(alpha=0.3)
print(plots.save(figure, out / "bounds.png"))

# %% [markdown]
# Look at the line at 1. The right sampler stays at a tenth of its bound, which allows for any order
# of the same operations. Eight bits are off nearly everywhere and never by much; the bug, in one
# element of fifty and by far. A tolerance of 1e-2 lets the first pass, and whether it finds the
# second depends on whether the test has a point between −1 and 0.
#
# ## Dialects
#
# Frameworks differ where the paper is silent, so "as PyTorch" and "as SciPy" are different
# questions. `explain` prints how two of them differ, each difference with an input that shows it:

# %%
explain("torch", "scipy")

# %% [markdown]
# Three views of it in the picture. Left, a row of five pixels read linearly, each framework by its
# default: beyond the last centre PyTorch's zeros fade in, SciPy's are there at once. Middle, the
# nearest pixel halfway between two: PyTorch rounds half to even, SciPy up, JAX away from zero.
# Right, on how many of the questions that both can be asked the answers of two dialects differ.

# %%
names = "torch", "scipy", "jax"
dialects = {name: dialect_of(name) for name in names}
styles = {"torch": ("-", "o"), "scipy": ("--", "s"), "jax": (":", "^")}
colours = dict(zip(names, (plots.BLUE, plots.ORANGE, plots.GREEN), strict=True))
figure, axes = plt.subplots(
    1, 3, figsize=(8.4, 3.2), layout="constrained", width_ratios=[1.1, 1.1, 1]
)
x = np.linspace(-2, 6, 321)
for name in ("torch", "scipy"):
    values = [answer(dialects[name], Probe("outside", "linear", None, p)) for p in x]
    axes[0].plot(x, values, styles[name][0], color=colours[name], lw=2, label=name)
axes[0].set(title="linear, by default", xlabel="$x$, pixels", ylabel="$V$")
halves = np.array([-0.5, 0.5, 1.5, 2.5, 3.5])
for shift, (name, dialect) in zip((-0.12, 0, 0.12), dialects.items(), strict=True):
    values = [answer(dialect, Probe("ties", "nearest", "zeros", p)) for p in halves]
    axes[1].plot(halves + shift, values, styles[name][1], color=colours[name], label=name)
axes[1].set(title="nearest at ties, marks set apart", xlabel="$x$, pixels", xticks=halves)
for ax in axes[:2]:
    ax.legend(fontsize=8)
    ax.grid(alpha=0.3)
counts = [[len(differences(one, other)) for other in NAMES] for one in NAMES]
axes[2].imshow(counts, cmap="Blues", vmax=18)
for i, j in np.ndindex(len(NAMES), len(NAMES)):
    axes[2].text(j, i, str(counts[i][j]), ha="center", va="center", fontsize=8)
axes[2].set_xticks(range(len(NAMES)), NAMES, rotation=90, fontsize=8)
axes[2].set_yticks(range(len(NAMES)), NAMES, fontsize=8)
axes[2].set_title("questions answered differently", fontsize=10)
print(plots.save(figure, out / "dialects.png"))

# %% [markdown]
# ## In pytest
#
# Where stn_ref is installed, pytest has a fixture `stn_oracle`, and for Hypothesis there are
# strategies that draw whole calls, points where samplers go wrong first. These two tests hold a
# sampler's values; with `backward=`, `check` holds its gradients, too. Here pytest runs them on the
# right sampler and, up to the first failure, on the other.

# %%
TESTS = """
from functools import partial

from hypothesis import given, settings

from my_sampler import sampler
from stn_ref.oracle import strategies, torch

LIKE = partial(torch.grid_sample, align_corners=True, mode="bilinear", padding_mode="zeros")


def test_it_samples_as_torch_does(stn_oracle):
    stn_oracle.check(sampler, like=LIKE)


@settings(max_examples=30, deadline=None, database=None)
@given(strategies.calls(LIKE))
def test_every_call_is_within_the_bound(stn_oracle, call):
    arguments, _ = call
    stn_oracle.assert_within_bound(sampler(*arguments), LIKE, *arguments)
"""
MINE = "from functools import partial\nimport numpy as np\n" + inspect.getsource(sampler)

if find_spec("pytest") and find_spec("hypothesis"):
    with TemporaryDirectory() as directory:
        Path(directory, "test_mine.py").write_text(TESTS)
        for name, last in {
            "right": "",
            "buggy": "sampler = partial(sampler, cell=np.trunc)",
        }.items():
            Path(directory, "my_sampler.py").write_text(f"{MINE}\n{last}\n")
            command = [sys.executable, "-m", "pytest", "-qx", "-p", "no:cacheprovider"]
            run = subprocess.run(command, cwd=directory, capture_output=True, text=True)
            print(f"{name}: {run.stdout.splitlines()[-1]}")

# %% [markdown]
# ## Exercises
#
# **1. Predict.** The row 10, 20, 30 is read linearly at $x = -0.5$, half a pixel before the first
# centre. What does PyTorch say with its padding `zeros`, and what SciPy with its mode `constant`?

# %%
says = None  # (PyTorch's, SciPy's)
if says is not None:
    U, at = np.array([[10.0, 20, 30]]), np.array([[[-0.5]], [[0.0]]])
    by_scipy = scipy.map_coordinates(U, at[::-1], order=1, mode="constant")
    by_torch = torch.grid_sample(U[None, None], np.array([[[[-1.5, 0]]]]), align_corners=True)
    assert says[0] == by_torch.item(), "every tap outside is 0, so the pixel at 0 counts by half"
    assert says[1] == by_scipy.item(), (
        "SciPy's constant is there at once, outside the outer centres"
    )
    print("and neither is wrong")

# %% [markdown] solution
# ```python
# says = (5.0, 0.0)
# ```

# %% [markdown]
# **2. Compute.** To which pixels do PyTorch and SciPy round $x = 2.5$ in `nearest`?

# %%
pixels = None  # (PyTorch's, SciPy's)
if pixels is not None:
    U = np.arange(6.0)
    half = np.array([[[[0.0, 0]]]])  # the middle of six pixels
    even = torch.grid_sample(U[None, None, None], half, mode="nearest", align_corners=True).item()
    up = scipy.map_coordinates(U, np.array([[2.5]]), order=0).item()
    assert pixels[0] == even, "PyTorch rounds half to even"
    assert pixels[1] == up, "SciPy takes ⌊x + ½⌋, as Eq. 4 does"
    print("two dialects, one point")

# %% [markdown] solution
# ```python
# pixels = (2, 3)
# ```

# %% [markdown]
# **3. Extend.** Repair the bug without `np.floor`: write a `cell` from `np.trunc` that gives the
# pixel before a coordinate for negative ones, too. The oracle has the last word.

# %%
cell = None  # a function of an array
if cell is not None:
    like = partial(torch.grid_sample, align_corners=True)
    report = check(partial(sampler, cell=cell), like=like, rng=np.random.default_rng(1))
    assert report.ok, f"np.trunc goes towards 0, so below 0 one too far at times:\n{report}"
    print("right everywhere")

# %% [markdown] solution
# ```python
# def cell(x):
#     return np.trunc(x) - (x < np.trunc(x))
# ```

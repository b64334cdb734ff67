# %% [markdown]
# # From the equation to a kernel
#
# Eq. 3 with the hat of Eq. 5 is one line of the paper. Here it is written down again and again: as
# printed, over whole arrays, over the taps that weigh, as compiled loops, and as a kernel for a
# GPU. All give the same numbers. What differs is how many terms are visited, and how much is spent
# on each.
#
# About ten seconds: `python tutorials/06_from_equation_to_kernel.py`. With `--keep` after the
# directory, what it measures replaces `benchmarks/ladder.json`, from which the picture is drawn.

# %%
import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("NUMBA_ENABLE_CUDASIM", "1")  # set it to 0 where there is a GPU

import matplotlib.pyplot as plt
import numpy as np
from numba import cuda, njit, set_num_threads

import stn_ref
from stn_ref import equations as eq
from stn_ref import plots
from stn_ref.data import digits
from stn_ref.plots.output import out
from stn_ref.plots.roofline import roofline

root = Path(__file__).parents[1]
set_num_threads(1)

# %% [markdown]
# The input: 256 digits, each under an affine grid of its own, as a network would have it.

# %%
rng = np.random.default_rng(0)
U = digits(dtype=np.float32).x_test[:256]
theta = (eq.AFFINE.identity() + rng.uniform(-0.15, 0.15, (256, 2, 3))).astype(np.float32)
grid = eq.AFFINE.grid(theta, eq.target_grid((28, 28)))
xy = eq.to_pixels(grid, (28, 28)).astype(np.float32)

# %% [markdown]
# ## As printed
#
# Two sums over all pixels, for every output pixel. Anyone can see that it is right, and it is what
# everything else is held against.


# %%
def hat(t):
    return max(0.0, 1 - abs(t))


def as_printed(U, xy):
    H, W = U.shape
    return [
        sum(U[n, m] * hat(x - m) * hat(y - n) for n in range(H) for m in range(W)) for x, y in xy
    ]


# %% [markdown]
# ## Over whole arrays
#
# `sample_dense` is the same sum with the loops in NumPy's hands: the weights of all pixels along
# $x$, those along $y$, and two matrix products. It still makes 784 terms for each output pixel, and
# all but four of them are 0.
#
# ## Over the taps
#
# `sample` turns the loops inside out. The kernel ends one pixel away, so it goes over the two taps
# of each axis, ⌊x⌋ and ⌊x⌋ + 1, and does each for all output pixels at once. NumPy writes and reads
# a whole array for every step; that is the price now.
#
# ## Compiled loops
#
# Numba compiles a plain loop to machine code. Whatever belongs to one pixel stays in registers, and
# the memory sees an input and an output only.


# %%
@njit
def loops(U, xy, V):
    B, H, W, _ = U.shape
    for b in range(B):
        for i in range(V.shape[1]):
            for j in range(V.shape[2]):
                x, y = xy[b, i, j]
                m, n, v = int(np.floor(x)), int(np.floor(y)), 0.0
                for row in range(max(n, 0), min(n + 2, H)):
                    for column in range(max(m, 0), min(m + 2, W)):
                        v += U[b, row, column, 0] * (1 - abs(x - column)) * (1 - abs(y - row))
                V[b, i, j, 0] = v


# %% [markdown]
# These few lines know one kernel, one padding and one channel, and a NaN or a huge coordinate would
# send them out of the array. `stn_ref.backends.cpu` is such loops for every kernel, padding, layout
# and coordinate. It works on some hundred output pixels at a time: first it finds cells and
# weights, which the processor does several at once, then it sums the taps. (`forward.py` is the
# place to start.)
#
# ## A thread for each output pixel
#
# On a GPU the outer loops go away: every output pixel has a thread, which asks where it is. Without
# a GPU, Numba's simulator runs the threads one after another, so here it gets few.


# %%
@cuda.jit
def kernel(U, xy, V):
    i = cuda.grid(1)
    if i < V.size:
        x, y = xy[i]
        m, n, v = int(np.floor(x)), int(np.floor(y)), 0.0
        for row in range(max(n, 0), min(n + 2, U.shape[0])):
            for column in range(max(m, 0), min(m + 2, U.shape[1])):
                v += U[row, column] * (1 - abs(x - column)) * (1 - abs(y - row))
        V[i] = v


# %% [markdown]
# `stn_ref.backends.cuda` has the same shape, and what a real kernel has besides: up to four
# channels a thread, so that weights are found once for all; any kernel row, compiled for it; no
# float64 arithmetic in a float32 kernel; a backward pass whose sums do not depend on which thread
# comes first. What the compiler makes of it is known without a GPU:

# %%
for row in json.loads((root / "benchmarks" / "ptx.json").read_text())["kernels"]:
    if row["row"] == "bilinear" and row["way"] == "single":
        on = row["sm_90"]
        print(
            f"{row['kernel']:14} {row['instructions']:5} instructions, "
            f"{row['float64']} of float64, {on['registers']} registers, {on['spills']} spills"
        )

# %% [markdown]
# ## All results match
#
# First that, then the times.

# %%
V = np.empty_like(U)
loops(U, xy, V)
one, points = U[0, ..., 0], xy[0].reshape(-1, 2)
truth = as_printed(one, points)
middle = np.s_[380:428]  # where there is ink
found = {
    "sample_dense": eq.sample_dense(U, xy)[0].ravel(),
    "sample": eq.sample(U, xy)[0].ravel(),
    "loops": V[0].ravel(),
    "stn_ref.sample": stn_ref.sample(U, xy)[0].ravel(),
}
if cuda.is_available():
    found["kernel"] = np.zeros(48, np.float32)
    kernel[2, 32](one, points[middle], found["kernel"])
else:
    print("neither a GPU nor the simulator: the kernel is not run")
for name, values in found.items():
    off = max(abs(values - (truth if len(values) == 784 else truth[middle])))
    print(f"{name:14} {len(values):4} output pixels, at most {off:.1e} from Eq. 3 as printed")
    assert off < 1e-6

# %% [markdown]
# ## What each step bought
#
# The contestants take turns, so that whatever else the machine does falls on all of them, and the
# median of the turns counts, in processor time. Even so, do not trust the second digit: from one
# run to the next, or from machine to machine, a ratio moves by a third.

# %%
contestants = {
    "as printed": (lambda: as_printed(one, points), 784, 1),
    "whole arrays": (lambda: eq.sample_dense(U[:16], xy[:16]), 16 * 784, 1),
    "over the taps": (lambda: eq.sample(U, xy), U.size, 1),
    "compiled loops": (lambda: loops(U, xy, V), U.size, 10),
    "stn_ref.sample": (lambda: stn_ref.sample(U, xy), U.size, 30),
}
turns = {name: [] for name in contestants}
for _ in range(5):
    for name, (run, pixels, calls) in contestants.items():
        begin = time.process_time()
        for _ in range(calls):
            run()
        turns[name].append(1e9 * (time.process_time() - begin) / calls / pixels)
ladder = {name: float(np.median(times)) for name, times in turns.items()}

slower = None
for name, nanoseconds in ladder.items():
    gain = "" if slower is None else f"{slower / nanoseconds:8.1f} times as fast as the one before"
    print(f"{name:14} {nanoseconds:11.1f} ns for each output pixel {gain}")
    slower = nanoseconds
if "--keep" in sys.argv:
    text = json.dumps({k: float(f"{v:.3g}") for k, v in ladder.items()}, indent=1)
    (root / "benchmarks" / "ladder.json").write_text(text + "\n")

# %% [markdown]
# The picture draws what one machine measured once (`benchmarks/ladder.json`,
# `benchmarks/cpu.json`). Look at the left: a factor of hundreds for leaving Python's loops, then of
# five to ten for each thought, from 784 terms to four, from passes over memory to registers, from
# one number at a time to several. On the right is where that leads: how many times as fast as
# PyTorch the last rung is, forward and backward, with the points given (grid), or from $\theta$
# straight to $V$ with no grid in memory (fused). Left of the line it is slower: a single small
# image is over before the call is.

# %%
ladder = json.loads((root / "benchmarks" / "ladder.json").read_text())
rows = json.loads((root / "benchmarks" / "cpu.json").read_text())["rows"]
shapes = [(1, 1, 28, 28), (256, 1, 28, 28), (64, 1, 60, 60), (32, 64, 56, 56), (8, 3, 512, 512)]
shapes += [(1, 1, 2160, 3840)]
tasks = {"grid forward": "o", "fused forward": ">", "grid backward": "s", "fused backward": "<"}
colours = plots.BLUE, plots.ORANGE, plots.GREEN, plots.RED

figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.4), layout="constrained")
left.barh(list(ladder), list(ladder.values()), color=plots.BLUE)
for name, nanoseconds in ladder.items():
    left.text(1.3 * nanoseconds, name, f"{nanoseconds:,.3g}".replace("e+05", "·10⁵"), va="center")
left.set(xscale="log", xlim=(0.5, 5e7), xlabel="ns for each output pixel")
left.set_title("Eq. 3 written in five ways", fontsize=10)
left.invert_yaxis()
for (task, marker), colour in zip(tasks.items(), colours, strict=True):
    ratio = {
        tuple(row["shape"]): row["ratio"]["torch"]
        for row in rows
        if (row["layout"], row["kernel"], row["threads"]) == ("planar", "bilinear", 1)
        and row["task"] == task
        and "torch" in row["ratio"]
    }
    style = {"marker": marker, "color": colour, "ls": "", "mec": "k", "mew": 0.5, "label": task}
    right.plot([ratio[shape] for shape in shapes], range(len(shapes)), **style)
right.axvline(1, color=plots.GREY)
right.set(xscale="log", xlabel="times as fast as PyTorch, one thread")
right.set_title("the last of them beside PyTorch, on B×C×H×W", fontsize=10)
right.set_yticks(range(len(shapes)), ["×".join(map(str, shape)) for shape in shapes])
right.set_xticks([0.5, 1, 2, 5], ["½", "1", "2", "5"], minor=False)
right.minorticks_off()
right.invert_yaxis()
right.grid(alpha=0.3)
right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, fontsize=8)
print(plots.save(figure, out / "ladder.png"))

# %% [markdown]
# A ratio says nothing about what is left to gain. For that, compare with a plain copy of the input
# to the output: no sampler can be faster. Look at how far each is from the end of its
# bar; maps with
# many channels that lie together come nearest.

# %%
figure = roofline([row for row in rows if row["threads"] == 1])
print(plots.save(figure, out / "roofline_cpu.png", dpi=100))

# %% [markdown]
# ## Exercises
#
# **1. Predict.** A volume of 28 × 28 × 28 voxels is read with the hat of Eq. 5. How many of its
# 21,952 terms can be other than 0?

# %%
terms = None
if terms is not None:
    k = np.array([1 - abs(x - m) for x, m in ((0.3, 0), (0.3, 1))])  # of the two taps of an axis
    right = np.count_nonzero(k[:, None, None] * k[:, None] * k)
    assert terms == right, "two taps on each axis, and every tap of one meets every tap of another"
    print("two to the number of axes")

# %% [markdown] solution
# ```python
# terms = 8
# ```

# %% [markdown]
# **2. Compute.** A map of 28 × 28 pixels is sampled with Keys' kernel, whose support is two pixels
# either way. By how many times fewer terms does the sum over the taps have than Eq. 3 as printed,
# for a point that is not on a pixel and not near the border?

# %%
fewer = None
if fewer is not None:
    k_x, k_y = (eq.keys().k(at - np.arange(28), eq.keys().Phi) for at in (13.4, 9.7))
    right = 28 * 28 / np.count_nonzero(np.outer(k_y, k_x))
    assert fewer == right, "two pixels either way are four taps on each of the two axes"
    print("and so much is saved before anything is compiled")

# %% [markdown] solution
# ```python
# fewer = 28 * 28 / 4**2
# ```

# %% [markdown]
# **3. Extend.** `as_printed` has zeros around the image. Write `with_border`, with the same
# arguments, for the padding `border`: a point outside takes what the nearest point of the image
# has.

# %%
with_border = None  # a function of U (H, W) and xy (N, 2)
if with_border is not None:
    rng = np.random.default_rng(1)
    U, points = rng.random((5, 6)), rng.uniform(-3, 8, (40, 2))
    right = stn_ref.sample(U[None, ..., None], points[None, None], padding="border")[0, 0, :, 0]
    found = np.array(with_border(U, points))
    inside = np.all([points >= 0, points <= [5, 4]], axis=(0, 2))
    assert np.allclose(found[inside], right[inside]), "within the image nothing should change"
    assert np.allclose(found, right), "move the point first: x into 0 … W − 1, y into 0 … H − 1"
    print("one line, and no kernel has to know of it")

# %% [markdown] solution
# ```python
# def with_border(U, xy):
#     H, W = U.shape
#     return as_printed(U, np.clip(xy, 0, [W - 1, H - 1]))
# ```

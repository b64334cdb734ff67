"""What a law on a GPU is made of: a name, cases of any size, and whoever's arrays."""

from contextlib import contextmanager, nullcontext
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from itertools import product

import numpy as np

from stn_ref import backends
from stn_ref import equations as eq
from tests.conformance import case
from tests.simulator import SIMULATED

LAWS = {}
cuda = backends.get("cuda")
DEVICE = "cpu" if SIMULATED else "cuda"


class Absent(Exception):
    """What a law needs is not here."""


def law(**choices):
    """A law for each choice of its arguments, by a name that has them."""

    def add(function):
        for values in product(*choices.values()):
            called = (str(getattr(v, "__name__", getattr(v, "name", v))) for v in values)
            name = "-".join([function.__name__, *called]).replace(" ", "_")
            LAWS[name] = partial(function, **dict(zip(choices, values, strict=True)))
        return function

    return add


def sized(scale, *sides):
    """The sides, smaller at a smaller scale, but not equal."""
    return tuple(min(side, max(2 + k, round(side * scale))) for k, side in enumerate(sides))


SIDES = {1: (5000,), 2: (128, 160), 3: (24, 32, 40)}
OUT = {1: (20_000,), 2: (120, 200), 3: (20, 30, 50)}
FEWER = {1: (6000,), 2: (60, 100), 3: (12, 20, 25)}  # points, where there are many cases


def usual(dtype, scale, layout="channels last", out=OUT, axes=2):
    size, out = sized(scale, *SIDES[axes]), sized(scale, *out[axes])
    return case(dtype, layout, size=size, channels=sized(scale, 9)[0], out=out)


def everything(dV, U, xy, theta, **options):
    """All that the backend gives, on the host."""
    dU, dxy, dPhi = cuda.sample_backward(dV, U, xy, **options)
    found = [cuda.sample(U, xy, **options), dU, dxy, *dPhi]
    options["transformation"] = eq.affine(len(U.shape) - 2)
    found.append(cuda.transform(U, theta, **options))
    return [host(a) for a in (*found, *cuda.transform_backward(dV, U, theta, **options))]


def host(array):
    """An array of anyone, in the host's memory."""
    if hasattr(array, "cpu"):
        return array.detach().cpu().numpy()
    copy = getattr(array, "get", None) or getattr(array, "copy_to_host", None)
    return copy() if copy else np.asarray(array)


def library(name):
    """torch, CuPy or JAX with a GPU; in the simulator torch without, and NumPy for the others."""
    if find_spec(name) is None:
        raise Absent(f"{name} is not installed")
    module = import_module(name)
    if name == "torch" and not SIMULATED and not module.cuda.is_available():
        raise Absent("torch has no GPU")
    return module


@contextmanager
def torch_stream(torch):
    """A stream of torch's own, waited for at its end."""
    with nullcontext() if SIMULATED else torch.cuda.stream(torch.cuda.Stream()):
        yield
        if not SIMULATED:
            torch.cuda.current_stream().synchronize()

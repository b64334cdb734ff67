"""The oracle: what image sampling should give, in the dialect of the framework it is compared with.

    from stn_ref.oracle import expected, torch

    V, bound = expected(torch.grid_sample, input, grid)
    assert np.all(abs(found - V) <= bound)

A module for each dialect, with that framework's names, arguments, layouts and defaults; none of the
frameworks is needed. `expected` gives the value in float64, and how far from it a correct result in
the arguments' precision may be.
"""

from stn_ref.oracle.bounds import Expected, expected

__all__ = ["Expected", "expected"]

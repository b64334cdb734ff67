"""The oracle: what image sampling should give, in the dialect of the framework it is compared with.

    from stn_ref.oracle import check, expected, torch

    V, bound = expected(torch.grid_sample, input, grid)
    assert np.all(abs(found - V) <= bound)

    check(my_grid_sample, like=torch.grid_sample, rng=rng).raise_if_failed()  # axes=3: volumes

A module for each dialect, with that framework's names, arguments, layouts and defaults; none of the
frameworks is needed. `expected` gives the value in float64, and how far from it a correct result in
the arguments' precision may be; `check` tries a sampler wherever samplers go wrong;
`explain("torch", "scipy")` prints how two dialects differ.
"""

from typing import TYPE_CHECKING

from stn_ref.lazy import lazily

if TYPE_CHECKING:
    from stn_ref.oracle.bounds import Expected
    from stn_ref.oracle.checking import check
    from stn_ref.oracle.dialect import expected
    from stn_ref.oracle.differences import explain
    from stn_ref.oracle.report import Report
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "Expected": "bounds",
            "Report": "report",
            "check": "checking",
            "expected": "dialect",
            "explain": "differences",
        },
    )

__all__ = ["Expected", "Report", "check", "expected", "explain"]

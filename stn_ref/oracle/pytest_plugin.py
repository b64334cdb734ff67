"""The pytest plugin: a fixture `stn_oracle` with everything to test a sampler by.

    def test_it_samples_as_torch_does(stn_oracle):
        stn_oracle.check(my_grid_sample, like=stn_oracle.torch.grid_sample)

pytest loads this wherever stn_ref is installed; it loads nothing else before the fixture is used.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from stn_ref import oracle

if TYPE_CHECKING:
    from numpy.random import Generator


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--stn-seed`."""
    group = parser.getgroup("stn_ref")
    group.addoption("--stn-seed", type=int, default=0, help="of the cases stn_oracle draws")


@pytest.fixture(scope="session")
def stn_oracle(pytestconfig: pytest.Config) -> Oracle:
    """What image sampling should give: check, expected, assert_within_bound, and the dialects."""
    # of the session, for Hypothesis will not have one of a function; so it may not hold a generator
    return Oracle(pytestconfig.getoption("stn_seed"))


class Oracle:
    """`stn_ref.oracle` with a seed: its dialects and names as attributes, and the methods here."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __getattr__(self, name: str) -> Any:
        return getattr(oracle, name)

    def rng(self) -> Generator:
        """A new generator of the seed, so that no test's cases depend on another's."""
        import numpy as np

        return np.random.default_rng(self.seed)

    def check(self, candidate: Callable[..., Any], *args: Any, **options: Any) -> oracle.Report:
        """As `stn_ref.oracle.check`, by default with `rng()`; AssertionError if anything differs.

        Returns the Report, for its worst errors.
        """
        __tracebackhide__ = True
        report = oracle.check(candidate, *args, **{"rng": self.rng(), **options})
        if not report.ok:
            raise AssertionError(f"{report}\n\nagain: pytest --stn-seed={self.seed}")
        return report

    def assert_within_bound(
        self, found: Any, function: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> None:
        """Whether something is what a dialect's function should give for these arguments.

        found  what a sampler gave, anything that NumPy can read; as many as `function` returns
        Raises AssertionError that names the worst element of each that is wrong.
        """
        __tracebackhide__ = True
        wrong = _differences(found, function, *args, **kwargs)
        if wrong:
            raise AssertionError("\n".join(wrong))


def _differences(found: Any, function: Callable[..., Any], *args: Any, **kwargs: Any) -> list[str]:
    """A line for each of the results that is wrong."""
    import numpy as np

    truths = oracle.expected(function, *args, **kwargs)
    if isinstance(truths, oracle.Expected):
        names, found, truths = ["value"], (found,), (truths,)
    else:
        arguments = list(inspect.signature(function).parameters)[1:]  # after grad_output
        names = [f"grad_{name}" for name in arguments[: len(truths)]]
    if len(found) != len(truths):
        return [f"found {len(found)} arrays; expected {', '.join(names)}"]
    lines = []
    for name, array, true in zip(names, found, truths, strict=True):
        units, message = oracle.checking.difference(np.asarray(array), true)
        if message:
            by = f", {units:.3g} bounds off" if units < oracle.report.MANY else ""
            lines.append(f"{name} {message}{by}")
    return lines

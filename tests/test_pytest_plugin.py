"""The fixture `stn_oracle`: what it passes, and what it says of what it does not."""

import re
from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from stn_ref.oracle import Expected, expected, opencv, pytest_plugin, torch
from stn_ref.oracle.pytest_plugin import Oracle

pytest_plugins = "pytester"

RAMP = np.array([[[[10, 11, 12, 13]]]], np.float32)
GRID = np.array([[[[-0.75, 0], [0, 0], [0.25, 0]]]], np.float32)  # pixels 0, 1.5 and 2
ORACLE = Oracle(0)


def off_by(bounds, true):
    """A value whose second element is off by that many bounds."""
    found = true.value.copy()
    found.flat[1] += bounds * true.bound.flat[1]
    return found


def test_what_is_within_the_bound_passes_and_what_is_not_is_named():
    true = expected(torch.grid_sample, RAMP, GRID)
    ORACLE.assert_within_bound(off_by(0.9, true), torch.grid_sample, RAMP, GRID)
    found = off_by(-1.5, true)
    message = (
        f"value [0, 0, 0, 1] is {found[0, 0, 0, 1]:.9g}, "
        f"expected 11.5 ± {true.bound[0, 0, 0, 1]:.2g}, 1.5 bounds off"
    )
    with pytest.raises(AssertionError, match=f"^{re.escape(message)}$"):
        ORACLE.assert_within_bound(found, torch.grid_sample, RAMP, GRID)


def test_gradients_are_named_after_the_arguments():
    given = np.ones((1, 1, 1, 3), np.float32), RAMP, GRID
    dinput, dgrid = (true.value for true in expected(torch.grid_sample_backward, *given))
    ORACLE.assert_within_bound((dinput, dgrid), torch.grid_sample_backward, *given)
    for wrong, names in (
        ((dinput + 1, dgrid), ["grad_input"]),
        ((dinput, -dgrid), ["grad_grid"]),
        ((-dinput, dgrid + 1), ["grad_input", "grad_grid"]),
    ):
        with pytest.raises(AssertionError) as failure:
            ORACLE.assert_within_bound(wrong, torch.grid_sample_backward, *given)
        assert [line.split(" [")[0] for line in str(failure.value).splitlines()] == names


def test_a_gradient_that_is_not_there_and_a_shape_that_is_another_are_told():
    given = np.ones((1, 1, 1, 3), np.float32), RAMP, GRID
    with pytest.raises(AssertionError, match="^found 1 arrays; expected grad_input, grad_grid$"):
        ORACLE.assert_within_bound((RAMP,), torch.grid_sample_backward, *given)
    with pytest.raises(AssertionError, match=r"^value has shape \(3,\), expected \(1, 1, 1, 3\)$"):
        ORACLE.assert_within_bound(np.ones(3), torch.grid_sample, RAMP, GRID)


def test_options_may_be_given_or_bound():
    far = GRID + 9
    held = np.full((1, 1, 1, 3), 13.0)
    border = partial(torch.grid_sample, padding_mode="border")
    ORACLE.assert_within_bound(held, torch.grid_sample, RAMP, far, padding_mode="border")
    ORACLE.assert_within_bound(held.tolist(), border, RAMP, far)
    with pytest.raises(AssertionError, match="is 13, expected 0 ± 1.1e-44$"):
        ORACLE.assert_within_bound(held, torch.grid_sample, RAMP, far)


def test_the_oracle_has_every_name_and_dialect():
    assert ORACLE.torch is torch and ORACLE.opencv is opencv
    assert ORACLE.expected is expected and ORACLE.Expected is Expected
    with pytest.raises(AttributeError, match="'stn_ref.oracle' has no attribute 'pytorch'"):
        _ = ORACLE.pytorch


def test_check_returns_its_report_or_raises_it_with_the_seed():
    report = ORACLE.check(torch.grid_sample, ORACLE.torch.grid_sample, dtypes=("float64",))
    assert report.ok and {row.dtype for row in report.rows} == {"float64"}
    with pytest.raises(AssertionError) as failure:
        Oracle(5).check(lambda U, grid: -torch.grid_sample(U, grid))
    assert "worst error / bound" in str(failure.value)
    assert str(failure.value).endswith("again: pytest --stn-seed=5")


def test_cases_depend_on_the_seed_alone():
    def drawn(oracle, **options):
        grids = []

        def candidate(U, grid):
            grids.append(grid)
            return torch.grid_sample(U, grid)

        oracle.check(candidate, **options)
        return np.concatenate([grid.ravel() for grid in grids])

    first = drawn(ORACLE)
    assert_array_equal(first, drawn(ORACLE))  # not the generator's next ones
    assert not np.array_equal(first, drawn(Oracle(1)), equal_nan=True)
    assert_array_equal(first, drawn(Oracle(1), rng=np.random.default_rng(0)))


@pytest.fixture
def inner(pytester, monkeypatch):
    """A run of pytest with the plugin, installed or not, and these tests."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(tests, *options):
        pytester.makepyfile(tests)
        return pytester.runpytest_inprocess("-p", pytest_plugin.__name__, *options)

    return run


def test_the_fixture_has_the_seed_of_the_command_line(inner):
    tests = "def test_seed(stn_oracle): assert stn_oracle.seed == {}"
    inner(tests.format(0)).assert_outcomes(passed=1)
    inner(tests.format(7), "--stn-seed=7").assert_outcomes(passed=1)
    assert inner(tests, "--stn-seed=seven").ret == pytest.ExitCode.USAGE_ERROR


def test_a_failure_shows_the_test_and_the_report_and_not_the_plugin(inner):
    found = inner(
        """
        import numpy as np

        def test_value(stn_oracle):
            images, grid = np.ones((1, 1, 1, 1)), np.zeros((1, 1, 1, 2))
            stn_oracle.assert_within_bound([[[[2]]]], stn_oracle.torch.grid_sample, images, grid)

        def test_check(stn_oracle):
            stn_oracle.check(lambda images, grid: images)
        """
    )
    found.assert_outcomes(failed=2)
    text = found.stdout.str()
    assert "value [0, 0, 0, 0] is 2, expected 1 ± " in text and "worst error / bound" in text
    assert "pytest_plugin.py" not in text


def test_tests_of_hypothesis_may_have_the_fixture(inner):
    tests = """
        from hypothesis import given, strategies
        @given(strategies.integers())
        def test_any(stn_oracle, k): assert stn_oracle.seed == 0
        """
    inner(tests, "-p", "_hypothesis_pytestplugin").assert_outcomes(passed=1)

"""How much a reader must open to read an equation; smaller is better, and it must not grow."""

from pathlib import Path

import pytest

from tests.call_graph import Files

PACKAGE = Path(__file__).parents[1] / "stn_ref"
EQUATIONS = Files(sorted((PACKAGE / "equations").glob("*.py")))
PAGE = Files([PACKAGE / "paper.py"])


@pytest.mark.parametrize(
    ("function", "most"),
    [
        ("affine.affine_grid", 4),
        ("sampler.sample", 12),
        ("sampler.sample_backward", 16),
        ("sampler.sample_dense", 4),
        ("transformer.spatial_transformer_backward", 24),
    ],
)
def test_the_reference_stays_legible(function, most):
    helpers = EQUATIONS.helpers(function)
    assert len(helpers) <= most, sorted(helpers)


@pytest.mark.parametrize("function", ["sample", "sample_backward_U", "sample_backward_xy"])
def test_on_the_page_an_equation_needs_its_kernel_and_nothing_else(function):
    assert PAGE.helpers(f"paper.{function}") <= {"paper.bilinear", "paper.bilinear_slope"}


def test_a_call_is_followed_through_imports_and_checks_count_as_one():
    helpers = EQUATIONS.helpers("sampler.sample")
    assert {"arguments", "taps.cell", "padding.integer_cell"} <= helpers
    assert not any(name.startswith("arguments.") for name in helpers)

"""`explain` says how dialects differ, and what it shows is what they give."""

from itertools import combinations

import numpy as np
import pytest

from stn_ref.oracle import explain
from stn_ref.oracle.dialect import sampler_of
from stn_ref.oracle.differences import (
    NAMES,
    PROBES,
    Probe,
    answer,
    asked,
    asked_of,
    dialect_of,
    differences,
)

pairs = pytest.mark.parametrize(("one", "other"), list(combinations(NAMES, 2)))


def given(name, probe):
    """What the public function gives for a probe of a value."""
    dialect = dialect_of(name)
    options = asked(dialect, probe)
    arrange = sampler_of(dialect.function).arrange
    arrays = arrange(*asked_of(probe, dialect.axes), {"align_corners": False} | options)
    return dialect.function(*arrays, **options).item()


@pairs
def test_what_is_shown_is_what_the_functions_give(one, other):
    for probe, values, _ in differences(one, other):
        if not probe.slope:
            np.testing.assert_array_equal(values, [given(one, probe), given(other, probe)])


def test_torch_and_onnx_differ_in_one_tie():
    ((probe, values, _),) = differences("torch", "onnx")
    assert (probe.topic, probe.x, values) == ("ties", -1.5, (10, 20))


def test_in_torchs_volumes_no_point_that_is_lost_is_nan():
    found = differences("torch", "torch volumes")
    assert {d.probe.topic for d in found} == {"not finite"}
    zeros = [d.values for d in found if d.probe.padding == "zeros"]
    assert len(zeros) == 2 and all(np.isnan(image) and volume == 0 for image, volume in zeros)
    assert "torch.grid_sample(5-D …, padding_mode='zeros', align_corners=True)" in found[0].calls


def test_two_dialects_differ_in_every_topic():
    shown = {d.probe.topic for pair in combinations(NAMES, 2) for d in differences(*pair)}
    assert shown == {probe.topic for probe in PROBES}


@pytest.mark.parametrize("name", NAMES)
def test_a_dialect_has_a_rule_for_every_topic_and_no_difference_from_itself(name):
    assert set(dialect_of(name).rules) == {probe.topic for probe in PROBES}
    assert differences(name, name) == []


@pytest.mark.parametrize("name", NAMES)
def test_slopes_are_per_pixel_whatever_the_coordinates(name):
    probe = Probe("slopes", "linear", "zeros", 1.25, slope=True)
    assert answer(dialect_of(name), probe) == 20


def test_a_mirrored_slope_is_told_apart():
    """Torch maps the point first and differentiates then; JAX differentiates in x itself."""
    slopes = {d.probe.x: d.values for d in differences("torch", "jax") if d.probe.topic == "slopes"}
    assert slopes[-1.0] == (-20, -10)


def test_explain_prints_rules_inputs_and_answers(capsys):
    explain("torch", "scipy")
    text = capsys.readouterr().out
    for part in (
        "only torch has cubic",
        "only scipy has wrap",
        "rounds half to even",
        "rounds half up",
        "value at x = 2.5\n",
        "      40       torch.grid_sample(…, mode='nearest', padding_mode='zeros', align",
        "      50       scipy.map_coordinates(…, order=0, mode='grid-constant')",
    ):
        assert part in text


def test_unknown_dialects_are_named():
    with pytest.raises(ValueError, match="'tf'; expected one of 'torch'"):
        explain("tf", "torch")

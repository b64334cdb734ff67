"""What the strategies draw is valid, aims at trouble, and shrinks to something simple."""

import inspect
import sys
from collections import defaultdict
from functools import partial
from importlib import import_module

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings

from stn_ref.equations import INTEGER, PROJECTIVE, target_grid
from stn_ref.oracle import dialect, expected, jax, opencv, strategies, torch
from tests.strategies import TRANSFORMATIONS

SAMPLERS = tuple(strategies.OPTIONS)
each = pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda f: f.__module__.rpartition(".")[2])
many = settings(
    max_examples=2000, database=None, derandomize=True, phases=(Phase.generate, Phase.shrink)
)


def drawn(strategy, count=200):
    """Examples of a strategy, the same every time."""
    examples = []

    @settings(max_examples=count, database=None, derandomize=True, phases=(Phase.generate,))
    @given(strategy)
    def draw(example):
        examples.append(example)

    draw()
    return examples


@each
@pytest.mark.parametrize("dtype", ("float16", "float32", "float64"))
def test_every_call_is_valid_and_what_it_gives_is_expected(sampler, dtype):
    for arguments, options in drawn(strategies.calls(sampler, dtype, strange=True), 60):
        inspect.signature(sampler).bind(*arguments, **options)
        assert {array.dtype.name for array in arguments} == {dtype}
        assert all(array.flags.c_contiguous for array in arguments)
        found = sampler(*arguments, **options)
        value, bound = expected(sampler, *arguments, **options)
        assert found.dtype == dtype and found.shape == value.shape
        assert np.all((abs(found - value) <= bound) | (np.isnan(found) & np.isnan(value)))


def test_images_of_whole_numbers_have_points_in_single_precision():
    calls = drawn(strategies.calls(opencv.remap, "uint8"), 60)
    assert {tuple(a.dtype.name for a in arguments) for arguments, _ in calls} == {
        ("uint8", "float32", "float32")
    }
    assert max(arguments[0].max() for arguments, _ in calls) == 255


def test_every_sampler_has_its_options_and_every_choice_is_drawn():
    assert set(SAMPLERS) == set(dialect._samplers)
    for sampler, table in strategies.OPTIONS.items():
        parameters = inspect.signature(sampler).parameters.values()
        keywords = {p.name for p in parameters if p.default is not p.empty} - {"as_shipped"}
        seen = defaultdict(set)
        for options in drawn(strategies.options(sampler), 300):
            for name in keywords | {*table}:
                seen[name].add(options.get(name, "left out"))
        assert set(table) == set(seen)
        for name, values in table.items():
            left_out = {"left out"} if name in keywords else set()
            if isinstance(values, strategies.Strategy):
                assert len(seen[name] - left_out) > 20
                assert left_out <= seen[name]
            else:
                assert seen[name] == {*values} | left_out


def test_a_call_has_several_images_and_channels_where_there_is_an_axis_for_them():
    shapes = {arguments[0].shape for arguments, _ in drawn(strategies.calls(torch.grid_sample))}
    assert {N for N, *_ in shapes} == {1, 2} and {C for _, C, *_ in shapes} == {1, 2, 3, 4, 5}
    shapes = {arguments[0].shape for arguments, _ in drawn(strategies.calls(opencv.remap))}
    assert {shape[2:] for shape in shapes} == {(), (2,), (3,), (4,), (5,)}


def near_the_lattice(sampler, calls):
    """Of the points of these calls, how many are within rounding of a half."""
    near = []
    for arguments, options in calls:
        translated = dialect.sampler_of(sampler).translate(*arguments, **options)
        if 1 not in translated.sizes:  # if −1 and 1 are one place, a grid has no other pixels
            near.append(np.mean(abs(2 * translated.p - np.round(2 * translated.p)) < 1e-9))
    return np.mean(near)


@each
def test_most_points_of_a_call_are_on_the_lattice_or_beside_it(sampler):
    """Put there by the options of the call, such as align_corners."""
    calls = drawn(strategies.calls(sampler, "float64"))
    assert 0.7 < near_the_lattice(sampler, calls) < 0.95


def test_what_is_bound_is_not_drawn_again_and_points_are_arranged_by_it():
    bound = {"align_corners": True, "mode": "nearest"}
    calls = drawn(strategies.calls(partial(torch.grid_sample, **bound), "float64"))
    assert {name for _, options in calls for name in options} == {"padding_mode"}
    calls = [(arguments, bound | options) for arguments, options in calls]
    assert 0.7 < near_the_lattice(torch.grid_sample, calls) < 0.95


@pytest.mark.parametrize("dtype", ("float16", "float32", "float64"))
def test_points_are_on_halves_beside_them_at_the_edges_and_far_outside(dtype):
    x = along_five_pixels(dtype=dtype)
    knots = np.round(2 * x) / 2
    beside = [np.mean(x == np.nextafter(knots, side)) for side in (np.inf, -np.inf)]
    assert x.dtype == dtype and 0.4 < np.mean(x == knots) < 0.7
    assert min(beside) > 0.05 and sum(beside) < 0.3
    edges = np.isin(x, (-1, -0.5, 0, 4, 4.5, 5))
    assert len(set(x[edges])) == 6 and np.mean(edges) > 0.25
    assert np.mean((x >= -3) & (x <= 8)) > 0.7 and x.min() < -50 and x.max() > 50


def along_five_pixels(**options):
    """The x of many points of an image five pixels wide."""
    return np.ravel(drawn(strategies.points((3, 5), (1, 2, 4), **options)))[::2]


def test_no_point_is_farther_outside_than_asked():
    x = along_five_pixels(reach=2)
    assert np.nextafter(-2, -3) <= x.min() <= -2 and 7 <= x.max() <= np.nextafter(7, 8)
    assert abs(along_five_pixels()).max() < 106


def test_points_that_are_no_place_are_drawn_if_asked_for_only():
    x = along_five_pixels(strange=True)
    found = {*np.unique(x[~(abs(x) < 1000)]).astype(str)}
    assert found == {*np.array((*strategies.HUGE, np.inf, -np.inf, np.nan)).astype(str)}


def test_a_point_is_x_then_y_of_a_plane_height_by_width():
    xy = np.concatenate(drawn(strategies.points((2, 30), (1, 2, 3), reach=1)))
    assert xy.shape[1:] == (2, 3, 2)
    assert 30 < xy[..., 0].max() < 31.1 and 2 < xy[..., 1].max() < 3.1


def test_feature_maps_have_the_shape_and_dtype_asked_for_and_nothing_that_underflows():
    maps = drawn(strategies.feature_maps("float32"))
    assert {U.ndim for U in maps} == {4} and {U.dtype.name for U in maps} == {"float32"}
    assert set.union(*({*U.shape} for U in maps)) == set(range(1, 7))
    pixels = abs(np.concatenate([U.ravel() for U in maps]))
    assert pixels.max() == 8 and 0 in pixels and pixels[pixels > 0].min() >= 2**-8
    (whole,) = drawn(strategies.feature_maps("uint8", shape=(1, 2, 3, 4)), 1)
    assert whole.shape == (1, 2, 3, 4) and whole.dtype == np.uint8


@pytest.mark.parametrize("transformation", TRANSFORMATIONS, ids=lambda t: t.name)
def test_thetas_are_the_identity_near_it_or_wild(transformation):
    start, G = transformation.identity().astype(np.float32), target_grid((3, 4))
    thetas = drawn(strategies.thetas(transformation, 3, "float32"))
    assert {(theta.shape, theta.dtype.name) for theta in thetas} == {((3, *start.shape), "float32")}
    away = np.array([abs(theta - start).max() for theta in thetas])
    assert away.min() == 0 and np.any((away > 0) & (away < 0.4)) and away.max() > 2
    quarters = [np.allclose(4 * (t - start), np.round(4 * (t - start))) for t in thetas]
    assert np.mean(quarters) > 0.2
    for theta in thetas[:20]:
        with np.errstate(all="ignore"):
            assert transformation.grid(theta.astype(float), G).shape == (3, 3, 4, 2)


def test_a_wild_projective_theta_sends_points_to_infinity():
    def lost(theta):
        with np.errstate(all="ignore"):
            return not np.isfinite(PROJECTIVE.grid(theta, target_grid((3, 3)))).all()

    assert find(strategies.thetas(PROJECTIVE, 1), lost, settings=many).shape == (1, 8)


@each
def test_the_simplest_call_is_one_pixel_on_the_spot_and_no_options(sampler):
    (images, *points), options = find(strategies.calls(sampler), lambda call: True, settings=many)
    assert images.size == 1 and not images.any()
    assert set(options) <= {"order", "interpolation"}  # which have no default
    translated = dialect.sampler_of(sampler).translate(images, *points, **options)
    assert translated.p.size == 2 and not translated.p.any() and translated.kernel is not INTEGER


def test_a_tie_that_is_rounded_to_the_other_side_is_found():
    """By points exactly between two pixels: one rounds half to even, the other away from zero."""
    nearest = partial(jax.map_coordinates, order=0, mode="nearest")
    even = partial(opencv.remap, interpolation=0, borderMode=opencv.BORDER_REPLICATE)

    def differ(call):
        (image, (y, x)), _ = call
        return np.any(nearest(image, (y, x)) != even(image, x, y))

    (_, p), _ = find(strategies.calls(nearest), differ, settings=many)
    assert 0.5 in p % 1


def test_what_is_no_sampler_is_refused():
    for strategy in (strategies.options, strategies.calls):
        with pytest.raises(TypeError, match="is no sampler of a dialect"):
            find(strategy(np.add), lambda _: True)


def test_without_hypothesis_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    monkeypatch.delitem(sys.modules, strategies.__name__)
    with pytest.raises(ImportError, match=r"oracle\.strategies needs Hypothesis: pip install hyp"):
        import_module(strategies.__name__)

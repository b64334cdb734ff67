"""`check` finds what is wrong with a sampler, and nothing with one that is right."""

import contextlib
import io
from functools import partial

import numpy as np
import pytest

from stn_ref import equations as eq
from stn_ref.oracle import check, expected, jax, onnx, torch
from stn_ref.oracle.dialect import sampler_of
from stn_ref.oracle.families import FAMILIES

DTYPES = ("float16", "float32", "float64")


def plain(U, grid, *, floor=np.floor, offset=lambda at: at):
    """Bilinear, zeros, edges not aligned; in the images' precision, one tap after the other."""
    (N, C, H, W), one = U.shape, U.dtype.type(1)
    flat, b = U.reshape(N, C, H * W), np.arange(N)[:, None, None]
    with np.errstate(over="ignore", invalid="ignore"):
        x = ((grid[..., 0] + one) * U.dtype.type(W) - one) / U.dtype.type(2)
        y = ((grid[..., 1] + one) * U.dtype.type(H) - one) / U.dtype.type(2)
        left, top = floor(x), floor(y)
        V = np.zeros((*x.shape, C), U.dtype)
        for n in (top, top + one):
            for m in (left, left + one):
                w = (one - abs(x - m)) * (one - abs(y - n))
                inside = (m >= 0) & (m < W) & (n >= 0) & (n < H)
                at = np.where(inside, n, 0).astype(int) * W + np.where(inside, m, 0).astype(int)
                taps = flat[b, :, offset(at)]
                V += np.where(inside[..., None], taps * w[..., None], 0)
        V[~np.isfinite(x + y)] = np.nan
    return V.transpose(0, 3, 1, 2)


def found(report):
    return {f.family for f in report.failures}


@pytest.mark.parametrize("like", (torch.grid_sample, onnx.grid_sample), ids=("torch", "onnx"))
@pytest.mark.parametrize("padding_mode", ("zeros", "border", "reflection"))
@pytest.mark.parametrize("mode", ("bilinear", "nearest", "bicubic"))
def test_the_dialects_pass_their_own_check(like, mode, padding_mode, rng):
    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": True}
    back = torch.grid_sample_backward if like is torch.grid_sample else onnx.grid_sample_backward
    right, back = partial(like, **options), partial(back, **options)
    report = check(right, right, backward=back, dtypes=DTYPES, rng=rng)
    report.raise_if_failed()
    assert report.ok and "nothing differs" in str(report)
    assert {row.family for row in report.rows} == set(FAMILIES)


def test_a_plain_sampler_passes(rng):
    check(plain, torch.grid_sample, dtypes=("float32", "float64"), rng=rng).raise_if_failed()


def test_swapped_axes_are_found(rng):
    report = check(lambda U, grid: plain(U, grid[..., ::-1]), rng=rng)
    assert not report.ok and "random" in found(report)


def test_align_corners_ignored_is_found(rng):
    assert not check(plain, partial(torch.grid_sample, align_corners=True), rng=rng).ok


def test_truncation_for_floor_is_found(rng):
    assert "edges" in found(check(partial(plain, floor=np.trunc), rng=rng))


@pytest.mark.parametrize("short", (np.int16, np.uint16))
def test_offsets_of_sixteen_bits_are_found_on_large_planes_only(short, rng):
    report = check(partial(plain, offset=lambda at: at.astype(short)), rng=rng)
    assert found(report) == {"large planes"}


def test_a_missing_border_mask_is_found(rng):
    options = {"padding_mode": "border", "align_corners": True}

    def unmasked(loss, U, grid):
        s = sampler_of(torch.grid_sample).translate(U, grid, **options)
        sizes = np.array([U.shape[3], U.shape[2]])
        xy = np.clip(s.p, 0, sizes - 1)
        dU, dxy, _ = eq.sample_backward(loss.transpose(0, 2, 3, 1).astype(float), s.U, xy)
        return dU.transpose(0, 3, 1, 2).astype(U.dtype), (dxy * s.slope).astype(U.dtype)

    like = partial(torch.grid_sample, **options)
    report = check(like, like, backward=unmasked, rng=rng)
    assert "edges" in found(report)
    assert {f.what for f in report.failures} == {"grad_grid"}


def test_a_gradient_summed_in_half_precision_is_found(rng):
    def halved(loss, U, grid):
        dU, dgrid = torch.grid_sample_backward(loss, U, grid)
        return dU.astype(np.float16), dgrid

    report = check(torch.grid_sample, backward=halved, rng=rng)
    assert {f.what for f in report.failures} == {"grad_input"}


def test_equation_seven_as_printed_is_found_on_knots(rng):
    def printed(loss, U, grid):
        s = sampler_of(torch.grid_sample).translate(U, grid)
        dV = loss.transpose(0, 2, 3, 1).astype(float)
        dU, dxy, _ = eq.sample_backward(dV, s.U, s.p, tie="paper")
        return dU.transpose(0, 3, 1, 2).astype(U.dtype), (dxy * s.slope).astype(U.dtype)

    report = check(torch.grid_sample, backward=printed, rng=rng)
    assert "knots" in found(report) and "random" not in found(report)


def test_onnx_as_shipped_is_found(rng):
    options = {"mode": "cubic", "padding_mode": "border"}
    shipped = partial(onnx.grid_sample, **options, as_shipped=True)
    assert not check(shipped, partial(onnx.grid_sample, **options), rng=rng).ok


def test_whatever_a_candidate_raises_is_a_failure(rng):
    def fragile(U, grid):
        if not U.size:
            raise IndexError("no images")
        return plain(U, grid)

    report = check(fragile, rng=rng)
    assert found(report) == {"empty"} and "raises IndexError: no images" in str(report)
    with pytest.raises(AssertionError, match="no images"):
        report.raise_if_failed()


def test_a_wrong_shape_is_a_failure(rng):
    report = check(lambda U, grid: plain(U, grid)[..., :1], rng=rng)
    assert "has shape" in str(report)


def test_another_dtype_is_a_failure(rng):
    report = check(lambda U, grid: plain(U, grid).astype(float), rng=rng)
    assert "has dtype float64, expected float32" in str(report)


def test_changed_arguments_are_a_failure(rng):
    def greedy(U, grid):
        V = plain(U, grid)
        grid += 1
        return V

    assert "comes with its arguments changed" in str(check(greedy, rng=rng))


@pytest.mark.parametrize("given", (None, (), (1, 2, 3), ([[1], [1, 2]], 0)))
def test_gradients_that_are_none_are_a_failure(given, rng):
    report = check(torch.grid_sample, backward=lambda *arrays: given, rng=rng)
    assert {f.what for f in report.failures} == {"grad_input"}


def test_one_block_of_threads_is_not_enough(rng):
    def first_block(U, grid):
        V = np.ascontiguousarray(plain(U, grid))
        V.reshape(-1)[1024:] = 0
        return V

    assert found(check(first_block, rng=rng)) == {"many"}


def test_channels_by_fours_and_no_rest_are_found(rng):
    def by_fours(U, grid):
        V = plain(U, grid)
        if V.shape[1] > 4:
            V[:, V.shape[1] // 4 * 4 :] = 0
        return V

    assert "many" in found(check(by_fours, rng=rng))


def test_one_fold_is_not_enough(rng):
    like = partial(torch.grid_sample, padding_mode="reflection")

    def folded_once(U, grid):
        return like(U, np.where(abs(grid) > 3, np.clip(grid, -1, 1), grid).astype(U.dtype))

    assert found(check(folded_once, like, rng=rng)) >= {"far", "huge"}


def test_options_are_those_of_the_function(rng):
    with pytest.raises(TypeError, match="moed"):
        check(plain, partial(torch.grid_sample, moed="nearest"), rng=rng)
    with pytest.raises(TypeError, match="by position"):
        check(plain, partial(torch.grid_sample, np.ones(2)), rng=rng)


def test_a_wrong_gradient_is_pasted_with_its_loss(rng):
    def doubled(loss, U, grid):
        dU, dgrid = torch.grid_sample_backward(loss, U, grid)
        return 2 * dU, dgrid

    report = check(torch.grid_sample, backward=doubled, rng=rng)
    code = report.paste.split("\n\n")[1]
    assert "grad_output = np.array(" in code and "torch.grid_sample_backward, grad_output" in code
    exec(code, {})


def test_one_precision_may_be_given_alone(rng):
    report = check(plain, dtypes="float64", rng=rng)
    assert {row.dtype for row in report.rows} == {"float64"}


@pytest.mark.parametrize("wrong", (partial(plain, floor=np.trunc), lambda U, g: plain(-U, g)))
def test_the_smallest_failure_is_code_that_runs(wrong, rng):
    report = check(wrong, rng=rng)
    code = report.paste.split("\n\n")[1]
    scope = {}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(code, scope)
    U, grid = scope["input"], scope["grid"]
    assert grid.shape == (1, 1, 1, 2) and U.shape[:2] == (1, 1)
    value, bound = expected(torch.grid_sample, U, grid)
    assert np.all(abs(wrong(U, grid) - value) > bound)
    assert "U k k" in report.paste  # the trace of the pixel


def test_a_large_plane_is_pasted_as_a_formula(rng):
    paste = check(partial(plain, offset=lambda at: at.astype(np.int16)), rng=rng).paste
    assert "(np.arange(" in paste and len(paste) < 5000


def test_what_is_no_dialect_is_refused(rng):
    with pytest.raises(TypeError, match="is no sampler"):
        check(plain, np.add, rng=rng)
    with pytest.raises(TypeError, match="'order'"):
        check(plain, jax.map_coordinates, rng=rng)
    with pytest.raises(TypeError, match=r"rng is 0; expected a numpy\.random\.Generator"):
        check(plain, rng=0)

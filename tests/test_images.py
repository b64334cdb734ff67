"""Image files as feature maps: alpha, EXIF, sixteen bits, and the way back."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from stn_ref.plots import images
from stn_ref.plots.images import on_white, read_image, write_image


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_eight_bits_go_into_a_file_and_come_back(mode, ending, tmp_path, rng):
    C = len(mode)
    pixels = rng.integers(0, 256, (4, 5, C), np.uint8)
    path = write_image(tmp_path / f"it.{ending}", pixels / 255)
    with Image.open(path) as file:
        assert file.mode == mode
        assert_array_equal(np.asarray(file).reshape(4, 5, C), pixels)
    assert_array_equal(read_image(path), pixels / 255)


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_sixteen_bits_of_grey_keep_their_steps(ending, tmp_path):
    steps = np.arange(65536).reshape(256, 256, 1) / 65535
    assert_array_equal(read_image(write_image(tmp_path / f"it.{ending}", steps, bits=16)), steps)
    assert len(np.unique(read_image(write_image(tmp_path / f"it.{ending}", steps)))) == 256


def test_a_file_of_floats_is_taken_as_it_is_and_whole_numbers_of_32_bits_are_refused(tmp_path):
    values = np.array([[-1.5, 0.25], [7, 300]], np.float32)
    Image.fromarray(values).save(tmp_path / "floats.tif")
    assert_array_equal(read_image(tmp_path / "floats.tif")[..., 0], values)
    Image.fromarray(values.astype(np.int32)).save(tmp_path / "whole.tif")
    with pytest.raises(ValueError, match="32 bits a pixel; expected 8 or 16"):
        read_image(tmp_path / "whole.tif")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_stands_as_its_exif_says(orientation, tmp_path):
    """The eight ways in which a camera can be held, by what undoes them."""
    undo = [
        *(lambda a: a, lambda a: a[:, ::-1], lambda a: a[::-1, ::-1], lambda a: a[::-1]),
        *(lambda a: a.swapaxes(0, 1), lambda a: np.rot90(a, -1)),
        *(lambda a: np.rot90(a, 2).swapaxes(0, 1), lambda a: np.rot90(a, 1)),
    ]
    stored = np.arange(12, dtype=np.uint8).reshape(3, 4)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "it.png", exif=exif)
    assert_array_equal(255 * read_image(tmp_path / "it.png")[..., 0], undo[orientation - 1](stored))


def test_other_kinds_of_file_are_grey_or_colours_with_alpha_where_it_is(tmp_path):
    colours = Image.new("RGB", (3, 2), (255, 0, 51))
    kinds = {"1": (1, [1]), "P": (3, [1, 0, 0.2]), "CMYK": (3, [1, 0, 0.2])}
    for mode, (C, first) in kinds.items():
        source = Image.new("1", (3, 2), 1) if mode == "1" else colours.convert(mode)
        source.save(tmp_path / "it.tif")
        found = read_image(tmp_path / "it.tif")
        assert found.shape == (2, 3, C)
        assert_allclose(found[0, 0], first, atol=0.005)
    colours.save(tmp_path / "it.png", transparency=(255, 0, 51))
    assert_array_equal(read_image(tmp_path / "it.png")[0, 0], [1, 0, 0.2, 0])


def test_over_white_an_image_has_three_colours(rng):
    grey, colour = rng.random((4, 5, 2)), rng.random((4, 5, 4))
    for image in (grey, colour):
        a = image[..., -1:]
        expected = np.broadcast_to(a * image[..., :-1] + 1 - a, (4, 5, 3))
        assert_allclose(on_white(image), expected)
        assert_array_equal(on_white(image[..., :-1]), np.broadcast_to(image[..., :-1], (4, 5, 3)))


def test_what_is_written_is_cut_rounded_to_even_and_whole_or_not_there(tmp_path):
    row = np.array([[-0.5, 0.5 / 255, 1.5 / 255, 2, np.nan]])[..., None]
    pixels = read_image(write_image(tmp_path / "it.png", np.repeat(row, 2, axis=0)))
    assert_array_equal(255 * pixels[0, :, 0], [0, 0, 2, 255, 0])
    with pytest.raises(OSError, match="RGBA"):
        write_image(tmp_path / "no.jpg", np.ones((2, 2, 4)))
    with pytest.raises(ValueError, match="unknown file extension"):
        write_image(tmp_path / "no.thing", np.ones((2, 2, 1)))
    assert {path.name for path in tmp_path.iterdir()} == {"it.png"}


@pytest.mark.parametrize(
    ("shape", "bits", "message"),
    [
        ((2, 2), 8, "expected .H, W, C"),
        ((2, 2, 5), 8, "5 channels and bits is 8"),
        ((2, 2, 3), 16, "3 channels and bits is 16"),
        ((2, 2, 1), 12, "bits is 12"),
    ],
)
def test_what_no_file_can_hold_is_refused(shape, bits, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        write_image(tmp_path / "it.png", np.ones(shape), bits=bits)


def test_what_is_no_image_is_refused(tmp_path):
    (tmp_path / "text.png").write_text("not an image")
    with pytest.raises(ValueError, match=r"text\.png is not an image"):
        read_image(tmp_path / "text.png")


def test_a_line_of_pixels_is_no_image(tmp_path):
    Image.new("L", (5, 1)).save(tmp_path / "line.png")
    with pytest.raises(ValueError, match="1 × 5 pixels"):
        read_image(tmp_path / "line.png")


def test_a_large_image_is_shrunk_without_false_patterns():
    stripes = np.tile([1.0, 1, 0, 0, 0], 80)[None, :, None] * np.ones((300, 1, 3))
    small = images.fitted(stripes, 100)
    assert small.shape == (75, 100, 3)
    assert np.ptp(small[:, 5:-5]) < 0.1 and abs(small.mean() - 0.4) < 0.01
    assert images.fitted(small, 100) is small

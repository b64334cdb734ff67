"""The digits that ship with the package."""

import numpy as np

from stn_ref.data import digits


def test_the_digits_are_balanced_images_in_unit_range():
    data = digits()
    for images, labels, each in (
        (data.x_train, data.y_train, 500),
        (data.x_test, data.y_test, 100),
    ):
        assert images.shape == (10 * each, 28, 28, 1) and images.dtype == np.float64
        assert images.min() == 0 and images.max() == 1
        assert np.array_equal(np.bincount(labels), [each] * 10)

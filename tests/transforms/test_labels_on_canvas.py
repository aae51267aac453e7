"""Labels go where the radiograph's pixels go."""

from __future__ import annotations

import numpy as np
import pytest

from agezoo.errors import InputError
from agezoo.transforms.canvas import fit_to_canvas, place_on_canvas
from agezoo.transforms.labels_on_canvas import labels_on_canvas


@pytest.mark.parametrize(("stored", "canvas"), [((300, 170), (128, 64)), ((90, 140), (128, 64)), ((60, 20), (128, 64))])
def test_labels_cover_what_the_image_shows_there(stored, canvas):
    rows, columns = stored
    labels = np.zeros(stored, dtype=np.uint8)
    labels[rows // 4 : rows // 2, columns // 3 : columns // 2] = 3
    top, left, bottom, right = 7, 4, 11, 5
    cut = (slice(top, rows - bottom), slice(left, columns - right))
    area = [top, left, rows - top - bottom, columns - left - right, rows, columns]
    placement = place_on_canvas(*labels[cut].shape, height=canvas[0], width=canvas[1], area=area)
    found = labels_on_canvas(labels, placement)
    image = fit_to_canvas((labels[cut] == 3).astype(np.float32), placement)
    assert found.dtype == np.uint8
    # Where the interpolated image is surely inside or outside, so is the label.
    assert (found[image > 0.95] == 3).all()
    assert not found[image < 0.05].any()
    assert (found == 3).sum() == pytest.approx(image.sum(), rel=0.15)


def test_pixels_by_hand():
    # 4 x 2 of 6 x 4 pixels, each made twice as large on a canvas of 8 x 6.
    labels = np.arange(24).reshape(6, 4)
    placement = place_on_canvas(4, 2, height=8, width=6, area=[1, 1, 4, 2, 6, 4])
    found = labels_on_canvas(labels, placement)
    np.testing.assert_array_equal(found[:, 1:5], np.repeat(np.repeat(labels[1:5, 1:3], 2, axis=0), 2, axis=1))
    assert not found[:, 0].any()
    assert not found[:, 5].any()


def test_labels_of_another_image_are_refused():
    placement = place_on_canvas(40, 20, height=8, width=4)
    with pytest.raises(InputError, match=r"does not lie on the image's grid.*41 x 20.*40 x 20"):
        labels_on_canvas(np.zeros((41, 20), dtype=int), placement)
    with pytest.raises(InputError, match="whole numbers"):
        labels_on_canvas(np.zeros((40, 20)), placement)

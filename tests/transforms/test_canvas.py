"""The canvas: each rule by hand, and the way back onto the stored image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy import ndimage

from agezoo.errors import InputError
from agezoo.transforms import CanvasPlacement, EqualiseHistogramd, FitToCanvas, FitToCanvasd, SideCropd, map_to_original
from agezoo.transforms.canvas import fit_to_canvas, place_on_canvas


def box(placement: CanvasPlacement) -> tuple[int, int, int, int]:
    """Top, left, height, width on the canvas."""
    return placement.top, placement.left, placement.height, placement.width


def test_landscape_fills_the_width() -> None:
    """600 x 800: by 512 / 800 = 0.64 to 384 x 512, with (1024 - 384) / 2 rows of margin above."""
    assert box(place_on_canvas(600, 800)) == (320, 0, 384, 512)


def test_a_square_fills_the_width() -> None:
    assert box(place_on_canvas(700, 700)) == (256, 0, 512, 512)


def test_a_slim_portrait_fills_the_height() -> None:
    """2000 x 800: by 0.512 to 1024 x 409.6, with (512 - 410) / 2 columns of margin at the left."""
    assert box(place_on_canvas(2000, 800)) == (0, 51, 1024, 410)


def test_a_portrait_whose_width_would_pass_fills_the_width() -> None:
    """1000 x 800 to a height of 1024 would be 819 wide; by 0.64 it is 640 x 512."""
    assert box(place_on_canvas(1000, 800)) == (192, 0, 640, 512)


def test_a_portrait_of_the_canvas_aspect_fills_both() -> None:
    assert box(place_on_canvas(3000, 1500)) == (0, 0, 1024, 512)


def test_small_images_are_enlarged() -> None:
    """A VFA image of 400 x 150: by 2.56 to 1024 x 384."""
    assert box(place_on_canvas(400, 150)) == (0, 64, 1024, 384)


def test_an_odd_margin_has_its_odd_pixel_below_or_right() -> None:
    """200 x 79 by 5.12: 404.48, so 404 wide; 1000 x 801 by 0.6392: 639.2, so 639 high, 385 rows of margin."""
    assert box(place_on_canvas(200, 79)) == (0, 54, 1024, 404)
    assert box(place_on_canvas(1000, 801)) == (192, 0, 639, 512)


@pytest.mark.parametrize("canvas", [(1024, 512), (256, 128), (100, 300), (64, 64), (1, 1)])
def test_any_image_stays_within_any_canvas_with_its_aspect(canvas: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    for rows, columns in [*rng.integers(1, 4000, (300, 2)).tolist(), (1, 4000), (4000, 1), (1025, 513)]:
        placed = place_on_canvas(rows, columns, height=canvas[0], width=canvas[1])
        assert 0 < placed.height <= canvas[0]
        assert 0 < placed.width <= canvas[1]
        assert placed.height == canvas[0] or placed.width == canvas[1]
        assert 0 <= canvas[0] - placed.height - 2 * placed.top <= 1
        assert 0 <= canvas[1] - placed.width - 2 * placed.left <= 1
        scale = min(canvas[0] / rows, canvas[1] / columns)
        assert abs(placed.height - rows * scale) <= 0.5 or placed.height == 1
        assert abs(placed.width - columns * scale) <= 0.5 or placed.width == 1


def test_drawn_centred_on_zeros() -> None:
    canvas = FitToCanvas(8, 4)(torch.ones(1, 2, 4))
    expected = torch.zeros(1, 8, 4)
    expected[:, 3:5] = 1
    assert torch.equal(torch.as_tensor(canvas), expected)


def test_an_image_of_the_canvas_size_is_not_touched() -> None:
    image = np.random.default_rng(1).random((1, 16, 8)).astype(np.float32)
    assert np.array_equal(FitToCanvas(16, 8)(image), image)


def test_reducing_averages_instead_of_picking() -> None:
    """Stripes finer than the canvas become their mean; without anti-aliasing they would be moire."""
    stripes = np.tile([0.0, 1.0], (64, 32)).astype(np.float32)
    inner = fit_to_canvas(stripes, place_on_canvas(64, 64, height=8, width=8))[:, 1:-1]
    assert np.allclose(inner, 0.5, atol=0.02)


def test_values_stay_in_the_image_s_range() -> None:
    image = (np.random.default_rng(2).random((37, 91)) > 0.5).astype(np.float32)
    for height, width in ((20, 10), (200, 100)):
        drawn = fit_to_canvas(image, place_on_canvas(37, 91, height=height, width=width))
        assert drawn.min() >= 0.0
        assert drawn.max() <= 1.0
        assert drawn.dtype == np.float32


def test_a_gradient_keeps_its_place() -> None:
    """Pixel (i, j) of the shown part stands for (i + 0.5) / scale - 0.5 of the image, away from its edges."""
    image = np.add.outer(3.0 * np.arange(90), np.arange(60)).astype(np.float32)
    placed = place_on_canvas(90, 60, height=64, width=32)
    drawn = fit_to_canvas(image, placed)[placed.top : placed.top + placed.height]
    rows, columns = np.arange(placed.height) * 90 / placed.height, np.arange(32) * 60 / 32
    expected = np.add.outer(3 * (rows + 0.5 * 90 / placed.height - 0.5), columns + 0.5 * 60 / 32 - 0.5)
    assert np.allclose(drawn[3:-3, 3:-3], expected[3:-3, 3:-3], atol=0.2)


@pytest.mark.parametrize("shape", [(600, 800), (1500, 500), (180, 90)])
@pytest.mark.parametrize("kind", ["radiograph", "vfa"])
def test_a_planted_point_is_found_again(shape: tuple[int, int], kind: str) -> None:
    """A bright spot in the stored image, through reader's crop, side crop and canvas, and back."""
    stored = np.zeros(shape, dtype=np.float32)
    point = (int(shape[0] * 0.3), int(shape[1] * 0.7))
    stored[point] = 1.0
    stored = ndimage.gaussian_filter(stored, 0.03 * min(shape))
    top, left, rows, columns = 7, 12, shape[0] - 20, shape[1] - 30
    item = {
        "image": torch.from_numpy(stored[None, top : top + rows, left : left + columns].copy()),
        "image_facts": {"kind": kind, "area": np.array([top, left, rows, columns, *shape], dtype=np.float32)},
    }
    item = FitToCanvasd("image", height=256, width=128)(SideCropd("image")(item))
    placement = CanvasPlacement.from_array(item["image_facts"]["canvas"])
    assert placement is not None
    back = map_to_original(item["image"][0].numpy(), placement)
    assert back.shape == shape
    found = np.unravel_index(np.argmax(back), shape)
    pixel = max(placement.area_rows / placement.height, placement.area_columns / placement.width)
    assert np.abs(np.subtract(found, point)).max() <= max(1.0, 0.75 * pixel)


def test_a_smooth_image_comes_back_as_it_was() -> None:
    rng = np.random.default_rng(3)
    stored = ndimage.gaussian_filter(rng.normal(size=(500, 380)), 25)
    stored = ((stored - stored.min()) / np.ptp(stored)).astype(np.float32)
    placement = place_on_canvas(440, 342, area=[40, 19, 440, 342, 500, 380])
    back = map_to_original(fit_to_canvas(stored[40:480, 19:361], placement), placement)
    assert np.abs(back[42:478, 21:359] - stored[42:478, 21:359]).max() < 0.005
    outside = np.ones(stored.shape, dtype=bool)
    outside[40:480, 19:361] = False
    assert (back[outside] == 0).all(), "nothing was shown there"


def test_what_lies_on_the_margins_is_dropped_and_a_full_map_fills_the_shown_area() -> None:
    placement = place_on_canvas(4, 8, height=16, width=8, area=[1, 2, 4, 8, 6, 12])
    back = map_to_original(np.ones((1, 16, 8)), placement)
    expected = np.zeros((6, 12))
    expected[1:5, 2:10] = 1
    assert np.array_equal(back, expected)
    margin_only = np.ones((16, 8))
    margin_only[placement.top : placement.top + placement.height] = 0
    assert not map_to_original(margin_only, placement).any()


def test_other_maps_are_refused() -> None:
    placement = place_on_canvas(10, 10)
    with pytest.raises(InputError, match=r"found: shape \(512, 1024\); expected: \(1024, 512\)"):
        map_to_original(np.zeros((512, 1024)), placement)
    with pytest.raises(InputError, match="not finite"):
        map_to_original(np.full((1024, 512), np.nan), placement)


def test_placements_survive_batches_and_unknown_ones_stay_unknown() -> None:
    placement = place_on_canvas(2500, 1801, area=[10, 20, 2500, 1801, 2600, 2001])
    numbers = placement.as_array()
    assert numbers.dtype == np.float32
    assert numbers.shape == (12,)
    batch = torch.stack([torch.as_tensor(numbers), torch.as_tensor(CanvasPlacement.unknown())])
    assert CanvasPlacement.from_array(batch[0]) == placement
    assert CanvasPlacement.from_array(batch[1]) is None
    with pytest.raises(ValueError, match="a placement is 12 numbers, got 6"):
        CanvasPlacement.from_array(numbers[:6])


def test_dictionary_form_without_facts_takes_the_image_as_the_whole() -> None:
    image = MetaTensor(torch.rand(1, 30, 10), meta={"filename_or_obj": "a.png"})
    item = {"image": image, "label": 1}
    result = FitToCanvasd("image", height=64, width=32)(item)
    assert list(item) == ["image", "label"], "the item given is not changed"
    assert result["image"].shape == (1, 64, 32)
    assert result["image"].meta["filename_or_obj"] == "a.png"
    placement = CanvasPlacement.from_array(result["image_facts"]["canvas"])
    assert placement == place_on_canvas(30, 10, height=64, width=32)


def test_an_impossible_canvas_is_refused() -> None:
    with pytest.raises(InputError, match="found: 0 x 512"):
        FitToCanvas(0, 512)


def test_preprocessing_keeps_black_outside_and_white_inside() -> None:
    """The three steps of the recipe in a row on a radiograph: float32, 0..1, margins 0."""
    image = np.random.default_rng(4).normal(2000, 300, (1, 300, 400)).astype(np.float32)
    item = {"image": image, "modality": "radiograph"}
    for step in (EqualiseHistogramd("image"), SideCropd("image"), FitToCanvasd("image")):
        item = step(item)
    assert item["image"].shape == (1, 1024, 512)
    # 300 x 360 by 512 / 360: 427 rows.
    assert item["image_facts"]["canvas"].tolist() == [300, 360, 0, 0, 300, 360, 1024, 512, 298, 0, 427, 512]
    assert not item["image"][:, :298].any()
    assert not item["image"][:, 298 + 427 :].any()
    assert 0.4 < item["image"][:, 298 : 298 + 427].mean() < 0.6

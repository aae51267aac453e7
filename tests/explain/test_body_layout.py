"""Pictures of whole bodies: noise is black, letters and proportions are true, and the montage covers the body."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from agezoo.errors import InputError
from agezoo.explain.body_layout import body_montage, body_picture, body_slices
from agezoo.explain.overlay import case_overlay_figure
from agezoo.transforms.body.body_grid import body_grid
from agezoo.transforms.noise_fill import body_of
from agezoo.transforms.standardise_body import standardise_body

SHAPE = (28, 21, 45)
EXTENT_MM = (500.0, 375.0, 1089.0)
AFFINE = body_grid(8).affine_around((0.0, 0.0, 0.0))


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    """(2, *SHAPE): an ellipsoid in two contrasts on noise, narrower than the field of view."""
    radii = np.array([9, 6, 22])[:, None, None, None]
    inside = (((np.indices(SHAPE) - np.array([14, 10, 22])[:, None, None, None]) / radii) ** 2).sum(axis=0) <= 1
    grey = np.random.default_rng(0).uniform(0.5, 1, (2, *SHAPE))
    return standardise_body(np.where(inside, grey, 0).astype(np.float32))


@pytest.fixture(scope="module")
def body(image: np.ndarray) -> np.ndarray:
    return body_of(image)


def test_the_noise_is_black_and_the_body_is_the_first_channel(image: np.ndarray, body: np.ndarray) -> None:
    picture = body_picture(image, body)
    assert picture.shape == SHAPE
    assert not picture[~body].any()
    assert picture[body].min() > 0
    difference = picture[body] - image[0][body]
    np.testing.assert_allclose(difference, difference[0], atol=1e-5)
    assert not body_picture(image, np.zeros(SHAPE, bool)).any()
    with pytest.raises(InputError, match="differ in shape"):
        body_picture(image, body[:-1])


def test_three_slices_cross_where_the_map_is_strongest_and_are_to_scale(image: np.ndarray, body: np.ndarray) -> None:
    picture = body_picture(image, body)
    saliency = np.zeros(SHAPE)
    saliency[18, 12, 30] = -1
    # Stronger, but beside the body.
    saliency[0, 0, 0] = 2
    layout = body_slices(picture, saliency, body=body, affine=AFFINE)
    x, y, z = (AFFINE @ [18, 12, 30, 1])[:3]
    assert layout.names == (f"coronal, y = {y:.0f} mm", f"sagittal, x = {x:.0f} mm", f"axial, z = {z:.0f} mm")
    # Of 44 voxels from the top 14 lie above; the patient's left, 18 of 28, is at the viewer's right.
    ((row, column),) = np.argwhere(layout.split(np.where(saliency < 0, 1, 0))[0])
    assert (row, column) == (44 - 30, 18)
    assert layout.ends == (("R", "L"), ("A", "P"), ("R", "L"))
    figure = case_overlay_figure(picture, saliency, layout=layout, field_of_view_mm=EXTENT_MM)
    for axes, (width, height) in zip(figure.axes, ((500, 1089), (375, 1089), (500, 375)), strict=False):
        box = axes.get_window_extent()
        assert box.width / box.height == pytest.approx(width / height, rel=0.01)


def test_the_montage_goes_from_front_to_back_and_from_top_to_bottom(image: np.ndarray, body: np.ndarray) -> None:
    picture = body_picture(image, body)
    layout = body_montage(picture, body=body, columns=4, axial_rows=2, affine=AFFINE)
    places = [float(name.split("= ")[1].removesuffix(" mm")) for name in layout.names]
    fronts, heights = places[:4], places[4:]
    assert all(first > second for first, second in pairwise(fronts))
    assert all(first > second for first, second in pairwise(heights))
    assert len(heights) == 8
    assert [name[0] for name in layout.names] == ["y"] * 4 + ["z"] * 8
    # Every slice shows some of the body.
    assert all(view.any() for view in layout.split(picture))
    assert layout.ends[0] == layout.ends[4] == ("R", "L")
    assert (layout.tops[0], layout.tops[4]) == (("S", "I"), ("A", "P"))


def test_a_voxel_of_the_montage_is_where_its_names_say(image: np.ndarray, body: np.ndarray) -> None:
    picture = body_picture(image, body)
    layout = body_montage(picture, body=body, columns=3, axial_rows=1, affine=AFFINE)
    front = round(float(np.linalg.solve(AFFINE, [0, float(layout.names[1][4:-3]), 0, 1])[1]))
    height = round(float(np.linalg.solve(AFFINE, [0, 0, float(layout.names[3][4:-3]), 1])[2]))
    mark = np.zeros(SHAPE)
    mark[20, front, height] = 1
    shown = [np.argwhere(view) for view in layout.split(mark)]
    assert [len(found) for found in shown] == [0, 1, 0, 1, 0, 0]
    views = layout.split(picture)
    row, column = shown[1][0]
    # Left of the patient, in the coronal and in the axial view, which share their columns.
    assert column == shown[3][0][1] > views[1].shape[1] / 2
    # The first of the marked heights is that of the first axial slice, in the middle coronal one.
    assert layout.levels[0] == ()
    assert (row + 0.5) / views[1].shape[0] == pytest.approx(layout.levels[1][0])


def test_montage_panels_are_to_scale_and_nothing_is_cut_off(image: np.ndarray, body: np.ndarray) -> None:
    picture = body_picture(image, body)
    layout = body_montage(picture, body=body, affine=AFFINE)
    figure = case_overlay_figure(
        picture, np.zeros(SHAPE), layout=layout, field_of_view_mm=EXTENT_MM, signed=True,
        sign_words=("makes\nyounger", "makes\nolder"),
    )  # fmt: skip
    figure.canvas.draw()
    views = layout.split(picture)
    for axes, view, mm in zip(
        figure.axes, views, [(500 / 28, 1089 / 45)] * 6 + [(500 / 28, 375 / 21)] * 12, strict=False
    ):
        box = axes.get_window_extent()
        assert box.width / box.height == pytest.approx(view.shape[1] * mm[0] / (view.shape[0] * mm[1]), rel=0.01)
    bar = figure.axes[-1]
    assert [label.get_text() for label in bar.get_yticklabels()] == ["makes\nyounger", "0", "makes\nolder"]
    for text in (*bar.get_yticklabels(), bar.yaxis.label, *(axes.title for axes in figure.axes)):
        box = text.get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.x1
    words, label = bar.get_yticklabels()[2].get_window_extent(), bar.yaxis.label.get_window_extent()
    assert words.x1 <= label.x0


def test_a_body_of_few_slices_has_a_smaller_montage(image: np.ndarray, body: np.ndarray) -> None:
    part = np.zeros_like(body)
    part[10:18, 9:11, 20:23] = True
    layout = body_montage(body_picture(image, body), body=part)
    assert layout.names == ("y voxel 10", "y voxel 9", "z voxel 22", "z voxel 21", "z voxel 20")
    with pytest.raises(InputError, match="rows and columns"):
        body_montage(body_picture(image, body), body=body, columns=0)


def test_coronal_slices_with_little_body_are_left_to_the_axial_ones(image: np.ndarray, body: np.ndarray) -> None:
    belly = body.copy()
    # A part that stands out in front by as much as the body is deep.
    belly[12:16, 16:21, 18:24] = True
    fronts = body_montage(body_picture(image, belly), body=belly).names[:6]
    assert fronts == body_montage(body_picture(image, body), body=body).names[:6]
    assert len(set(fronts)) == 6

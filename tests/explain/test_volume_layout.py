"""Slices of a volume: letters tell the truth, proportions are the head's, and the map is cut where the image is."""

from __future__ import annotations

import numpy as np
import pytest

from agezoo.errors import InputError
from agezoo.explain.overlay import case_overlay_figure
from agezoo.explain.view_layout import ViewLayout
from agezoo.explain.volume_layout import axial_montage, orthogonal_slices, strongest_voxel

SHAPE = (46, 55, 46)
FIELD_OF_VIEW_MM = (182.0, 218.0, 182.0)
# Voxel axes run towards these.
TOWARDS = {0: ("R", "L"), 1: ("P", "A"), 2: ("I", "S")}


@pytest.fixture
def head() -> np.ndarray:
    """A standardised ellipsoid on exact zeros, (1, *SHAPE)."""
    centre, radius = np.array([22, 26, 21])[:, None, None, None], np.array([16, 20, 15])[:, None, None, None]
    inside = (((np.indices(SHAPE) - centre) / radius) ** 2).sum(axis=0) <= 1
    noise = np.random.default_rng(0).normal(size=SHAPE)
    return np.where(inside, noise, 0)[None].astype(np.float32)


def marked_edge(layout: ViewLayout, view: int, mark: tuple[int, int, int]) -> set[str]:
    """Letters of the edges of a view near which a marked voxel of a volume is shown."""
    volume = np.zeros(SHAPE)
    volume[mark] = 1
    shown = layout.split(volume)[view]
    ((row, column),) = np.argwhere(shown)
    (left, right), (top, bottom) = layout.ends[view], layout.tops[view]
    return {right if column > shown.shape[1] / 2 else left, bottom if row > shown.shape[0] / 2 else top}


@pytest.mark.parametrize("ends", [(0, 0, 0), (1, 0, 1), (0, 1, 0), (1, 1, 1)])
def test_letters_stand_where_the_patients_sides_are(ends):
    mark = tuple(int(end * (size - 1)) for end, size in zip(ends, SHAPE, strict=True))
    letters = [TOWARDS[axis][end] for axis, end in enumerate(ends)]
    layout = orthogonal_slices(np.ones(SHAPE), voxel=mark)
    assert marked_edge(layout, 0, mark) == {letters[0], letters[2]}
    assert marked_edge(layout, 1, mark) == {letters[1], letters[2]}
    assert marked_edge(layout, 2, mark) == {letters[0], letters[1]}
    # Radiological: the patient's right at the viewer's left.
    assert layout.ends[0] == layout.ends[2] == ("R", "L")


def test_slices_cross_in_the_voxel_and_are_called_by_its_place_in_mni_space():
    # (x, y, z) = (90 - 4 * 30, -126 + 4 * 10, -72 + 4 * 18).
    layout = orthogonal_slices(np.ones(SHAPE), voxel=(30, 10, 18))
    assert layout.names == ("coronal, y = -86 mm", "sagittal, x = -30 mm", "axial, z = 0 mm")
    mark = np.zeros(SHAPE)
    mark[30, 10, 18] = 1
    for view, (from_left, from_top) in zip(layout.split(mark), layout.crosshairs, strict=True):
        ((row, column),) = np.argwhere(view)
        assert (column + 0.5, row + 0.5) == pytest.approx((from_left * view.shape[1], from_top * view.shape[0]))
    elsewhere = orthogonal_slices(np.ones((20, 30, 25)), voxel=(1, 2, 3))
    assert elsewhere.names == ("coronal, y voxel 2", "sagittal, x voxel 1", "axial, z voxel 3")


def test_the_strongest_place_within_the_patient_is_shown_in_either_sign(head):
    saliency = np.zeros(SHAPE)
    saliency[30:33, 20:23, 25:28] = -0.8
    saliency[28:30, 30:33, 15:17] = 0.5
    saliency[0, 0, 0] = 1
    assert strongest_voxel(saliency, head) == (31, 21, 26)
    assert orthogonal_slices(head, saliency).names[2] == f"axial, z = {-72 + 4 * 26} mm"
    # Without a map, or with an empty one, the middle of the patient.
    assert strongest_voxel(None, head) == strongest_voxel(np.zeros(SHAPE), head) == (22, 26, 21)
    # With a level map the middle of its plateau, so that a coarse one is not cut at its corner.
    assert strongest_voxel((head[0] != 0).astype(float), head) == (22, 26, 21)
    assert strongest_voxel(None, np.zeros(SHAPE)) == (22, 27, 22)


def test_panels_of_a_volume_have_the_heads_proportions(head):
    figure = case_overlay_figure(head, layout=orthogonal_slices(head), field_of_view_mm=FIELD_OF_VIEW_MM)
    sizes = [axes.get_window_extent() for axes in figure.axes]
    mm_per_pixel = [182 / sizes[0].width, 182 / sizes[0].height, 218 / sizes[1].width, 218 / sizes[2].height]
    np.testing.assert_allclose(mm_per_pixel, mm_per_pixel[0], rtol=1e-3)
    # Voxels of a network's grid are cubes, so that nothing needs to be said where their size is not known.
    assert not any(
        "not to scale" in text.get_text() for text in case_overlay_figure(head, layout=orthogonal_slices(head)).texts
    )


def test_background_of_a_standardised_brain_is_black_and_its_tissue_is_not(head):
    figure = case_overlay_figure(head, layout=orthogonal_slices(head))
    for axes in figure.axes:
        (shown,) = axes.images
        values = np.asarray(shown.get_array())
        assert values[0, 0] == pytest.approx(shown.get_clim()[0])
        assert (values > shown.get_clim()[0]).mean() > 0.3


def test_map_and_anatomy_are_cut_in_the_same_place(head):
    saliency = np.where(head[0] != 0, np.linspace(-1, 1, SHAPE[2]), 0)
    layout = orthogonal_slices(head, saliency)
    figure = case_overlay_figure(head, saliency, layout=layout, signed=True)
    axial = figure.axes[2]
    anatomy, heat = (np.asarray(image.get_array()) for image in axial.images)
    np.testing.assert_array_equal(heat != 0, layout.split(head)[2] != 0)
    assert anatomy.shape == heat.shape == (55, 46)
    # The map is strongest at the head end of the patient, where the axial slice was laid.
    assert abs(heat.min()) == pytest.approx(np.abs(saliency).max())


def test_a_montage_goes_from_the_neck_up_and_is_cut_to_the_patient(head):
    layout = axial_montage(head, rows=2, columns=4)
    heights = [int(name.removeprefix("z = ").removesuffix(" mm")) for name in layout.names]
    assert len(heights) == 8
    assert heights == sorted(set(heights))
    # The patient reaches from voxel 6 to 36.
    assert -72 + 4 * 6 < heights[0] < heights[-1] < -72 + 4 * 36
    views = layout.split(head)
    assert {view.shape for view in views} == {(2 * 20 + 1 + 2, 2 * 16 + 1 + 2)}
    figure = case_overlay_figure(head, layout=layout, field_of_view_mm=FIELD_OF_VIEW_MM)
    boxes = [axes.get_window_extent() for axes in figure.axes]
    assert boxes[0].width / boxes[0].height == pytest.approx(35 * (182 / 46) / (43 * (218 / 55)), rel=0.01)
    assert boxes[3].y0 > boxes[4].y1
    assert axial_montage(head, rows=9, columns=9).columns == 9
    assert len(axial_montage(head, rows=9, columns=9).names) <= 31


@pytest.mark.parametrize("kind", ["slices", "montage"])
@pytest.mark.parametrize("field_of_view_mm", [None, FIELD_OF_VIEW_MM, (300.0, 200.0, 900.0)])
def test_no_text_of_a_volumes_picture_is_cut_off_or_runs_into_another(head, kind, field_of_view_mm):
    figure = case_overlay_figure(
        head,
        head[0] / 10,
        layout=orthogonal_slices(head) if kind == "slices" else axial_montage(head),
        title_lines=["sub-0123456789 " * 9, "predicted age 63.4 ± 5.2 years"],
        banner="Phantom weights: this age means nothing for a real person.",
        field_of_view_mm=field_of_view_mm,
        signed=True,
    )
    figure.canvas.draw()
    panels, bar = figure.axes[:-1], figure.axes[-1]
    for text in (*figure.texts, *(axes.title for axes in panels), *bar.get_yticklabels(), bar.yaxis.label):
        box = text.get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y0 >= -1
        assert box.y1 <= figure.bbox.y1 + 1
    titles = [axes.title.get_window_extent() for axes in panels]
    for index, (title, axes) in enumerate(zip(titles, panels, strict=True)):
        others = [*titles[:index], *titles[index + 1 :], *(a.get_window_extent() for a in panels if a is not axes)]
        assert not any(title.overlaps(other) for other in others), axes.get_title()


def test_what_is_no_volume_is_refused(head):
    for wrong in (np.zeros((224, 224)), np.zeros((2, *SHAPE))):
        with pytest.raises(InputError, match="not a volume"):
            orthogonal_slices(wrong)
    with pytest.raises(InputError, match="outside the volume"):
        orthogonal_slices(head, voxel=(46, 0, 0))
    with pytest.raises(InputError, match="differ in shape"):
        orthogonal_slices(head).split(np.zeros((46, 55, 45)))
    with pytest.raises(InputError, match="rows and columns"):
        axial_montage(head, rows=0)

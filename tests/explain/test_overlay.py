"""The overlay picture: right way up, right side, true proportions, nothing cut off."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.image import imread

from agezoo.errors import InputError
from agezoo.explain.overlay import case_overlay_figure, split_projections, write_case_overlay
from agezoo.explain.view_layout import LATERAL, PROJECTIONS


@pytest.fixture
def image():
    projection = np.full((1, 224, 224), 0.3, dtype=np.float32)
    projection[0, 100:112, 200:] = 1.0  # coronal: patient's left, head
    projection[0, 212:224, :24] = 0.8  # sagittal: front, foot
    return projection


def test_left_is_on_the_viewers_right_and_the_front_on_the_left_and_the_head_up(image):
    coronal, sagittal = split_projections(image)
    assert coronal.shape == sagittal.shape == (224, 112)
    assert coronal[0, -1] == 1.0
    assert sagittal[-1, 0] == pytest.approx(0.8)
    assert (coronal > 0.5).sum() == (sagittal > 0.5).sum() == 12 * 24


@pytest.fixture
def radiograph():
    view = np.full((1, 256, 128), 0.3, dtype=np.float32)
    view[0, 200:, 100:] = 1.0
    return view


def test_a_lateral_view_is_shown_as_it_is_stored_and_claims_no_direction(radiograph):
    figure = case_overlay_figure(radiograph, np.zeros((256, 128)), layout=LATERAL)
    axes = figure.axes[0]
    np.testing.assert_array_equal(axes.images[0].get_array(), radiograph[0])
    box = axes.get_window_extent()
    # Square pixels are to scale without a field of view.
    assert box.width / box.height == pytest.approx(0.5, rel=0.01)
    assert not any("not to scale" in text.get_text() for text in figure.texts)
    assert not any(text.get_text() in "RLAP" for text in axes.texts if text.get_text())
    assert axes.get_title() == "lateral"


def test_pixels_of_a_lateral_view_may_be_oblong(radiograph):
    figure = case_overlay_figure(radiograph, layout=LATERAL, field_of_view_mm=(np.nan, 128 * 0.5, 256 * 1.0))
    box = figure.axes[0].get_window_extent()
    assert box.width / box.height == pytest.approx(0.25, rel=0.01)


def test_panels_have_the_bodys_proportions(image):
    figure = case_overlay_figure(image, field_of_view_mm=(380.0, 250.0, 600.0))
    coronal, sagittal = figure.axes
    for axes, width_mm in ((coronal, 380.0), (sagittal, 250.0)):
        box = axes.get_window_extent()
        assert box.width / box.height == pytest.approx(width_mm / 600.0, rel=0.01)
    assert not any("not to scale" in text.get_text() for text in figure.texts)
    assert any("not to scale" in text.get_text() for text in case_overlay_figure(image).texts)


@pytest.mark.parametrize("layout", [PROJECTIONS, LATERAL])
@pytest.mark.parametrize("field_of_view_mm", [None, (500.0, 400.0, 250.0), (200.0, 150.0, 900.0)])
def test_no_text_is_cut_off_or_runs_into_the_panels(image, layout, field_of_view_mm):
    figure = case_overlay_figure(
        image,
        np.zeros((224, 224)),
        layout=layout,
        title_lines=["case $x_1 " + "subject-0123456789-" * 9, "predicted age 63.4 ± 5.2 years"],
        banner="Phantom weights: the ages mean nothing for a real person and must not be used",
        field_of_view_mm=field_of_view_mm,
        signed=True,
    )
    figure.canvas.draw()
    whole = figure.bbox
    panels, bar = figure.axes[:-1], figure.axes[-1]
    texts = [*figure.texts, *(axes.title for axes in figure.axes), *bar.get_yticklabels()]
    for text in (*texts, bar.yaxis.label):
        box = text.get_window_extent()
        assert box.x0 >= whole.x0, text.get_text()
        assert box.x1 <= whole.x1, text.get_text()
        assert box.y0 >= whole.y0 - 1, text.get_text()
        assert box.y1 <= whole.y1 + 1, text.get_text()
    lowest_title = min(text.get_window_extent().y0 for text in figure.texts[:-1])
    assert lowest_title > max(axes.title.get_window_extent().y1 for axes in panels)


def test_heat_is_seen_where_it_is_and_anatomy_shows_through(image, tmp_path):
    saliency = np.zeros((224, 224), dtype=np.float32)
    saliency[:112, 112:] = 1.0  # upper half of the coronal view
    path = write_case_overlay(tmp_path / "case.png", image, saliency)
    plain = imread(write_case_overlay(tmp_path / "plain.png", image))
    figure = case_overlay_figure(image, saliency)
    picture = imread(path)
    box = figure.axes[0].get_position()
    height, width = picture.shape[:2]
    columns = slice(int((box.x0 + 0.25 * box.width) * width), int((box.x0 + 0.75 * box.width) * width))
    upper = picture[int((1 - box.y0 - 0.9 * box.height) * height) : int((1 - box.y0 - 0.6 * box.height) * height)]
    lower = picture[int((1 - box.y0 - 0.4 * box.height) * height) : int((1 - box.y0 - 0.1 * box.height) * height)]
    colour = [np.ptp(part[:, columns, :3], axis=-1).mean() for part in (upper, lower)]
    assert colour[0] > 0.2
    assert colour[1] < 0.01
    # The bright corner at the patient's left shoulder stays brighter than the tissue beside it.
    bright = upper[:10, int((box.x0 + 0.95 * box.width) * width), :3].sum()
    assert bright > upper[:10, int((box.x0 + 0.5 * box.width) * width), :3].sum() * 1.05
    assert np.ptp(plain[..., :3], axis=-1)[: int(0.9 * height), :].mean() < 0.02


def test_the_phantom_banner_stays_in_one_line_of_a_narrow_picture(radiograph):
    banner = "Phantom weights: this age means nothing for a real person."
    figure = case_overlay_figure(radiograph, radiograph, layout=LATERAL, banner=banner)
    assert [text.get_text() for text in figure.texts if "Phantom" in text.get_text()] == [banner]


def test_what_cannot_be_drawn_is_refused_and_leaves_no_file(image, tmp_path):
    with pytest.raises(InputError, match="pair of projections"):
        write_case_overlay(tmp_path / "case.png", image[:, :223])
    with pytest.raises(InputError, match="differ in shape"):
        write_case_overlay(tmp_path / "case.png", image, np.zeros((112, 224)))
    with pytest.raises(InputError, match="not one view"):
        write_case_overlay(tmp_path / "case.png", np.zeros((2, 8, 8)), layout=LATERAL)
    with pytest.raises(InputError, match="field of view"):
        write_case_overlay(tmp_path / "case.png", image, field_of_view_mm=(0, 1, 1))
    assert list(tmp_path.iterdir()) == []


def test_empty_image_and_empty_map_are_drawn(tmp_path):
    path = write_case_overlay(tmp_path / "empty.png", np.zeros((1, 224, 224)), np.zeros((224, 224)))
    assert path.stat().st_size > 1000

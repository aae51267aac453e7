"""The picture of a registered brain: nothing mirrored, the template's outline where the template is."""

from __future__ import annotations

import numpy as np
import pytest

from agezoo.analysis.plots.registration_overlay import plot_registration

AFFINE = np.array([[-4.0, 0, 0, 90], [0, 4, 0, -126], [0, 0, 4, -72], [0, 0, 0, 1]])
SHAPE = (46, 55, 46)


def template() -> np.ndarray:
    """An ellipsoid."""
    x, y, z = np.ogrid[:46, :55, :46]
    return ((x - 23) / 17) ** 2 + ((y - 27) / 21) ** 2 + ((z - 22) / 17) ** 2 < 1


def test_left_front_and_head_are_where_the_letters_say() -> None:
    mask = template()
    brain = np.where(mask, 1.0, 0.0)
    # Bright towards the patient's left, front and head (LAS).
    brain[23:, 27:, 22:] *= 3
    figure = plot_registration(brain, AFFINE, {"template": mask}, title="case", slices=3)
    axial, coronal, sagittal = (figure.axes[i] for i in (2, 5, 7))
    corners = {"axial": axial, "coronal": coronal, "sagittal": sagittal}
    expected = {"axial": (0, -1), "coronal": (0, -1), "sagittal": (0, 0)}
    for name, axes in corners.items():
        picture = np.asarray(axes.images[0].get_array())
        rows, columns = np.nonzero(picture == picture.max())
        top, left = rows.mean() < picture.shape[0] / 2, columns.mean() < picture.shape[1] / 2
        assert top, name
        assert left == (expected[name][1] == 0), name
        extent = axes.images[0].get_extent()
        assert (extent[1] > extent[0], extent[3] > extent[2]) == (True, True), "rows run down the page"
    letters = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert letters == ["R", "L", "R", "L", "A", "P"]


def test_slices_are_named_by_their_place_in_mni_space() -> None:
    figure = plot_registration(template().astype(float), AFFINE, {"template": template()}, title="case", slices=3)
    labels = [text.get_text() for text in figure.texts]
    # The middle slice of each plane lies at 22 or so, 27 and 23: -72 + 4 * 22, -126 + 4 * 27, 90 - 4 * 23.
    assert {"z +16", "y −18", "x −2"} <= set(labels)
    assert any(label.startswith("x +") for label in labels)


def test_the_outline_is_the_templates_and_not_the_brains() -> None:
    mask = template()
    moved = np.roll(mask, 6, axis=0).astype(float)
    figure = plot_registration(moved, AFFINE, {"template": mask}, title="case", slices=3)
    axes = figure.axes[1]
    image = np.asarray(axes.images[0].get_array())
    left, right, _, _ = axes.images[0].get_extent()
    centre_of_brain = left + (np.nonzero(image)[1].mean() + 0.5) * (right - left) / image.shape[1]
    line = np.concatenate([path.vertices for path in axes.collections[0].get_paths()])
    middle_of_outline = (line[:, 0].min() + line[:, 0].max()) / 2
    mm = (right - left) / image.shape[1] / 4
    # Moved by 24 mm towards the patient's left; the brain is cut off at the edge of what is shown.
    assert 8 * mm < centre_of_brain - middle_of_outline < 24 * mm


def test_an_empty_brain_is_drawn_and_wrong_shapes_are_refused() -> None:
    figure = plot_registration(np.zeros(SHAPE), AFFINE, {"template": template()}, title="nothing $here$", slices=2)
    assert len(figure.axes) == 6
    figure.savefig("/dev/null", format="png", dpi=20)
    for outlines in ({}, {"a": template()[:-1]}, dict.fromkeys("abc", template())):
        with pytest.raises(ValueError, match="one or two outlines"):
            plot_registration(np.zeros(SHAPE), AFFINE, outlines, title="case")

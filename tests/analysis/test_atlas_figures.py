"""Slices of the atlas: nothing mirrored, the right slices, one scale."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from atlas_folder import SHAPE, label_volume

from agezoo.analysis.plots.atlas_groups import plot_comparison
from agezoo.analysis.plots.atlas_maps import MapBlock, MapScale, plot_maps
from agezoo.analysis.plots.atlas_planes import BodySlice, choose_slices
from agezoo.analysis.plots.atlas_regions import plot_enrichment

WHOLE = tuple(slice(0, n) for n in SHAPE)


def test_left_front_and_head_are_where_the_letters_say() -> None:
    volume = np.zeros(SHAPE)
    # Towards the patient's left, front and head (LAS).
    volume[20, 15, 35] = 1
    for part, left_half, ends in (
        (BodySlice(2, 35), False, ("R", "L")),
        (BodySlice(1, 15), False, ("R", "L")),
        (BodySlice(0, 20), True, ("A", "P")),
    ):
        cut = part.cut(volume, WHOLE)
        ((row, column),) = np.argwhere(cut == 1)
        assert row < cut.shape[0] / 2, part.name
        assert (column < cut.shape[1] / 2) == left_half, part.name
        assert part.ends == ends


def test_slices_go_through_the_hot_spots() -> None:
    _, mask = label_volume()
    weight = mask * 0.1
    weight[12, 10, 30] = weight[12, 10, 10] = 8.0
    choice = choose_slices(weight, mask, (20.0, 20.0, 20.0), stack=2)
    assert [(part.name, part.index) for part in choice.slices] == [
        ("coronal", 10), ("sagittal", 12), ("axial", 30), ("axial", 10),
    ]  # fmt: skip
    # The body lies in 2..21, 2..15 and 1..38; a margin of one voxel.
    assert [(part.start, part.stop) for part in choice.window] == [(1, 23), (1, 17), (0, 40)]
    assert len(choose_slices(np.zeros(SHAPE), mask, (20.0,) * 3).slices) == 5


def test_groups_have_one_colour_scale_and_true_proportions() -> None:
    labels, mask = label_volume()
    choice = choose_slices(mask * 1.0, mask, (20.0, 20.0, 20.0))
    blocks = [MapBlock("one", choice.cuts(mask * 1.0)), MapBlock("two $x$", choice.cuts(mask * 0.5))]
    blocks.append(MapBlock("difference", choice.cuts(mask * 0.5), 1, choice.cuts(labels == 1)))
    figure = plot_maps(
        blocks, choice, choice.cuts(mask * 1.0), choice.cuts(labels), (20.0, 20.0, 20.0),
        scales=[MapScale(2.0, "x"), MapScale(0.7, "d", signed=True)], title="t",
    )  # fmt: skip
    page = figure.axes[0]
    _, width, _, height = (*page.get_xlim(), *page.get_ylim())
    assert (width, height) == tuple(figure.get_size_inches())
    maps = page.images[1::2]
    edges = []
    for image in maps:
        left, right, bottom, top = image.get_extent()
        rows, columns = np.asarray(image.get_array()).shape
        assert (right - left) / columns == pytest.approx((top - bottom) / rows)
        assert 0 <= left < right <= width
        assert 0 <= bottom < top <= height
        edges.append((right - left) / columns)
    assert max(edges[:2]) == pytest.approx(min(edges[:2])), "coronal and sagittal slices have one scale"
    assert [image.get_clim() for image in maps] == [(0, 2.0)] * 10 + [(-0.7, 0.7)] * 5
    assert "yellow: q < 0.05" in figure.texts[-1].get_text()
    figure.savefig("/dev/null", format="png", dpi=20)


def test_a_region_that_was_not_tested_is_drawn() -> None:
    rows = pd.DataFrame({"region": ["heart_wall", "liver"], "enrichment": [2.0, 1.0]})
    empty = ("enrichment_low", "enrichment_high", "null_low", "null_high", "p_more_adjusted", "enrichment_corrected")
    figure = plot_enrichment(rows.assign(**dict.fromkeys(empty, np.nan)), title="t")
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["heart wall", "liver"]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["not tested"]
    assert [text.get_text() for text in axes.texts] == ["2.00", "1.00"]


def test_brightness_without_spill_over_is_shown_where_it_is_known() -> None:
    rows = pd.DataFrame(
        {"region": ["heart", "pancreas"], "enrichment": [2.0, 1.5], "enrichment_corrected": [2.6, np.nan]}
    )
    empty = ("enrichment_low", "enrichment_high", "null_low", "null_high", "p_more_adjusted")
    axes = plot_enrichment(rows.assign(**dict.fromkeys(empty, np.nan)), title="t").axes[0]
    diamonds = next(part for part in axes.collections if part.get_label() == "without spill-over")
    assert diamonds.get_offsets().compressed().tolist() == [2.6, 1.0]
    assert axes.get_xlim()[1] > 2.6


def test_clear_differences_are_filled() -> None:
    rows = pd.DataFrame({"region": ["a", "b"], "enrichment_difference": [0.5, 0.1], "p_adjusted": [0.01, 0.2]})
    rows = rows.assign(enrichment_difference_low=-0.2, enrichment_difference_high=0.7)
    axes = plot_comparison([("m", rows)], ["a", "b"], title="t", x="x").axes[0]
    filled, hollow = axes.collections[1:3]
    assert np.asarray(filled.get_offsets()).tolist() == [[0.5, 1.0]]
    assert np.asarray(hollow.get_offsets()).tolist() == [[0.1, 0.0]]
    assert np.asarray(hollow.get_facecolor())[0, :3].tolist() == [1, 1, 1]


def test_outlines_lie_on_their_regions() -> None:
    labels, mask = label_volume()
    choice = choose_slices((labels == 1) * 1.0, mask, (20.0, 20.0, 20.0))
    only_heart = np.where(labels == 1, 1, 0)
    figure = plot_maps(
        [MapBlock("heart", choice.cuts(only_heart * 1.0))], choice, choice.cuts(mask * 1.0), choice.cuts(only_heart),
        (20.0, 20.0, 20.0), scales=[MapScale(1.0, "x")], title="t",
    )  # fmt: skip
    page = figure.axes[0]
    image, lines = page.images[1], page.collections[0].get_paths()
    rows, columns = np.nonzero(np.asarray(image.get_array()))
    left, right, _, top = image.get_extent()
    edge = (right - left) / np.asarray(image.get_array()).shape[1]
    (line,) = [path.vertices for path in lines]
    # Half way between the centres of the last voxel inside and the first outside.
    assert line[:, 0].min() == pytest.approx(left + columns.min() * edge)
    assert line[:, 0].max() == pytest.approx(left + (columns.max() + 1) * edge)
    assert line[:, 1].max() == pytest.approx(top - rows.min() * edge)
    assert line[:, 1].min() == pytest.approx(top - (rows.max() + 1) * edge)

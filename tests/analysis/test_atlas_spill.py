"""Spill-over between regions: what a blur mixes is unmixed, and what is too small for it is not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from agezoo.analysis.atlas_spill import MIN_RECOVERY, cell_edges, spill_over

SPACING_MM = (4.0, 4.0, 6.0)
CELL_MM = (20.0, 20.0, 18.0)


def body() -> tuple[np.ndarray, np.ndarray]:
    """A bright organ, 1, with a small one, 3, and a large dark one, 2, beside it; 4 has no voxel."""
    labels = np.zeros((32, 32, 24), dtype=np.int32)
    mask = np.zeros(labels.shape, dtype=bool)
    mask[2:30, 2:30, 2:22] = True
    labels[6:16, 8:24, 6:18] = 1
    labels[16:26, 8:24, 6:18] = 2
    labels[12:15, 6:8, 10:12] = 3
    return labels, mask


def seen(labels: np.ndarray, mask: np.ndarray, brightness: dict[int, float]) -> np.ndarray:
    """Shares of regions 1 to 4 in a map of even regions that was blurred by a cell; 0 is the rest of the body."""
    even = np.zeros(labels.shape)
    for value, height in brightness.items():
        even[(labels == value) & mask] = height
    sd = np.asarray(CELL_MM) / np.asarray(SPACING_MM) / 2.3548
    blurred = np.where(mask, gaussian_filter(even, sd, mode="constant"), 0)
    return np.array([blurred[labels == value].sum() for value in (1, 2, 3, 4)]) / blurred.sum()


def test_what_a_cell_mixes_is_unmixed() -> None:
    labels, mask = body()
    spill = spill_over(labels, mask, (1, 2, 3, 4), cell_mm=CELL_MM, spacing_mm=SPACING_MM)
    true = {0: 1.0, 1: 6.0, 2: 0.5, 3: 1.0}
    shares = np.stack([seen(labels, mask, true), seen(labels, mask, {**true, 1: 3.0})])
    found = spill.without(shares)
    # Relative to the mean brightness, so ratios are what was put in.
    assert found[0, 0] / found[0, 1] == pytest.approx(12.0, rel=1e-3)
    assert found[1, 0] / found[1, 1] == pytest.approx(6.0, rel=1e-3)
    volumes = np.array([((labels == value) & mask).sum() for value in (0, 1, 2)]) / mask.sum()
    mean = volumes @ [1.0, 6.0, 0.5]
    assert found[0, 0] == pytest.approx(6.0 / mean, rel=1e-2)
    as_seen = shares[0] / spill.volume_shares[:4].clip(1e-9)
    assert as_seen[0] / as_seen[1] < 6, "the blur had hidden half of it"


def test_a_region_smaller_than_a_cell_gets_no_value() -> None:
    labels, mask = body()
    spill = spill_over(labels, mask, (1, 2, 3, 4), cell_mm=CELL_MM, spacing_mm=SPACING_MM)
    assert spill.recovery[0] > 0.6
    assert spill.recovery[2] < MIN_RECOVERY
    assert np.isnan(spill.recovery[3])
    found = spill.without(seen(labels, mask, {0: 1.0, 1: 6.0, 2: 0.5, 3: 1.0})[None])[0]
    assert np.isfinite(found[:2]).all()
    assert np.isnan(found[2:]).all()


def test_cells_as_small_as_voxels_change_nothing() -> None:
    labels, mask = body()
    spill = spill_over(labels, mask, (1, 2, 3), cell_mm=(0.4, 0.4, 0.4), spacing_mm=SPACING_MM)
    np.testing.assert_allclose(spill.recovery, 1.0, atol=1e-6)
    shares = np.array([[0.5, 0.1, 0.02]])
    np.testing.assert_allclose(spill.without(shares), shares / spill.volume_shares[:3], rtol=1e-5)


def test_brightness_is_never_negative() -> None:
    labels, mask = body()
    spill = spill_over(labels, mask, (1, 2), cell_mm=CELL_MM, spacing_mm=SPACING_MM)
    # Less in region 2 than region 1 alone would spill into it.
    found = spill.without(np.array([[0.9, 0.01]]))
    assert found[0, 1] == 0
    assert spill.without(np.empty((0, 2))).shape == (0, 2)


@pytest.mark.parametrize("edges", [None, [1.0, 2.0], "22", [1.0, None, 2.0]])
def test_unknown_cells(edges: object) -> None:
    assert cell_edges({"map_cell_mm": edges}) is None


def test_known_cells() -> None:
    assert cell_edges({}) is None
    assert cell_edges({"map_cell_mm": [22, 22.5, 30]}) == (22.0, 22.5, 30.0)

"""Scores of one map against regions, within the patient."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from agezoo.explain.region_scores import ALL_REGIONS, CaseRegions, random_scores, region_scores

PATIENT = np.zeros((8, 8), dtype=bool)
PATIENT[:, :4] = True


def _mask(*places):
    mask = np.zeros((8, 8), dtype=bool)
    for place in places:
        mask[place] = True
    return mask


def _regions(tolerance_voxels=0.0, **masks):
    return CaseRegions.of(masks, PATIENT, tolerance_voxels=tolerance_voxels)


def test_union_comes_first_and_holds_only_what_is_in_the_patient():
    regions = _regions(a=_mask((0, 0), (0, 7)), outside=_mask((3, 6)), b=_mask((1, 1)))
    assert list(regions.inside) == list(regions.near) == [ALL_REGIONS, "a", "b"]
    assert list(regions.parts) == ["a", "b"]
    np.testing.assert_array_equal(np.argwhere(regions.inside[ALL_REGIONS]), [[0, 0], [1, 1]])
    assert _regions(outside=_mask((3, 6))) is None


def test_saliency_beside_the_patient_does_not_count():
    saliency = np.zeros((8, 8))
    saliency[0, 0], saliency[5, 2], saliency[2, 6] = 1.0, 3.0, 100.0
    masks = {"a": _mask((0, 0)), "b": _mask((5, 3))}
    scores = region_scores(saliency, _regions(**masks))
    assert scores["a"] == {"pointing_hit": 0.0, "energy_inside": 0.25, "area_share": 1 / 32}
    assert scores["b"]["pointing_hit"] == 0.0
    near = region_scores(saliency, _regions(1.0, **masks))
    assert (near["b"]["pointing_hit"], near["b"]["energy_inside"]) == (1.0, 0.0)


def test_an_empty_map_is_a_miss():
    scores = region_scores(np.zeros((8, 8)), _regions(a=_mask((0, 0))))
    assert (scores["a"]["pointing_hit"], scores["a"]["energy_inside"]) == (0.0, 0.0)


def test_random_maps_get_the_area_share():
    patient = np.zeros((112, 112), dtype=bool)
    patient[:, 10:100] = True
    region = np.zeros_like(patient)
    region[30:80, 40:70] = True
    scores = random_scores(CaseRegions.of({"a": region}, patient, tolerance_voxels=0), coarse_shape=(14, 14), seed=3)
    assert scores["a"]["area_share"] == pytest.approx(50 * 30 / (112 * 90))
    assert scores["a"]["energy_inside"] == pytest.approx(scores["a"]["area_share"], rel=0.1)


@pytest.mark.parametrize("tolerance", [0.0, 0.9, 2.5, 40.0])
def test_places_near_a_region_are_those_of_the_whole_image(tolerance):
    region = np.zeros((12, 9, 30), dtype=bool)
    region[0, 2, 20:23] = region[5, 8, 4] = True
    regions = CaseRegions.of({"a": region}, np.ones_like(region), tolerance_voxels=tolerance)
    np.testing.assert_array_equal(regions.near["a"], ndimage.distance_transform_edt(~region) <= tolerance)

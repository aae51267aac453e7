"""Voxel-wise comparison of two groups' maps against SciPy's on the maps themselves."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.stats import ttest_ind

from agezoo.analysis.atlas_volumes import GroupMaps, compare_maps, consistency, read_volume, write_volume
from agezoo.errors import InputError

SHAPE = (4, 5, 3)
MASK = np.ones(SHAPE, dtype=bool)
MASK[0] = False


def summary(maps: np.ndarray) -> GroupMaps:
    count = np.full(SHAPE, len(maps), dtype=np.float32)
    return GroupMaps(maps.mean(axis=0).astype(np.float32), maps.std(axis=0, ddof=1).astype(np.float32), count)


def two_groups() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    one, other = rng.normal(1, 0.2, (15, *SHAPE)), rng.normal(1, 0.5, (25, *SHAPE))
    one[:, 1, 2, 1] += 2
    return one, other


def test_welch_and_false_discovery_rate() -> None:
    one, other = two_groups()
    found = compare_maps(summary(one), summary(other), MASK)
    expected = ttest_ind(one, other, equal_var=False)
    np.testing.assert_allclose(found.t[MASK], expected.statistic[MASK], rtol=1e-4)
    assert found.n_tested == MASK.sum() == 45
    # Benjamini and Hochberg by their definition: the smallest m p / rank of this rank or a higher one.
    p = np.sort(expected.pvalue[MASK])
    by_rank = np.minimum.accumulate((p * 45 / np.arange(1, 46))[::-1])[::-1]
    np.testing.assert_allclose(np.sort(found.q[MASK]), by_rank, rtol=1e-3)
    assert np.argwhere(found.q < 0.05).tolist() == [[1, 2, 1]]
    assert (found.t[~MASK] == 0).all()
    assert (found.q[~MASK] == 1).all()
    assert (found.difference[~MASK] == 0).all()


def test_copies_of_people_add_no_certainty() -> None:
    one, other = two_groups()
    once = compare_maps(summary(one), summary(other), MASK)
    maps = summary(one)
    doubled = GroupMaps(maps.mean, maps.sd, 2 * maps.count)
    twice = compare_maps(doubled, summary(other), MASK, people_per_scan=(0.5, 1.0))
    np.testing.assert_allclose(twice.q, once.q, rtol=1e-5)


def test_few_people_and_constant_voxels_are_not_tested() -> None:
    one, other = two_groups()
    assert compare_maps(summary(one[:9]), summary(other), MASK).n_tested == 0
    assert compare_maps(summary(one[:10]), summary(other), MASK).n_tested == 45
    one[:, 2, 2, 2] = other[:, 2, 2, 2] = 0.3
    few = summary(one)
    few.count[3, 0, 0] = 2
    found = compare_maps(few, summary(other), MASK)
    assert found.n_tested == 43
    assert found.q[2, 2, 2] == found.q[3, 0, 0] == 1


def test_consistency() -> None:
    maps = summary(two_groups()[0])
    maps.sd[1, 1, 1] = 0
    found = consistency(maps, MASK)
    assert found[2, 2, 2] == pytest.approx(maps.mean[2, 2, 2] / maps.sd[2, 2, 2])
    assert found[1, 1, 1] == found[0, 0, 0] == 0


def test_volumes_are_read_towards_left_front_and_head(tmp_path: Path) -> None:
    ras = np.zeros((3, 4, 5), dtype=np.float32)
    # The patient's rightmost voxel: the first towards left.
    ras[2, 1, 4] = 7
    path = tmp_path / "v.nii.gz"
    nib.save(nib.Nifti1Image(ras, np.diag([2.0, 3, 4, 1])), path)
    values, affine = read_volume(path)
    assert values[0, 1, 4] == 7
    assert affine[0, 0] == -2
    write_volume(tmp_path / "w.nii.gz", values, affine)
    again, _ = read_volume(tmp_path / "w.nii.gz", like=values)
    np.testing.assert_array_equal(again, values)
    with pytest.raises(InputError, match="not on the template's grid"):
        read_volume(path, like=np.zeros((3, 4, 6)))
    path.write_bytes(b"no volume")
    with pytest.raises(InputError, match=r"v\.nii\.gz: the volume cannot be read"):
        read_volume(path)

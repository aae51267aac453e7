"""Dixon volumes in NIfTI files: told apart by whole words in their names, on one grid, upright."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from agezoo.data.dixon import read_dixon
from agezoo.data.dixon_nifti import split_name
from agezoo.errors import InputError

RAS = np.array([[2.0, 0, 0, -9], [0, 2.0, 0, -7], [0, 0, 3.0, -100], [0, 0, 0, 1]])


def write(path: Path, *, value: int = 0, shape: tuple[int, int, int] = (10, 8, 6), affine: np.ndarray = RAS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    voxels = (value + np.arange(np.prod(shape))).reshape(shape).astype(np.int16)
    nib.save(nib.Nifti1Image(voxels, affine), path)
    return path


@pytest.mark.parametrize(
    ("name", "subject", "contrast"),
    [
        ("water.nii.gz", "", "water"),
        ("sub-1_fat.nii.gz", "sub-1", "fat"),
        ("sub-1_water_stitched.nii", "sub-1_stitched", "water"),
        ("P7_W.nii.gz", "P7", "water"),
        ("P7-in-phase.nii", "P7", "in"),
        ("P7_out_of_phase.nii", "P7", "opposed"),
        ("P7_opp.nii", "P7", "opposed"),
        ("P7_F_water.nii", "P7_F", "water"),
        # Parts of words, single letters inside, maps and masks tell nothing.
        ("waterloo.nii", "waterloo", None),
        ("F_1.nii", "F_1", None),
        ("P7_fat_fraction.nii", "P7_fat_fraction", None),
        ("P7_water_mask.nii", "P7_water_mask", None),
    ],
)
def test_names(name, subject, contrast):
    assert split_name(Path(name)) == (subject, contrast)


def test_a_name_with_two_contrasts_is_refused():
    with pytest.raises(InputError, match="tells several contrasts; found: water and fat"):
        split_name(Path("water_fat.nii.gz"))


def test_one_volume_is_water(tmp_path):
    path = write(tmp_path / "body.nii.gz")
    scan = read_dixon(path)
    (station,) = scan.stations
    assert scan.contrasts == ("water",)
    # Stored towards the right, wanted towards the left.
    assert np.array_equal(station.images["water"], np.arange(480).reshape(10, 8, 6)[::-1])
    assert np.allclose(station.affine, [[-2, 0, 0, 9], [0, 2, 0, -7], [0, 0, 3, -100], [0, 0, 0, 1]])
    assert (scan.facts.n_slices, scan.facts.age_years) == (6, None)


@pytest.mark.parametrize("kind", ["folder", "list"])
def test_a_set_of_contrasts(tmp_path, kind):
    names = ("sub-1_water.nii.gz", "sub-1_fat.nii.gz", "sub-1_ip.nii.gz", "sub-1_opp.nii.gz")
    files = [write(tmp_path / "set" / name, value=1000 * index) for index, name in enumerate(names)]
    if kind == "folder":
        write(tmp_path / "set" / "sub-1_mask.nii.gz", shape=(3, 3, 3))
    scan = read_dixon(tmp_path / "set" if kind == "folder" else files[::-1])
    assert scan.contrasts == ("water", "fat", "in", "opposed")
    assert [int(voxels.min()) for voxels in scan.stations[0].images.values()] == [0, 1000, 2000, 3000]
    passed = ("1 NIfTI files passed over whose names tell no Dixon contrast",) if kind == "folder" else ()
    assert scan.facts.notes == passed


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["a.nii", "b.nii"], "names do not tell which is the water image; found: a.nii, b.nii"),
        (["a_fat.nii"], "names do not tell which is the water image; found: a_fat.nii"),
        (["a_water.nii", "b_water.nii"], "two files are water images by their names; found: a_water.nii and b_water"),
    ],
)
def test_names_that_do_not_tell(tmp_path, names, words):
    files = [write(tmp_path / name) for name in names]
    for source in (tmp_path, files):
        with pytest.raises(InputError, match=words):
            read_dixon(source)


def test_a_listed_file_is_never_passed_over(tmp_path):
    files = [write(tmp_path / name) for name in ("water.nii", "other.nii")]
    with pytest.raises(InputError, match=r"do not tell which is the water image; found: other\.nii"):
        read_dixon(files)


def test_contrasts_on_different_grids(tmp_path):
    water = write(tmp_path / "water.nii")
    moved = RAS.copy()
    moved[2, 3] += 4
    with pytest.raises(InputError, match=r"do not share one geometry; found: .* up to 4\.0 mm apart"):
        read_dixon([water, write(tmp_path / "fat.nii", affine=moved)])
    with pytest.raises(InputError, match="water 10 x 8 x 6 and fat 10 x 8 x 5 voxels"):
        read_dixon([water, write(tmp_path / "fat.nii", shape=(10, 8, 5))])


def test_kinds_are_not_mixed_and_places_must_exist(tmp_path):
    water = write(tmp_path / "water.nii")
    other = tmp_path / "visit.zip"
    other.write_bytes(b"")
    with pytest.raises(InputError, match="several kinds, or several archives; found: 1 zip archive, 1 NIfTI file"):
        read_dixon([water, other])
    with pytest.raises(InputError, match="holds archives, not images; found: 1 zip archive"):
        read_dixon(tmp_path)
    with pytest.raises(InputError, match="the list of files is empty"):
        read_dixon([])
    for source in (tmp_path / "none", [tmp_path / "none"]):
        with pytest.raises(InputError, match="there is no such file"):
            read_dixon(source)

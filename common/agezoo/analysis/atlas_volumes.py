"""The volumes of an atlas on its template's grid, and what differs between groups voxel by voxel."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control
from scipy.stats import t as student

from agezoo.data.atomic import written_atomically
from agezoo.errors import InputError

Volume = NDArray[np.float32]

# An SD below this share of the mean is rounding of the files.
_ROUNDING = 1e-6


@dataclass(frozen=True, eq=False)
class TemplateVolumes:
    """The template, axes towards left, front and head (LAS).

    Attributes
    ----------
    water
        Anatomy, shape (X, Y, Z).
    labels
        Label of each voxel's region, 0 for none.
    mask
        The body.
    affine
        4x4, voxel index to RAS+ mm.
    """

    water: Volume
    labels: NDArray[np.int32]
    mask: NDArray[np.bool_]
    affine: np.ndarray

    @property
    def spacing_mm(self) -> tuple[float, ...]:
        """Edges of a voxel."""
        return tuple(float(edge) for edge in np.linalg.norm(self.affine[:3, :3], axis=0))


@dataclass(frozen=True, eq=False)
class GroupMaps:
    """Mean, SD and number of scans per voxel of one group, shape (X, Y, Z) each."""

    mean: Volume
    sd: Volume
    count: Volume


@dataclass(frozen=True, eq=False)
class MapDifference:
    """Two groups' mean maps compared in each voxel.

    Attributes
    ----------
    difference
        Mean of the first minus mean of the second group; 0 outside the body.
    t
        Welch's t; 0 where not tested.
    q
        p value corrected over the tested voxels (Benjamini and Hochberg); 1 where not tested.
    n_tested
        Voxels that were tested.
    """

    difference: Volume
    t: Volume
    q: Volume
    n_tested: int


def read_template(folder: Path) -> TemplateVolumes:
    """Read ``template/`` of an atlas.

    Raises
    ------
    InputError
        If a volume cannot be read or the volumes do not have one grid.
    """
    water, affine = read_volume(folder / "template" / "water.nii.gz")
    labels, _ = read_volume(folder / "template" / "labels.nii.gz", like=water)
    mask, _ = read_volume(folder / "template" / "mask.nii.gz", like=water)
    if not (mask > 0).any():
        raise InputError("the mask of the body is empty", source=folder / "template" / "mask.nii.gz")
    return TemplateVolumes(water, np.rint(labels).astype(np.int32), mask > 0, affine)


def has_maps(folder: Path, group: str) -> bool:
    """Whether mean, SD and count of a group are there."""
    return all(map_path(folder, group, kind).is_file() for kind in ("mean", "sd", "count"))


def map_path(folder: Path, group: str, kind: str) -> Path:
    """File of one of a group's maps: ``mean``, ``sd``, ``count`` or ``signed_mean``."""
    return folder / "population" / f"{group}_{kind}.nii.gz"


def read_group(folder: Path, group: str, *, like: np.ndarray) -> GroupMaps:
    """Read mean, SD and count maps of a group; they must have the shape of ``like``."""
    mean, sd, count = (read_volume(map_path(folder, group, kind), like=like)[0] for kind in ("mean", "sd", "count"))
    return GroupMaps(mean, sd, count)


def read_volume(path: Path, *, like: np.ndarray | None = None) -> tuple[Volume, np.ndarray]:
    """A NIfTI volume as float32 (X, Y, Z) in LAS order, and its affine."""
    import nibabel as nib
    from nibabel.filebasedimages import ImageFileError
    from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

    try:
        image: Any = nib.load(path)
        image = image.as_reoriented(ornt_transform(io_orientation(image.affine), axcodes2ornt(("L", "A", "S"))))
        values = np.asarray(image.dataobj, dtype=np.float32)
    except (ImageFileError, OSError, EOFError, ValueError) as error:
        raise InputError("the volume cannot be read", source=path, found=error) from error
    if values.ndim != 3 or (like is not None and values.shape != like.shape):
        raise InputError(
            "the volume is not on the template's grid",
            source=path,
            found=f"shape {values.shape}",
            expected="three axes" if like is None else f"shape {like.shape}",
        )
    return values, np.asarray(image.affine)


def write_volume(path: Path, values: np.ndarray, affine: np.ndarray) -> None:
    """Write float32 values as NIfTI, whole or not at all."""
    import nibabel as nib

    with written_atomically(path) as temporary:
        image = nib.Nifti1Image(np.asarray(values, dtype=np.float32), affine)
        # Without a time in the header, equal maps are equal files.
        temporary.write_bytes(gzip.compress(image.to_bytes(), compresslevel=4, mtime=0))


def consistency(maps: GroupMaps, mask: NDArray[np.bool_]) -> Volume:
    """Mean over SD between scans in the body: how alike people are in a voxel; 0 where the SD is 0 or unknown."""
    known = mask & (maps.count > 1) & (maps.sd > _ROUNDING * np.abs(maps.mean))
    result = np.zeros(mask.shape, dtype=np.float32)
    result[known] = maps.mean[known] / maps.sd[known]
    return result


def compare_maps(
    first: GroupMaps,
    second: GroupMaps,
    mask: NDArray[np.bool_],
    *,
    people_per_scan: tuple[float, float] = (1.0, 1.0),
    min_people: int = 10,
) -> MapDifference:
    """Welch's t test in each voxel of the body, corrected with the false discovery rate.

    Parameters
    ----------
    first, second
        The groups' maps.
    mask
        The body.
    people_per_scan
        People over scans of each group. Several scans of a person are no independent observations, so counts are
        reduced by it; this is careful, as if they were copies.
    min_people
        Voxels with fewer people in either group are not tested.

    References
    ----------
    Welch BL. Biometrika 1947;34:28-35. Benjamini Y, Hochberg Y. J R Stat Soc B 1995;57:289-300.
    """
    n_one, n_two = (maps.count * np.float32(part) for maps, part in zip((first, second), people_per_scan, strict=True))
    # Counts are whole people but for rounding.
    enough = mask & (np.minimum(n_one, n_two) > min_people - 1e-3)
    part_one, part_two = (
        maps.sd[enough].astype(np.float64) ** 2 / n for maps, n in ((first, n_one[enough]), (second, n_two[enough]))
    )
    variance = part_one + part_two
    size = np.maximum(np.abs(first.mean[enough]), np.abs(second.mean[enough])).astype(np.float64)
    varies = variance > (_ROUNDING * size) ** 2
    tested = np.flatnonzero(enough)[varies]
    difference = np.where(mask, first.mean - second.mean, 0).astype(np.float32)
    t, q = np.zeros(mask.shape, dtype=np.float32), np.ones(mask.shape, dtype=np.float32)
    if tested.size:
        part_one, part_two, variance = part_one[varies], part_two[varies], variance[varies]
        freedom = variance**2 / (part_one**2 / (n_one.flat[tested] - 1) + part_two**2 / (n_two.flat[tested] - 1))
        values = difference.flat[tested] / np.sqrt(variance)
        t.flat[tested] = values
        q.flat[tested] = false_discovery_control(2 * student.sf(np.abs(values), freedom))
    return MapDifference(difference, t, q, int(tested.size))

"""Coarse whole bodies for registration, and the template that a population's maps are carried to."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from agezoo.data.atomic import written_atomically
from agezoo.data.atomic_folder import folder_written_atomically
from agezoo.data.masked_cohort import label_names, read_labels
from agezoo.data.nifti import read_nifti
from agezoo.errors import InputError
from agezoo.transforms.brain.head_grid import blurred_to, sampled, world_grid
from agezoo.transforms.labels_on_grid import labels_on_grid

SPACING_MM = 6.0
"""Edge of a template's voxels unless another is asked for."""

# A voxel belongs to the body if its water and fat together reach this part of what tissue has.
_BODY_SHARE = 0.3
# Gaps narrower than this are closed: dim skin, vessels at the edge.
_GAP_MM = 12.0
# Arms that do not touch the trunk are pieces of their own.
_SMALLEST_PIECE_SHARE = 0.01
# Added below the line of a fraction, in parts of what tissue has, so that air and lung come out near 0.
_AIR = 0.15


@dataclass(frozen=True, eq=False)
class CoarseBody:
    """A body on a grid of cubic voxels in LAS.

    Attributes
    ----------
    water, fat
        float32 (X, Y, Z), in parts of what tissue has; fat None if unknown.
    mask
        bool, the body with its lungs and bowels.
    affine
        Voxel index to RAS mm (4, 4).
    """

    water: np.ndarray
    fat: np.ndarray | None
    mask: np.ndarray
    affine: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the grid."""
        return tuple(self.water.shape)

    @property
    def spacing_mm(self) -> float:
        """Edge of a voxel."""
        return float(np.linalg.norm(self.affine[:3, 0]))

    @cached_property
    def contrast(self) -> np.ndarray:
        """One image for registration: 1 in water, -1 in fat, 0 in air, lung and outside; float32.

        A ratio of water and fat knows no coil shading and no steps between stations. Without fat, the water alone.
        """
        return contrast_of(self.water, self.fat, self.mask)


def contrast_of(water: np.ndarray, fat: np.ndarray | None, mask: np.ndarray) -> np.ndarray:
    """See :attr:`CoarseBody.contrast`; for a template that shall be compared with a body without fat, leave fat out."""
    values = np.clip(water, 0, 1.5) if fat is None else (water - fat) / (water + fat + _AIR)
    return np.where(mask, values, 0).astype(np.float32)


def coarse_body(
    water: np.ndarray, fat: np.ndarray | None, affine: np.ndarray, *, spacing_mm: float = SPACING_MM, source: str = ""
) -> CoarseBody:
    """Bring a stitched body to cubic voxels: blurred to their size, sampled, scaled to tissue, with its mask.

    Parameters
    ----------
    water, fat
        (X, Y, Z) on one grid, any unit; fat None if unknown.
    affine
        Voxel index to RAS mm (4, 4).
    spacing_mm
        Edge of the new voxels.
    source
        For messages.

    Raises
    ------
    InputError
        If there is no body.
    """
    grid_affine, shape = world_grid(water.shape, affine, spacing_mm)
    images = [
        sampled(blurred_to(image, affine, spacing_mm), affine, grid_affine, shape)
        for image in (water, fat)
        if image is not None
    ]
    total = np.sum(images, axis=0)
    tissue = _tissue_level(total)
    if not tissue > 0:
        raise InputError("no body was found in the volume", source=source or None, found="no signal")
    return CoarseBody(
        (images[0] / tissue).astype(np.float32),
        (images[1] / tissue).astype(np.float32) if fat is not None else None,
        body_mask(total / tissue, spacing_mm),
        grid_affine,
    )


def body_mask(total: np.ndarray, spacing_mm: float) -> np.ndarray:
    """The body in water plus fat, in parts of what tissue has: pieces of some size, closed in every axial slice.

    Lungs and bowels are filled slice by slice, because they are open where the field of view ends.
    """
    tissue = total > _BODY_SHARE
    steps = round(_GAP_MM / 2 / spacing_mm)
    if steps:
        tissue = ndimage.binary_closing(np.pad(tissue, steps), iterations=steps)[(slice(steps, -steps),) * 3]
    pieces, n_pieces = ndimage.label(tissue)
    if n_pieces:
        sizes = np.bincount(pieces.ravel())
        sizes[0] = 0
        tissue = (sizes >= _SMALLEST_PIECE_SHARE * sizes.max())[pieces]
    return np.stack([ndimage.binary_fill_holes(tissue[..., z]) for z in range(tissue.shape[2])], axis=2)


@dataclass(frozen=True, eq=False)
class BodyTemplate:
    """Where a population's maps meet.

    Attributes
    ----------
    body
        Mean water and fat and the body's mask.
    labels
        uint8 (X, Y, Z) on the body's grid; None if it has no regions yet.
    names
        Regions and their values in `labels`.
    facts
        How it came to be, for ``template.json``.
    """

    body: CoarseBody
    labels: np.ndarray | None = None
    names: Mapping[str, int] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def mask(self) -> np.ndarray:
        """The body and every region, bool."""
        return self.body.mask if self.labels is None else self.body.mask | (self.labels > 0)

    def write(self, folder: str | Path) -> Path:
        """Write ``water``, ``fat``, ``mask`` and ``labels`` (``.nii.gz``), ``labels.json`` and ``template.json``."""
        body = self.body
        with folder_written_atomically(folder) as fresh:
            write_volume(fresh / "water.nii.gz", body.water, body.affine)
            if body.fat is not None:
                write_volume(fresh / "fat.nii.gz", body.fat, body.affine)
            write_volume(fresh / "mask.nii.gz", self.mask.astype(np.uint8), body.affine)
            if self.labels is not None:
                write_volume(fresh / "labels.nii.gz", self.labels.astype(np.uint8), body.affine)
                _write_json(fresh / "labels.json", dict(self.names))
            _write_json(fresh / "template.json", dict(self.facts))
        return Path(folder)


def read_template(
    folder: str | Path, *, spacing_mm: float | None = None, labels: str | Path | None = None
) -> BodyTemplate:
    """Read a template: one that :meth:`BodyTemplate.write` wrote, or one from elsewhere.

    Parameters
    ----------
    folder
        With ``water.nii.gz`` and, if known, ``fat.nii.gz``, ``mask.nii.gz`` (else the body is found in water and fat),
        ``labels.nii.gz`` with ``labels.json`` and ``template.json``. Water and fat lie on one grid; mask and labels lie
        anywhere in the same space.
    spacing_mm
        Edge of the voxels; None keeps the template's if they are cubes, else takes :data:`SPACING_MM`.
    labels
        Another label volume in the template's space, with ``labels.json`` beside it.

    Raises
    ------
    InputError
        If a file is missing or cannot be read.
    """
    folder = Path(folder)
    path = folder / "water.nii.gz"
    if not path.is_file():
        raise InputError(
            "no template there", source=folder, expected="a folder with water.nii.gz, fat.nii.gz and labels.nii.gz"
        )
    water, affine = _read_image(path)
    fat = None
    if (folder / "fat.nii.gz").is_file():
        fat, other = _read_image(folder / "fat.nii.gz")
        if fat.shape != water.shape or not np.allclose(other, affine, atol=1e-2):
            raise InputError("water and fat of the template lie on different grids", source=folder)
    edges = np.linalg.norm(affine[:3, :3], axis=0)
    cubic = bool(np.ptp(edges) < 1e-3)
    wanted = spacing_mm or (float(edges[0]) if cubic else SPACING_MM)
    facts_path = folder / "template.json"
    own = facts_path.is_file()
    facts = json.loads(facts_path.read_text(encoding="utf-8")) if own else {"origin": "given"}
    if cubic and abs(wanted - edges[0]) < 1e-3:
        total = water if fat is None else water + fat
        # What was written here is in parts of tissue already, and reading it must not change a bit of it.
        tissue = 1.0 if own else _tissue_level(total)
        images = (water / tissue).astype(np.float32), None if fat is None else (fat / tissue).astype(np.float32)
        body = CoarseBody(*images, body_mask(total / tissue, wanted), affine)
    else:
        body = coarse_body(water, fat, affine, spacing_mm=wanted, source=str(folder))
    if (folder / "mask.nii.gz").is_file():
        body = replace(body, mask=_labels_on(folder / "mask.nii.gz", body)[0] > 0)
    label_path = Path(labels) if labels is not None else folder / "labels.nii.gz"
    if labels is None and not label_path.is_file():
        return BodyTemplate(body, facts=facts)
    values, names = _labels_on(label_path, body)
    if labels is not None:
        facts = {**facts, "labels": f"given: {label_path.name}"}
    return BodyTemplate(body, values, names, facts)


def write_volume(path: Path, voxels: np.ndarray, affine: np.ndarray) -> None:
    """Write a volume as compressed NIfTI in the dtype it has; the same voxels give the same bytes."""
    import nibabel as nib

    image = nib.Nifti1Image(voxels, affine)
    image.header.set_xyzt_units("mm")
    for set_form in (image.set_sform, image.set_qform):
        set_form(affine, code=2)
    with written_atomically(path) as temporary:
        temporary.write_bytes(gzip.compress(image.to_bytes(), compresslevel=6, mtime=0))


def _tissue_level(total: np.ndarray) -> float:
    """What tissue has of water plus fat: the middle of the brighter half above the mean."""
    bright = total[total > total.mean()]
    return float(np.median(bright)) if bright.size else 0.0


def _read_image(path: Path) -> tuple[np.ndarray, np.ndarray]:
    volume = read_nifti(path, source=str(path), empty=0).to_axcodes()
    return np.array(volume.hu, dtype=np.float32), np.asarray(volume.affine, dtype=float)


def _labels_on(path: Path, body: CoarseBody) -> tuple[np.ndarray, dict[str, int]]:
    if not path.is_file():
        raise InputError("no such label volume", source=path)
    labels = read_labels(path)
    if labels.hu.max(initial=0) > 255:
        raise InputError("label values must be below 256", source=path, found=int(labels.hu.max()))
    names = label_names(path, labels.hu)
    on_grid = labels_on_grid(labels.hu.astype(np.uint8), labels.affine, body.affine, body.shape)
    return on_grid, names


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

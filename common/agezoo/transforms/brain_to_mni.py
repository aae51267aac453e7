"""From a T1 in any state to a brain on the MNI152 grid: the whole preprocessing of brain age from the head."""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from scipy import ndimage

from agezoo.data.volume import Volume
from agezoo.errors import InputError
from agezoo.transforms.brain.bias_field import bias_field
from agezoo.transforms.brain.extraction import extract_brain
from agezoo.transforms.brain.head_grid import blurred_to, sampled, world_grid
from agezoo.transforms.brain.input_check import checked_scan
from agezoo.transforms.brain.input_state import background, is_fsl_grid, is_stripped, object_mask
from agezoo.transforms.brain.pose import Pose, find_pose
from agezoo.transforms.brain.quality import check_quality, correlation, good_enough, overlap
from agezoo.transforms.brain.registration import Warp, register
from agezoo.transforms.brain.template import FIELD_OF_VIEW_MM, mni_affine, template
from agezoo.transforms.channels import channel_array

SPACING_MM = 2.0
# Registration and extraction work at this spacing, whatever the spacing of the result.
WORK_MM = 2.0
POSE_MM = 2.5
# Voxels around the template's grid in which a head that is not yet aligned is kept.
MARGIN = 10
# Part of the template's brain that the scan must cover.
MIN_COVERED = 0.97


@dataclass(frozen=True, eq=False)
class MNIBrain:
    """A brain on the MNI152 grid.

    Parameters
    ----------
    voxels
        float32 (X, Y, Z) in LAS: above 0 in the brain, exactly 0 elsewhere; intensities without bias field, in the
        scan's own unit.
    affine
        Voxel index to RAS mm (4, 4).
    mask
        bool, the brain.
    state
        What the scan was: ``"head"``, ``"stripped"``, ``"mni_head"`` or ``"mni_brain"``.
    overlap
        Dice of the mask with the template's.
    correlation
        Correlation with the template inside the template's mask.
    seconds
        Time taken.
    notes
        What a reader of the result should know, in words.
    """

    voxels: np.ndarray
    affine: np.ndarray
    mask: np.ndarray
    state: str
    overlap: float
    correlation: float
    seconds: float
    notes: tuple[str, ...] = ()


def brain_to_mni(
    voxels: np.ndarray,
    affine: np.ndarray,
    *,
    spacing_mm: float = SPACING_MM,
    source: str = "",
) -> MNIBrain:
    """Bring a T1 to the MNI152 grid and cut out the brain.

    A raw head is searched for its brain, freed of the bias field (N4), registered to the template (affine, then a
    B-spline with control points 25 mm apart, by elastix) and the person's own brain is cut out. A brain that is
    already cut out keeps its own mask; a scan that already lies on the template is not registered again; a finished
    brain on the grid is taken as it is.

    Parameters
    ----------
    voxels
        T1 (X, Y, Z) in any orientation and unit, voxels of up to 6 mm.
    affine
        Voxel index to RAS mm (4, 4).
    spacing_mm
        Spacing of the result: 2 gives 91 x 109 x 91 voxels.
    source
        Name of the scan for messages.

    Raises
    ------
    InputError
        If the scan cannot be a head, or its brain cannot be brought onto the template.
    MissingExtraError
        If the libraries of the extra ``brain`` are not installed.
    """
    started = time.perf_counter()
    scan = checked_scan(voxels, affine, source=source)
    finished = _as_finished(scan, spacing_mm)
    if finished is None:
        finished = _Preparation(scan, spacing_mm, source).result()
    brain, mask, state, notes = finished
    there = template(spacing_mm)
    figures = overlap(mask, there), correlation(brain, there)
    notes += check_quality(*figures, source=source)
    return MNIBrain(
        brain, mni_affine(spacing_mm), mask, state, *figures, seconds=time.perf_counter() - started, notes=notes
    )


_Finished = tuple[np.ndarray, np.ndarray, str, tuple[str, ...]]


def _as_finished(scan: Volume, spacing_mm: float) -> _Finished | None:
    """A brain that is already cut out on the MNI152 grid, or None."""
    if not is_fsl_grid(scan.shape, scan.affine):
        return None
    values = scan.hu.astype(np.float32)
    own_mm = scan.spacing_mm[0]
    if float((values == 0).mean()) < 0.5 or values.min() < 0:
        return None
    mask = values > 0
    if not np.isclose(own_mm, spacing_mm):
        there = template(spacing_mm)
        blurred = [blurred_to(array, scan.affine, spacing_mm) for array in (values, mask.astype(np.float32))]
        values, part = (sampled(array, scan.affine, there.affine, there.shape) for array in blurred)
        mask = part >= 0.5
        # The blur has mixed background into the rim of the brain.
        values = np.where(mask, values / np.maximum(part, 0.5), 0).astype(np.float32)
        mask = values > 0
    there = template(spacing_mm)
    filled = ndimage.binary_fill_holes(mask)
    if not good_enough(overlap(filled, there), correlation(values, there)):
        return None
    return values, mask, "mni_brain", ()


class _Preparation:
    """The steps for one scan, in order; each keeps what the next ones need."""

    def __init__(self, scan: Volume, spacing_mm: float, source: str) -> None:
        self.spacing_mm, self.source = spacing_mm, source
        self.affine = scan.affine
        self.raw = scan.hu.astype(np.float32) - np.float32(background(scan.hu))
        self.blurred = blurred_to(self.raw, self.affine, WORK_MM)
        self.brain = template(WORK_MM)
        self.notes: tuple[str, ...] = ()

    def result(self) -> _Finished:
        pose = self._pose()
        stripped = is_stripped(*self._coarse(), pose.matrix, template(4.0))
        to_scan = self._wide_to_scan(pose)
        inside = self._coverage(to_scan)
        moved = ndimage.affine_transform(self.blurred, to_scan[:3, :3], to_scan[:3, 3], inside.shape, order=1)
        field = bias_field(moved, self._wide_mask(), WORK_MM)
        warp = register(self._evened(moved / field), MARGIN, self.brain, valid=inside)
        head = self._on_template(warp, to_scan, field, WORK_MM)
        mask = self._own_mask(warp, to_scan) if stripped else extract_brain(head, self.brain)
        if not np.isclose(self.spacing_mm, WORK_MM):
            head = self._on_template(warp, to_scan, field, self.spacing_mm)
            there = template(self.spacing_mm)
            part = sampled(
                blurred_to(mask.astype(np.float32), self.brain.affine, self.spacing_mm),
                self.brain.affine, there.affine, there.shape,
            )  # fmt: skip
            mask = part >= 0.5
        if not mask.any():
            check_quality(0.0, 0.0, source=self.source)
        # Fluid may be as dark as air, but 0 means outside.
        floor = np.float32(1e-3 * float(np.median(head[mask])))
        brain = np.where(mask, np.maximum(head, floor), np.float32(0)).astype(np.float32)
        return brain, mask, "stripped" if stripped else "head", self.notes

    def _coarse(self) -> tuple[np.ndarray, np.ndarray]:
        affine, shape = world_grid(self.blurred.shape, self.affine, POSE_MM)
        return sampled(self.blurred, self.affine, affine, shape), affine

    def _pose(self) -> Pose:
        pose = find_pose(*self._coarse())
        if pose.turned:
            self.notes += (
                "the orientation in the header does not fit the head; another one was found, "
                "but left and right cannot be told apart",
            )
        return pose

    def _wide_affine(self) -> np.ndarray:
        affine = self.brain.affine.copy()
        affine[:3, 3] -= affine[:3, :3] @ np.full(3, MARGIN)
        return affine

    def _wide_mask(self) -> np.ndarray:
        return np.pad(self.brain.mask, MARGIN)

    def _wide_to_scan(self, pose: Pose) -> np.ndarray:
        """Voxel of the template's grid with its margin to voxel of the scan."""
        return np.linalg.inv(self.affine) @ pose.matrix @ self._wide_affine()

    def _coverage(self, to_scan: np.ndarray) -> np.ndarray:
        """Voxels of the wide grid that lie in the scan's field of view."""
        shape = tuple(size + 2 * MARGIN for size in self.brain.shape)
        inside = (
            ndimage.affine_transform(
                np.ones(self.blurred.shape, dtype=np.float32), to_scan[:3, :3], to_scan[:3, 3], shape, order=0
            )
            > 0.5
        )
        covered = float(inside[self._wide_mask()].mean())
        if covered < MIN_COVERED:
            raise InputError(
                "a part of the brain lies outside the field of view",
                source=self.source or None,
                found=f"{100 * covered:.0f} % of the brain inside",
                expected=f"at least {100 * MIN_COVERED:.0f} %",
                remedy="use a scan that covers the whole brain",
            )
        return inside

    def _evened(self, moved: np.ndarray) -> np.ndarray:
        """Intensities in 0..1, fat no brighter than white matter."""
        top = 1.15 * float(np.percentile(moved[self._wide_mask()], 99))
        return np.clip(moved / max(top, 1e-12), 0, 1)

    def _on_template(self, warp: Warp, to_scan: np.ndarray, field: np.ndarray, spacing_mm: float) -> np.ndarray:
        there = template(spacing_mm)
        wide = warp.on_grid(there.shape, spacing_mm) / np.float32(WORK_MM) + MARGIN
        blurred = self.blurred if np.isclose(spacing_mm, WORK_MM) else blurred_to(self.raw, self.affine, spacing_mm)
        values = ndimage.map_coordinates(blurred, _through(to_scan, wide), order=1)
        return values / ndimage.map_coordinates(field, wide, order=1, mode="nearest")

    def _own_mask(self, warp: Warp, to_scan: np.ndarray) -> np.ndarray:
        mask = object_mask(np.maximum(self.raw, 0)).astype(np.float32)
        wide = warp.on_grid(self.brain.shape, WORK_MM) / np.float32(WORK_MM) + MARGIN
        return ndimage.map_coordinates(blurred_to(mask, self.affine, WORK_MM), _through(to_scan, wide), order=1) >= 0.5


def _through(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return np.tensordot(matrix[:3, :3], points, 1) + matrix[:3, 3].reshape(3, 1, 1, 1)


class BrainToMNI(Transform):
    """Bring a channel-first T1 with an affine to the MNI152 grid; see :func:`brain_to_mni`.

    Parameters
    ----------
    spacing_mm
        Spacing of the result.
    """

    def __init__(self, spacing_mm: float = SPACING_MM) -> None:
        self.spacing_mm = float(spacing_mm)

    def __call__(self, img: MetaTensor) -> MetaTensor:
        return self.prepare(img)[0]

    def prepare(self, img: MetaTensor) -> tuple[MetaTensor, MNIBrain]:
        """The brain as MetaTensor (1, X, Y, Z) float32, and all that is known of it."""
        array = channel_array(img, spatial_dims=3, name="BrainToMNI")
        if array.shape[0] != 1 or not isinstance(img, MetaTensor):
            raise InputError(
                "BrainToMNI works on one channel with an affine",
                found=f"{type(img).__name__} of shape {tuple(array.shape)}",
                expected="a MetaTensor (1, X, Y, Z)",
                remedy="load the scan with LoadVolume",
            )
        source = str(img.meta.get("filename_or_obj", ""))
        result = brain_to_mni(array[0], np.asarray(img.affine), spacing_mm=self.spacing_mm, source=source)
        kept = {name: value for name, value in img.meta.items() if name != "affine"}
        meta = {**kept, "spatial_shape": list(result.voxels.shape), "space": "RAS"}
        affine = torch.as_tensor(result.affine, dtype=torch.float64)
        return MetaTensor(torch.from_numpy(result.voxels)[None], affine=affine, meta=meta), result


class BrainToMNId(MapTransform):
    """Dictionary form of :class:`BrainToMNI`.

    In ``<key>_facts`` it sets ``field_of_view_mm`` to that of the grid and adds ``registration_overlap``,
    ``registration_correlation`` and ``brain_state``; notes are appended to ``reading_notes``.
    """

    def __init__(
        self,
        keys: KeysCollection,
        spacing_mm: float = SPACING_MM,
        *,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform = BrainToMNI(spacing_mm)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        notes = [str(result["reading_notes"])] if result.get("reading_notes") else []
        for key in self.key_iterator(result):
            result[key], brain = self.transform.prepare(result[key])
            result[f"{key}_facts"] = {
                **result.get(f"{key}_facts", {}),
                "field_of_view_mm": np.asarray(FIELD_OF_VIEW_MM, dtype=np.float32),
                "registration_overlap": float(brain.overlap),
                "registration_correlation": float(brain.correlation),
                "brain_state": brain.state,
            }
            notes += brain.notes
        result["reading_notes"] = "; ".join(notes)
        return result

"""Where an implant would be: landmarks of the body, found coarsely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agezoo.transforms.body_mask import body_mask

_COARSE_MM = 5.0
_BONE_HU = 180.0


@dataclass(frozen=True)
class BodyFrame:
    """The patient in the image, in mm from the centre of the first voxel along left, anterior and superior.

    Attributes
    ----------
    middle_mm
        Middle of the body from side to side.
    half_width_mm
        From there to the skin.
    back_mm, front_mm
        Skin at the back and at the front in the middle of the body.
    height_mm
        Extent of the image along the body.
    """

    middle_mm: float
    half_width_mm: float
    back_mm: float
    front_mm: float
    height_mm: float


def body_frame(volume_hu: np.ndarray, spacing_mm: Sequence[float]) -> tuple[BodyFrame, np.ndarray, np.ndarray]:
    """Frame of the body, the coarse volume that it was found in and that volume's spacing in mm.

    Raises
    ------
    InputError
        If there is no body in the volume.
    """
    spacing = np.asarray(spacing_mm, dtype=float)
    skip = np.maximum(1, np.floor(_COARSE_MM / spacing)).astype(int)
    coarse = volume_hu[:: skip[0], :: skip[1], :: skip[2]]
    step = spacing * skip
    inside = body_mask(coarse)
    coarse = np.where(inside, coarse, -1024)
    # The table and the arms belong to few slices or columns; the trunk fills most of them.
    across = np.flatnonzero(inside.any(axis=1).mean(axis=1) > 0.5)
    if not across.size:
        across = np.flatnonzero(inside.any(axis=(1, 2)))
    left, right = across[0] * step[0], across[-1] * step[0]
    middle = round((int(across[0]) + int(across[-1])) / 2)
    deep = np.flatnonzero(inside[middle].mean(axis=1) > 0.5)
    if not deep.size:
        deep = np.flatnonzero(inside.any(axis=(0, 2)))
    frame = BodyFrame(
        middle_mm=float(left + right) / 2,
        half_width_mm=max(float(right - left) / 2, float(step[0])),
        back_mm=float(deep[0] * step[1]),
        front_mm=float(deep[-1] * step[1]),
        height_mm=float(volume_hu.shape[2] * spacing[2]),
    )
    return frame, coarse, step


def spine_centre_mm(
    frame: BodyFrame, coarse_hu: np.ndarray, step_mm: np.ndarray, *, height_mm: float
) -> tuple[float, float]:
    """Left and anterior position of the spine at a height: the middle of bone near the midline in the dorsal half."""
    bone = _bone_near(frame, coarse_hu, step_mm, height_mm=height_mm, reach_mm=25.0)
    x, y = bone[:, 0], bone[:, 1]
    near = (np.abs(x - frame.middle_mm) < 45.0) & (y < (frame.back_mm + frame.front_mm) / 2)
    if near.sum() < 3:
        return frame.middle_mm, frame.back_mm + 0.3 * (frame.front_mm - frame.back_mm)
    return float(np.median(x[near])), float(np.median(y[near]))


def right_hip_centre_mm(
    frame: BodyFrame, coarse_hu: np.ndarray, step_mm: np.ndarray, *, height_mm: float
) -> tuple[float, float]:
    """Left and anterior position of a right hip (or of where one would be) around a height."""
    bone = _bone_near(frame, coarse_hu, step_mm, height_mm=height_mm, reach_mm=20.0)
    x, y = bone[:, 0], bone[:, 1]
    beside = (frame.middle_mm - x > 45.0) & (frame.middle_mm - x < 0.9 * frame.half_width_mm)
    if beside.sum() < 3:
        return frame.middle_mm - 0.5 * frame.half_width_mm, (frame.back_mm + frame.front_mm) / 2
    return float(np.median(x[beside])), float(np.median(y[beside]))


def _bone_near(
    frame: BodyFrame, coarse_hu: np.ndarray, step_mm: np.ndarray, *, height_mm: float, reach_mm: float
) -> np.ndarray:
    low = max(int((height_mm - reach_mm) / step_mm[2]), 0)
    high = max(int((height_mm + reach_mm) / step_mm[2]) + 1, low + 1)
    voxels = np.argwhere(coarse_hu[:, :, low:high] > _BONE_HU)
    return voxels * step_mm

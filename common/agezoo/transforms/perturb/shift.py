"""The patient lies off the middle of the image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agezoo.transforms.perturb.slabs import AIR_HU, as_type


def shift_in_plane(
    volume_hu: np.ndarray, distance_mm: float, *, spacing_mm: Sequence[float], rng: np.random.Generator
) -> np.ndarray:
    """Move everything by `distance_mm` in a direction of the slice plane drawn by chance; air comes in.

    The move is rounded to whole voxels, so that nothing is interpolated.
    """
    angle = rng.uniform(0.0, 2.0 * np.pi)
    across = round(distance_mm * np.cos(angle) / float(spacing_mm[0]))
    forward = round(distance_mm * np.sin(angle) / float(spacing_mm[1]))
    return shifted(volume_hu, (across, forward))


def shifted(volume_hu: np.ndarray, voxels: tuple[int, int]) -> np.ndarray:
    """The volume moved by whole voxels along its first two axes, -1024 HU where nothing came from."""
    result = np.empty_like(volume_hu)
    result[...] = as_type(np.asarray(AIR_HU), volume_hu.dtype)
    pairs = [_overlap(n, by) for n, by in zip(volume_hu.shape[:2], voxels, strict=True)]
    result[pairs[0][0], pairs[1][0]] = volume_hu[pairs[0][1], pairs[1][1]]
    return result


def _overlap(n_voxels: int, by: int) -> tuple[slice, slice]:
    """Where voxels land and where they come from."""
    by = max(-n_voxels, min(n_voxels, by))
    return slice(max(by, 0), n_voxels + min(by, 0)), slice(max(-by, 0), n_voxels - max(by, 0))

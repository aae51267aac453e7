"""Water and fat from the magnitudes of in-phase and opposed-phase images (two-point Dixon)."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from agezoo.errors import InputError
from agezoo.transforms.body.body_region import filled_across, signal_threshold, smoothed
from agezoo.transforms.body.minimum_cut import minimum_cut

# Fat below the skin, behind the water of the skin itself.
_SHELL_MM = (3.0, 12.0)
_RIM_MM = 5.0
# Voxels of nearly one component: opposed-phase signal over in-phase signal.
_PURE = 0.6
# Log of the ratio of brightness at which two neighbours hardly are one tissue.
_ALIKE = 0.15
_NEIGHBOURS = (slice(None, -1), slice(1, None))
# Range over which the brightness of fat and of water may drift (coils), SD in mm.
_DRIFT_MM = 50.0
_ROUNDS = 4
# In-phase fat that is hardly brighter than water tells nothing.
_LEAST_CONTRAST = 1.4
# Of the shell that must be as bright.
_LEAST_SHARE = 0.1
_NO_LUNG = 0.6
# Fat is what is expected in the outermost millimetres.
_SKIN_FAT_MM, _EXPECTED = 6.0, 0.4


def water_and_fat(in_phase: np.ndarray, opposed: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Water and fat of one station from the magnitudes of its two echoes.

    In phase, the signals of water and fat add up (I = W + F); in opposed phase they subtract, and a magnitude image
    keeps |W - F| (Dixon, Radiology 1984). So (I + O) / 2 is the larger of the two and (I - O) / 2 the smaller, and
    nothing in a voxel tells which is which. That is judged here from three facts: fat is brighter than water in a
    T1-weighted in-phase image; fat lies below the skin; and where fat borders on water, voxels hold both and the
    opposed-phase image is dark ("India ink"), so neighbours of like brightness without such a line between them hold
    the same. Each voxel's brightness, between that of the water and that of the fat around, is evidence; neighbours are
    bound to each other unless a dark line or an edge of brightness parts them; and the division that costs least is
    taken (:mod:`agezoo.transforms.body.minimum_cut`).

    Parameters
    ----------
    in_phase, opposed
        Magnitudes (X, Y, Z), Z along the body.
    affine
        Voxel index to mm (4, 4).

    Returns
    -------
    tuple of numpy.ndarray
        Water and fat, float32, in the images' unit.

    Raises
    ------
    InputError
        If fat below the skin is not clearly brighter than what lies inside the body, so that nothing can be judged.
    """
    one = np.asarray(in_phase, dtype=np.float32)
    other = np.minimum(np.asarray(opposed, dtype=np.float32), one)
    larger, smaller = (one + other) / 2, (one - other) / 2
    fatty = mostly_fat(one, other, np.linalg.norm(np.asarray(affine)[:3, :3], axis=0))
    return np.where(fatty, smaller, larger), np.where(fatty, larger, smaller)


def mostly_fat(in_phase: np.ndarray, opposed: np.ndarray, edges_mm: np.ndarray) -> np.ndarray:
    """Where a voxel's larger component is judged to be fat; bool (X, Y, Z). Raises as :func:`water_and_fat` does."""
    mean = smoothed(in_phase)
    tissue = mean > signal_threshold(mean)
    # A thin layer of fat does not survive smoothing; against noise the bonds help.
    purity = np.divide(opposed, in_phase, out=np.zeros_like(in_phase), where=tissue & (in_phase > 0))
    depth_mm = _depth_mm(tissue, edges_mm)
    fatness = _fatness(in_phase / _along(mean, tissue), purity, tissue, depth_mm, edges_mm)
    if fatness is None:
        raise InputError(
            "water and fat cannot be told apart from the two echoes",
            found="fat below the skin that is no brighter in phase than the tissue inside the body",
            expected=f"a T1-weighted scan, in which fat is {_LEAST_CONTRAST} times as bright or more",
            remedy="add the scanner's own water and fat images",
        )
    result = np.zeros(in_phase.shape, dtype=bool)
    # Voxels of a single component tell by their brightness what they are, mixed ones hardly.
    evidence = (purity**2 * np.clip(fatness, -1, 1))[tissue]
    result[tissue] = minimum_cut(evidence, *_bonds(in_phase, purity, tissue, edges_mm))
    return result


def _bonds(
    in_phase: np.ndarray, purity: np.ndarray, tissue: np.ndarray, edges_mm: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Neighbouring voxels of tissue, numbered within it (2, M), and how much speaks for one component in both (M,)."""
    numbers = np.cumsum(tissue, dtype=np.int32).reshape(tissue.shape) - 1
    brightness = np.log(np.maximum(in_phase, 1e-3 * float(in_phase.max())))
    # Bonds stand for the area of the surface between water and fat: voxels' faces differ.
    faces = (edges_mm.min() / edges_mm) ** 2
    ends, bonds = [], []
    for axis, face in enumerate(faces):
        one, other = (tuple(part if k == axis else slice(None) for k in range(3)) for part in _NEIGHBOURS)
        both = tissue[one] & tissue[other]
        alike = np.exp(-(((brightness[one][both] - brightness[other][both]) / _ALIKE) ** 2))
        ends.append(np.stack([numbers[one][both], numbers[other][both]]))
        bonds.append(face * alike * np.minimum(purity[one][both], purity[other][both]) ** 2)
    return np.concatenate(ends, axis=1), np.concatenate(bonds)


def _depth_mm(tissue: np.ndarray, edges_mm: np.ndarray) -> np.ndarray:
    """How deep voxels' centres lie below the surface in their slice; 0 outside."""
    body = filled_across(tissue)
    slices = [ndimage.distance_transform_edt(body[:, :, z], sampling=edges_mm[:2]) for z in range(body.shape[2])]
    return np.where(body, np.stack(slices, axis=2) - edges_mm[:2].min() / 2, 0.0)


def _along(mean: np.ndarray, tissue: np.ndarray) -> np.ndarray:
    """Brightness of the slices, from voxels compared with their neighbours along the body: coils fade at its ends."""
    steps = [0.0]
    for z in range(mean.shape[2] - 1):
        both = tissue[:, :, z] & tissue[:, :, z + 1]
        ratios = mean[:, :, z + 1][both] / mean[:, :, z][both]
        steps.append(float(np.log(np.median(ratios))) if ratios.size else 0.0)
    profile = np.cumsum(steps)
    return np.exp(profile - np.median(profile)).astype(np.float32)


def _fatness(
    mean: np.ndarray, purity: np.ndarray, tissue: np.ndarray, depth_mm: np.ndarray, edges_mm: np.ndarray
) -> np.ndarray | None:
    """From -1 (as bright as water around) to 1 (as bright as fat around); None where the two do not differ."""
    body = depth_mm > 0
    pure = tissue & (purity > _PURE)
    shell = pure & (depth_mm > _SHELL_MM[0]) & (depth_mm < _SHELL_MM[1])
    inside = pure & (depth_mm > 2 * _SHELL_MM[1]) & (mean > _NO_LUNG * np.median(mean[tissue]))
    if not inside.any():
        return None
    # The inside of an obese trunk is mostly fat, the shell of a lean one mostly muscle.
    water = float(np.percentile(mean[inside], 33))
    brighter = mean[shell & (mean > _LEAST_CONTRAST * water)]
    if brighter.size < _LEAST_SHARE * np.count_nonzero(shell):
        return None
    fat = float(np.median(brighter))
    # At the rim air takes a part of the voxels: what lies just inside tells their tissue.
    rim = body & (depth_mm < _RIM_MM)
    mean = np.where(rim, ndimage.maximum_filter(mean, size=(5, 5, 1)), mean)
    sigma = tuple(_DRIFT_MM / edge for edge in edges_mm)
    fatness = _between(mean, np.float32(water), np.float32(fat))
    for _ in range(_ROUNDS):
        bright_fat = _local(mean, pure & (fatness > 0.3), sigma, fat)
        bright_water = _local(mean, pure & (fatness < -0.3), sigma, water)
        fatness = _between(mean, bright_water, np.maximum(bright_fat, _LEAST_CONTRAST * bright_water))
    return np.where(depth_mm < _SKIN_FAT_MM, fatness + np.float32(_EXPECTED), fatness)


def _between(mean: np.ndarray, water: np.ndarray | np.float32, fat: np.ndarray | np.float32) -> np.ndarray:
    return np.clip(2 * (mean - water) / (fat - water) - 1, -1, 1)


def _local(mean: np.ndarray, chosen: np.ndarray, sigma: tuple[float, ...], typical: float) -> np.ndarray:
    """Mean brightness of the chosen voxels around each voxel; where there are few, the typical one."""
    step = (4, 4, max(1, round(8 / sigma[2]) if sigma[2] > 8 else 1))
    picked = chosen[:: step[0], :: step[1], :: step[2]].astype(np.float32)
    values = picked * mean[:: step[0], :: step[1], :: step[2]]
    wide = [s / n for s, n in zip(sigma, step, strict=True)]
    share = ndimage.gaussian_filter(picked, wide, truncate=2)
    total = ndimage.gaussian_filter(values, wide, truncate=2)
    coarse = (total + 0.01 * np.float32(typical)) / (share + np.float32(0.01))
    fine = np.repeat(np.repeat(np.repeat(coarse, step[0], 0), step[1], 1), step[2], 2)
    return fine[: mean.shape[0], : mean.shape[1], : mean.shape[2]]

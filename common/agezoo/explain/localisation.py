"""How well a saliency map finds a region that is known to carry the signal.

Pointing game: Zhang et al., Top-down Neural Attention by Excitation Backprop, IJCV 2018, 126:1084-1102. Energy
inside: the energy-based pointing game of Wang et al., Score-CAM, CVPR workshops 2020.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from agezoo.errors import InputError


def pointing_hit(saliency: np.ndarray, region: np.ndarray, *, tolerance_voxels: float = 0.0) -> float:
    """Whether the map's largest value lies in the region: 1 or 0, and the share of hits among tied maxima.

    Parameters
    ----------
    saliency
        Shape (*spatial); of a signed map only the positive part counts, see :func:`positive_part`.
    region
        Boolean, same shape, not empty.
    tolerance_voxels
        Hits within this distance of the region count; the published game allows 15 pixels.

    Returns
    -------
    float
        NaN for a map without positive values.
    """
    positive, inside = _checked(saliency, region)
    if tolerance_voxels > 0:
        inside = ndimage.distance_transform_edt(~inside) <= tolerance_voxels
    largest = positive.max()
    if largest <= 0:
        return float("nan")
    return float(inside[positive == largest].mean())


def energy_inside(saliency: np.ndarray, region: np.ndarray) -> float:
    """Share of the map's positive sum that lies within the region, 0..1; NaN for a map without positive values.

    An even map gets the region's share of the image, so compare with :func:`area_share`.
    """
    positive, inside = _checked(saliency, region)
    total = positive.sum()
    return float(positive[inside].sum() / total) if total > 0 else float("nan")


def area_share(region: np.ndarray, *, within: np.ndarray | None = None) -> float:
    """Share of the image, or of the foreground ``within`` it, that the region covers: what an even map would score."""
    inside = np.asarray(region, dtype=bool)
    if within is None:
        return float(inside.mean())
    frame = np.asarray(within, dtype=bool)
    return float(inside[frame].mean()) if frame.any() else float("nan")


def random_map(shape: tuple[int, ...], *, coarse_shape: tuple[int, ...] | None = None, seed: int) -> np.ndarray:
    """A map that knows nothing: uniform noise, if wished on a coarse grid and interpolated as a CAM is.

    A CAM is smooth, so that its fair rival is noise of the same coarseness: ``coarse_shape`` counts its cells,
    ``(14, 14)`` for ``layer3`` of a ResNet and 224 x 224 pixels, see :func:`agezoo.explain.layer_view.cam_grid`.
    """
    noise = np.random.default_rng(seed).random(shape if coarse_shape is None else coarse_shape)
    if coarse_shape is None:
        return noise.astype(np.float32)
    factors = [size / coarse for size, coarse in zip(shape, coarse_shape, strict=True)]
    return np.asarray(ndimage.zoom(noise, factors, order=1, grid_mode=True, mode="nearest"), dtype=np.float32)


def positive_part(saliency: np.ndarray) -> np.ndarray:
    """The map with negative values set to 0, float64; for "younger" regions pass the negated map."""
    return np.maximum(np.asarray(saliency, dtype=np.float64), 0)


@dataclass(frozen=True)
class LocalisationScore:
    """Means over cases of one method; a map without positive values counts as a miss with no energy inside.

    Attributes
    ----------
    n
        Cases.
    pointing_game
        Share of cases whose largest value lies in the region.
    energy_inside
        Mean share of the positive saliency inside the region.
    area_share
        Mean share of the image that the regions cover, which is what chance gives.
    """

    n: int
    pointing_game: float
    energy_inside: float
    area_share: float


def score_maps(
    maps_and_regions: Iterable[tuple[np.ndarray, np.ndarray]], *, tolerance_voxels: float = 0.0
) -> LocalisationScore:
    """Pointing game and energy inside over pairs of map and region of many cases."""
    hits, energies, areas = [], [], []
    for saliency, region in maps_and_regions:
        hits.append(pointing_hit(saliency, region, tolerance_voxels=tolerance_voxels))
        energies.append(energy_inside(saliency, region))
        areas.append(area_share(region))
    if not hits:
        raise InputError("there is no map to score")
    return LocalisationScore(
        n=len(hits),
        pointing_game=float(np.mean(np.nan_to_num(hits))),
        energy_inside=float(np.mean(np.nan_to_num(energies))),
        area_share=float(np.mean(areas)),
    )


def _checked(saliency: np.ndarray, region: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    inside = np.asarray(region, dtype=bool)
    if inside.shape != np.shape(saliency):
        raise InputError("map and region differ in shape", found=np.shape(saliency), expected=inside.shape)
    if not inside.any():
        raise InputError("the region is empty")
    if not np.isfinite(saliency).all():
        raise InputError("the map holds values that are not finite")
    return positive_part(saliency), inside

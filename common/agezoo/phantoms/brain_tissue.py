"""Tissues of one phantom brain at given points, from the template, the person's signs and own fine shape."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from agezoo.phantoms.brain_ageing import BrainSigns, BrainSubject
from agezoo.phantoms.brain_anatomy import (
    CEREBRUM,
    DEEP_GREY,
    DETAIL_SCALE,
    DISTANCE_SCALE,
    HIPPOCAMPUS_LEFT,
    HIPPOCAMPUS_RIGHT,
    UNCHANGED,
    VENTRICLE,
    brain_anatomy,
)
from agezoo.phantoms.brain_deformation import Displacement, RegionChange, displacement
from agezoo.phantoms.brain_labels import LABELS
from agezoo.phantoms.brain_scanner import BrainScanSettings

Floats = NDArray[np.float32]

_FINE_MM = 4.0
_FINE_SHAPE = (44, 54, 42)


@dataclass(frozen=True)
class BrainTissue:
    """Tissue at each point.

    Attributes
    ----------
    grey, white, fluid
        Shares of the tissues; their sum is 1 inside the skull and out of it, where fluid is what they leave.
    detail
        Brightness of the template that its tissues do not explain, as a share of white matter's.
    dark
        Share of the white matter's brightness that is lost.
    distance_mm
        Distance outside the template's brain surface, negative inside.
    labels
        Regions that age, see :data:`agezoo.phantoms.brain_labels.LABELS`; fluid out to 2 mm from the surface.
    """

    grey: Floats
    white: Floats
    fluid: Floats
    detail: Floats
    dark: Floats
    distance_mm: Floats
    labels: NDArray[np.uint8]


@dataclass(frozen=True)
class OwnBrain:
    """One person's brain before it is imaged: the same in every scan of the person."""

    signs: BrainSigns
    displacement: Displacement
    fine: Floats
    patches: Floats


def own_brain(subject: BrainSubject, signs: BrainSigns) -> OwnBrain:
    """Draw a person's brain."""
    rng = np.random.default_rng([*subject.seed, 5])
    change = RegionChange(
        ventricle_left=signs.ventricle_left,
        ventricle_right=signs.ventricle_right,
        third_ventricle=signs.third_ventricle,
        brain_loss=signs.brain_loss,
        hippocampus_left=signs.hippocampus_left,
        hippocampus_right=signs.hippocampus_right,
    )
    moved = displacement(change, rng)
    return OwnBrain(signs, moved, fine=_noise(rng, 0.8), patches=_noise(rng, 1.1))


def _noise(rng: np.random.Generator, smoothing: float) -> Floats:
    """Smooth standard normal noise on the fine lattice."""
    noise = ndimage.gaussian_filter(rng.standard_normal(_FINE_SHAPE).astype(np.float32), smoothing)
    scaled: Floats = noise / noise.std()
    return scaled


def brain_tissue(brain: OwnBrain, template_points_mm: Floats) -> BrainTissue:
    """Tissues of a person's brain at the points that lie at these positions (3, ...) of the template, in mm."""
    anatomy = brain_anatomy()
    index = anatomy.index(template_points_mm)
    grey = anatomy.pull(anatomy.grey, index) / np.float32(255)
    white = anatomy.pull(anatomy.white, index) / np.float32(255)
    distance_mm = (anatomy.pull(anatomy.distance, index, outside=255) - 128) / np.float32(DISTANCE_SCALE)
    region = anatomy.pull(anatomy.region, index, order=0).astype(np.uint8)
    lattice = index / np.float32(_FINE_MM)
    fine, patches = (
        ndimage.map_coordinates(noise, lattice, order=1, mode="nearest", output=np.float32)
        for noise in (brain.fine, brain.patches)
    )
    grey, white = _drawn_back(grey, white, region, brain.signs.sulcal_opening, fine)
    near = anatomy.pull(anatomy.near_ventricle, index) / np.float32(255)
    lesions = _lesions(near, patches, white, region, brain.signs.lesion_load)
    fluid = np.clip(1.0 - grey - white, 0.0, 1.0)
    return BrainTissue(
        grey=grey,
        white=white,
        fluid=fluid,
        detail=(anatomy.pull(anatomy.detail, index, outside=128) - 128) / np.float32(DETAIL_SCALE),
        dark=np.float32(brain.signs.darkening) + np.float32(0.3) * lesions,
        distance_mm=distance_mm,
        labels=_labels(grey, white, fluid, region, distance_mm),
    )


def tissue_signal(tissue: BrainTissue, settings: BrainScanSettings) -> Floats:
    """Brightness as a share of healthy white matter's."""
    signal: Floats = (
        tissue.white * (1.0 - tissue.dark)
        + tissue.grey * np.float32(settings.grey) * (1.0 - np.float32(0.25) * tissue.dark)
        + tissue.fluid * np.float32(settings.fluid)
        + tissue.detail * (1.0 - tissue.fluid)
    )
    return np.maximum(signal, np.float32(0.0))


def _drawn_back(
    grey: Floats, white: Floats, region: NDArray[np.uint8], opening: float, fine: Floats
) -> tuple[Floats, Floats]:
    """Open the sulci: where tissue and fluid mix, the odds shift towards fluid, and the cortex pays for it."""
    tissue = np.clip(grey + white, 0.0, 1.0)
    share = np.array([0.25, 1.0, 0.0, 0.5, 0.5, 0.3], np.float32)[region]
    odds = np.exp(share * (np.float32(opening) + np.float32(0.45) * fine))
    left = tissue / np.maximum(tissue + (1.0 - tissue) * odds, np.float32(1e-6))
    kept_white = np.minimum(white, left)
    return left - kept_white, kept_white


def _lesions(near: Floats, patches: Floats, white: Floats, region: NDArray[np.uint8], load: float) -> Floats:
    """Dark patches of the white matter, 0 to 1: caps at the ventricles' horns first, then spots further out."""
    reach = np.float32(3.5) * near + np.float32(0.9) * patches - np.float32(3.6 - 2.0 * min(load, 1.3))
    found = white * (region != UNCHANGED) / (1.0 + np.exp(np.float32(-3.0) * reach))
    shown: Floats = found * np.float32(min(1.0, 2.5 * load))
    return shown


def _labels(
    grey: Floats, white: Floats, fluid: Floats, region: NDArray[np.uint8], distance_mm: Floats
) -> NDArray[np.uint8]:
    labels = np.zeros(region.shape, np.uint8)
    changes = region != UNCHANGED
    cerebrum = region == CEREBRUM
    hippocampus = (region == HIPPOCAMPUS_LEFT) | (region == HIPPOCAMPUS_RIGHT)
    most_white = (white > grey) & (white >= fluid)
    most_grey = (grey >= white) & (grey >= fluid)
    most_fluid = (fluid > grey) & (fluid > white)
    labels[cerebrum & most_fluid & (distance_mm < 2.0)] = LABELS["sulcal_csf"]
    labels[cerebrum & most_grey & (distance_mm < 1.0)] = LABELS["cortex"]
    labels[changes & most_white] = LABELS["white_matter"]
    labels[hippocampus & most_grey] = LABELS["hippocampi"]
    labels[(hippocampus | (region == VENTRICLE)) & most_fluid] = LABELS["ventricles"]
    labels[(region == DEEP_GREY) & most_fluid] = LABELS["sulcal_csf"]
    return labels

"""How biological age shows in a whole-body phantom: the age of each planted region and the signs that follow from it.

Heart, aorta, spine and back muscles each have an age of their own: the biological age plus a deviation of the region.
Everything that is drawn in a region depends on its age alone, and no other region depends on any age. So the
information on the biological age that a region carries is known: one over the variance of its deviation.

The signs follow what radiology reports of ageing: more fat in and around the heart and larger atria, a wide and winding
aorta, fatty marrow, lower vertebrae and a round back, back muscles that shrink and turn to fat. They are stronger than
in people, so that a few hundred bodies at low resolution suffice to learn them, and strongest in heart and aorta: the
spine and the back muscles are so much larger that a network which averages over the body would learn them alone. Of
the signal of blood no such thing is known; it changes because at low resolution little else of a vessel is seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agezoo.phantoms.body_labels import PLANTED_WEIGHTS

COMBINED_SD_YEARS = 2.0
"""SD of the error of the best combination of all regions, as an estimate of the biological age."""

REGION_SD_YEARS: dict[str, float] = {
    region: COMBINED_SD_YEARS / float(np.sqrt(weight)) for region, weight in PLANTED_WEIGHTS.items()
}
"""SD of each planted region's own deviation; the weights are the shares of the sum of 1 / SD**2."""

_YOUNGEST_YEARS = 30.0
_OLDEST_YEARS = 100.0


@dataclass(frozen=True)
class BodySigns:
    """The state of every age-carrying structure. Lengths are in mm, signals and fractions 0 to 1."""

    pericardial_fat_mm: float
    atrium_factor: float
    heart_wall_mm: float
    myocardium_fat_fraction: float
    heart_blood_signal: float
    aorta_diameter_mm: float
    aorta_winding_mm: float
    aorta_wall_mm: float
    aorta_blood_signal: float
    marrow_fat_fraction: float
    vertebra_height_factor: float
    disc_signal: float
    kyphosis_mm: float
    back_muscle_size: float
    back_muscle_fat_fraction: float


def body_signs(region_ages_years: dict[str, float]) -> BodySigns:
    """Return the signs at the given age of each planted region."""
    heart, aorta, spine, muscle = (_share(region_ages_years[region]) for region in PLANTED_WEIGHTS)
    return BodySigns(
        pericardial_fat_mm=2.0 + 16.0 * heart,
        atrium_factor=0.8 + 0.4 * heart,
        heart_wall_mm=8.0 + 6.0 * heart,
        myocardium_fat_fraction=0.02 + 0.68 * heart,
        heart_blood_signal=0.96 - 0.68 * heart,
        aorta_diameter_mm=20.0 + 18.0 * aorta,
        aorta_winding_mm=12.0 * aorta,
        aorta_wall_mm=1.2 + 1.2 * aorta,
        aorta_blood_signal=0.12 + 0.84 * aorta,
        marrow_fat_fraction=0.3 + 0.3 * spine,
        vertebra_height_factor=1.0 - 0.06 * spine,
        disc_signal=0.85 - 0.35 * spine,
        kyphosis_mm=18.0 * spine,
        back_muscle_size=1.0 - 0.14 * muscle,
        back_muscle_fat_fraction=0.02 + 0.24 * muscle,
    )


def _share(age_years: float) -> float:
    """Place of an age between the bounds of ageing, 0 to 1: linear, so that every age shows equally well."""
    return float(np.clip((age_years - _YOUNGEST_YEARS) / (_OLDEST_YEARS - _YOUNGEST_YEARS), 0.0, 1.0))

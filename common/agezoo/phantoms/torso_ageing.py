"""How biological age shows in a torso CT: every sign that the phantom draws, as one number each.

The signs follow what radiology reports of ageing: trabecular bone loses density, endplates become dense and
concave, discs lose height, osteophytes and aortic plaques grow, muscle shrinks and turns to fat. Slopes are rounded
from that literature; they are a plausible simulation, not measurements of people.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

YOUNGEST_YEARS = 20.0
OLDEST_YEARS = 85.0
PLAQUES = 240


@dataclass(frozen=True)
class AgeingSigns:
    """The state of every age-carrying structure of one person.

    Lengths are in mm, densities in HU; factors are relative to the drawn young adult. The individual scatter that
    is no part of ageing is already in the values.
    """

    trabecular_hu: float
    cortical_hu: float
    endplate_hu: float
    endplate_thickness_mm: float
    endplate_concavity_mm: float
    disc_height_factor: float
    disc_vacuum_tendency: float
    osteophyte_mm: float
    kyphosis_mm: float
    aorta_width_factor: float
    aorta_tortuosity_mm: float
    plaque_radius_mm: np.ndarray
    muscle_area_factor: float
    muscle_hu: float
    muscle_fat_fraction: float
    visceral_fat: float
    cartilage_calcification: float


def ageing_signs(biological_age_years: float, rng: np.random.Generator) -> AgeingSigns:
    """Draw the ageing signs of a person.

    Parameters
    ----------
    biological_age_years
        The age that the body shows. The signs are smooth functions of it and of nothing else that relates to time.
    rng
        The person's own random stream; it supplies the scatter that has nothing to do with age. Two calls with
        the same stream state differ only by the effect of age, so a person can be drawn at two ages.

    Returns
    -------
    AgeingSigns
    """
    fraction = (biological_age_years - YOUNGEST_YEARS) / (OLDEST_YEARS - YOUNGEST_YEARS)
    grown = max(fraction, 0.0)
    scatter = rng.standard_normal(16)
    # Each plaque has an age of onset, so the number and the size of plaques both grow, and the sum over many
    # plaques varies little between people of one age.
    onset_years = 31.0 + 62.0 * rng.random(PLAQUES) ** 0.8 + 1.5 * scatter[12]
    years_of_growth = np.clip(biological_age_years - onset_years, 0.0, None)
    plaque_radius_mm = np.where(years_of_growth > 0, np.minimum(1.2 + 0.065 * years_of_growth, 3.8), 0.0)
    return AgeingSigns(
        trabecular_hu=250.0 - 190.0 * fraction + 8.0 * scatter[0],
        cortical_hu=820.0 - 370.0 * fraction + 18.0 * scatter[1],
        endplate_hu=420.0 + 240.0 * grown + 22.0 * scatter[2],
        endplate_thickness_mm=1.1 + 1.3 * grown + 0.1 * scatter[3],
        endplate_concavity_mm=max(0.9 + 3.0 * grown + 0.3 * scatter[4], 0.3),
        disc_height_factor=float(np.clip(1.0 - 0.36 * grown + 0.035 * scatter[5], 0.45, 1.1)),
        disc_vacuum_tendency=float(np.clip((biological_age_years - 52.0) / 50.0, 0.0, 0.8)),
        osteophyte_mm=max(5.2 * max((biological_age_years - 32.0) / 53.0, 0.0) ** 1.2 + 0.3 * scatter[6], 0.0),
        kyphosis_mm=3.0 + 20.0 * grown + 2.5 * scatter[7],
        aorta_width_factor=float(np.clip(0.92 + 0.26 * grown + 0.03 * scatter[8], 0.85, 1.3)),
        aorta_tortuosity_mm=max(10.0 * (fraction - 0.25) + 1.0 * scatter[9], 0.0),
        plaque_radius_mm=plaque_radius_mm.astype(np.float32),
        muscle_area_factor=float(np.clip(1.05 - 0.38 * grown + 0.05 * scatter[10], 0.55, 1.2)),
        muscle_hu=62.0 - 36.0 * fraction + 2.5 * scatter[11],
        muscle_fat_fraction=float(np.clip(0.02 + 0.34 * grown + 0.02 * scatter[13], 0.0, 0.5)),
        visceral_fat=0.7 * fraction + 0.8 * scatter[14],
        cartilage_calcification=float(np.clip((biological_age_years - 28.0) / 60.0 + 0.06 * scatter[15], 0.0, 1.0)),
    )

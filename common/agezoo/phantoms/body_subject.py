"""One person of a whole-body phantom cohort: everything that the drawing depends on."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from agezoo.phantoms.body_ageing import REGION_SD_YEARS, BodySigns, body_signs


@dataclass(frozen=True)
class BodySubject:
    """One invented person at one visit.

    Attributes
    ----------
    subject_id
        Identifier such as ``PHANTOM-0001``.
    seed
        Entropy of every random stream of this person.
    sex
        ``'F'`` or ``'M'``.
    age_years
        Chronological age.
    deviation_years
        How much older the body is than the person.
    height_cm
        Standing height.
    fatness
        Fat under the skin, in standard deviations among people of the same sex.
    visceral_fatness
        Fat in the abdomen, in standard deviations among people of the same sex.
    muscularity
        Muscle mass, in standard deviations among people of the same sex.
    liver_fat_fraction
        Share of the liver's signal that is fat, 0 to 1.
    visit
        0 for the first visit. What differs between visits depends on it: posture, breath, filling of bowel and bladder.

    Notes
    -----
    Height, fat, muscle and liver fat are independent of the age.
    """

    subject_id: str
    seed: tuple[int, ...]
    sex: str
    age_years: float
    deviation_years: float
    height_cm: float = 169.0
    fatness: float = 0.0
    visceral_fatness: float = 0.0
    muscularity: float = 0.0
    liver_fat_fraction: float = 0.04
    visit: int = 0

    @property
    def biological_age_years(self) -> float:
        """Chronological age plus deviation: the only age that the images depend on."""
        return self.age_years + self.deviation_years

    @property
    def region_ages_years(self) -> dict[str, float]:
        """Age of each planted region: the biological age plus the region's own deviation, the same at every visit."""
        return {
            region: self.biological_age_years + sd * float(self.rng(f"age of {region}").standard_normal())
            for region, sd in REGION_SD_YEARS.items()
        }

    @property
    def signs(self) -> BodySigns:
        """State of the age-carrying structures."""
        return body_signs(self.region_ages_years)

    def rng(self, purpose: str) -> np.random.Generator:
        """Return the random stream for one purpose, the same at every visit of this person."""
        return np.random.default_rng([*self.seed, zlib.crc32(purpose.encode())])

    def visit_rng(self, purpose: str) -> np.random.Generator:
        """Return the random stream for one purpose at this visit."""
        return np.random.default_rng([*self.seed, zlib.crc32(purpose.encode()), 1 + self.visit])

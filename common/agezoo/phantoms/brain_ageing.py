"""How a phantom's brain looks at a biological age.

Sizes follow what is known of healthy ageing in rough figures: lateral ventricles of some 18 mL at 30 years and three
times that at 90, a tenth of the cerebrum lost by 80, hippocampi that shrink from 60 on, white matter that darkens on T1
and gets dark patches around the ventricles' horns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TEMPLATE_AGE_YEARS = 30.0
"""Biological age at which a brain looks like the template, which was averaged from young adults."""

SIGN_SD_YEARS: dict[str, float] = {
    "ventricles": 12.0,
    "brain_volume": 9.0,
    "sulci": 8.0,
    "hippocampi": 10.0,
    "white_matter": 9.0,
    "lesions": 12.0,
}
"""How many years a single sign is off in one person, as SD before the signs are balanced against each other."""

EXTRA_HIPPOCAMPAL_YEARS: dict[str, float] = {"CN": 0.0, "MCI": 7.0, "AD": 14.0}
"""By how much more the hippocampi have aged than the brain, by diagnosis."""


@dataclass(frozen=True)
class BrainSubject:
    """A phantom person.

    Attributes
    ----------
    subject_id
        BIDS label with its prefix, such as ``sub-phantom0001``.
    seed
        Decides everything that is this person's own.
    sex
        ``"F"`` or ``"M"``.
    age_years, deviation_years
        Chronological age, and how much older the brain is.
    diagnosis
        ``"CN"``, ``"MCI"`` or ``"AD"``.
    """

    subject_id: str
    seed: tuple[int, ...]
    sex: str
    age_years: float
    deviation_years: float
    diagnosis: str

    @property
    def biological_age_years(self) -> float:
        """The age that the brain shows."""
        return self.age_years + self.deviation_years


@dataclass(frozen=True)
class BrainSigns:
    """What age does to one brain.

    Attributes
    ----------
    ventricle_left, ventricle_right, third_ventricle
        Gain of volume as a share of the template's.
    brain_loss
        Share of the cerebrum's volume given to the fluid around it.
    sulcal_opening
        How far the cortex has drawn back from the sulci and the surface, as a shift of the log odds of tissue.
    hippocampus_left, hippocampus_right
        Share of the volume lost.
    darkening
        Share of the white matter's brightness lost everywhere.
    lesion_load
        Extent of dark patches near the ventricles, 0 none, 1 confluent.
    """

    ventricle_left: float
    ventricle_right: float
    third_ventricle: float
    brain_loss: float
    sulcal_opening: float
    hippocampus_left: float
    hippocampus_right: float
    darkening: float
    lesion_load: float


def sign_ages_years(subject: BrainSubject) -> dict[str, float]:
    """The age that each sign shows: the biological age, plus what is the person's own.

    The own parts are balanced: their mean, weighted by each sign's precision, is 0. One sign alone tells the
    biological age with the error of :data:`SIGN_SD_YEARS`; all of them, rightly weighted, tell it exactly. The planted
    deviation is therefore all that keeps a perfect reader from the chronological age.
    """
    rng = np.random.default_rng([*subject.seed, 3])
    sd_years = np.array(list(SIGN_SD_YEARS.values()))
    own = sd_years * rng.standard_normal(len(sd_years))
    weight = sd_years**-2 / float((sd_years**-2).sum())
    own = np.clip(own - float((weight * own).sum()), -2.2 * sd_years, 2.2 * sd_years)
    # What the clipping took goes to the other signs in equal shares, so that the balance holds exactly.
    own -= float((weight * own).sum())
    return {name: subject.biological_age_years + float(value) for name, value in zip(SIGN_SD_YEARS, own, strict=True)}


def brain_signs(subject: BrainSubject) -> BrainSigns:
    """The ageing signs of a person."""
    shown = sign_ages_years(subject)
    rng = np.random.default_rng([*subject.seed, 4])
    side, third, hippocampal_side = rng.normal(0.0, (0.10, 0.15, 0.04))
    ventricles = _ventricle_log_ratio(shown["ventricles"]) + (0.06 if subject.sex == "M" else -0.06)
    hippocampal = _hippocampal_log_ratio(shown["hippocampi"] + EXTRA_HIPPOCAMPAL_YEARS[subject.diagnosis])
    loss = 0.0011 * (shown["brain_volume"] - TEMPLATE_AGE_YEARS) + 0.0016 * _after(60.0, shown["brain_volume"])
    opening = 0.017 * (shown["sulci"] - TEMPLATE_AGE_YEARS) + 0.012 * _after(60.0, shown["sulci"])
    darkening = 0.0010 * (shown["white_matter"] - TEMPLATE_AGE_YEARS) + 0.0014 * _after(60.0, shown["white_matter"])
    return BrainSigns(
        ventricle_left=float(np.expm1(ventricles + side)),
        ventricle_right=float(np.expm1(ventricles - side)),
        third_ventricle=float(np.expm1(0.8 * ventricles + third)),
        brain_loss=float(loss),
        sulcal_opening=float(opening),
        hippocampus_left=float(-np.expm1(hippocampal + hippocampal_side)),
        hippocampus_right=float(-np.expm1(hippocampal - hippocampal_side)),
        darkening=float(darkening),
        lesion_load=float(_after(52.0, shown["lesions"]) / 45.0),
    )


def _after(start_years: float, age_years: float) -> float:
    """Years since an age at which a change sets in, with a soft start over some ten years."""
    return 6.0 * float(np.logaddexp(0.0, (age_years - start_years) / 6.0))


def _ventricle_log_ratio(age_years: float) -> float:
    return 0.007 * (age_years - TEMPLATE_AGE_YEARS) + 0.015 * _after(52.0, age_years)


def _hippocampal_log_ratio(age_years: float) -> float:
    return -0.0015 * (age_years - TEMPLATE_AGE_YEARS) - 0.007 * _after(60.0, age_years)

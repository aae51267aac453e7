"""Who is in a brain phantom cohort and how everyone is scanned: drawn from a seed, before any voxel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from agezoo.phantoms.brain_ageing import BrainSubject
from agezoo.phantoms.brain_scanner import BrainScanSettings, draw_settings
from agezoo.phantoms.even_draws import even_place, falls_due

VERSION = 1
"""Changes whenever the same parameters would give other images."""

Space = Literal["head", "mni"]
DIAGNOSES = ("CN", "MCI", "AD")


@dataclass(frozen=True)
class BrainCohortParameters:
    """What decides a brain phantom cohort; equal parameters give equal files.

    Attributes
    ----------
    subjects
        Number of people, patients included. The first people of a larger cohort are those of a smaller one with the
        same seed.
    seed
        Seed of everything.
    space
        ``"head"``: whole heads as a scanner gives them. ``"mni"``: brains as after extraction and registration to
        MNI152 at 2 mm.
    age_range_years, patient_age_range_years
        Chronological ages of controls, and of patients and every second control of the second site, are spread evenly
        over these ranges.
    deviation_sd_years
        SD of biological minus chronological age among controls. It bounds what any model can reach: see
        `best_possible_mae_years`.
    mci_fraction, ad_fraction
        Shares of people with mild cognitive impairment and with Alzheimer's disease.
    mci_deviation_years, ad_deviation_years
        Mean deviation of these patients.
    mci_deviation_sd_years, ad_deviation_sd_years
        SD of theirs.
    second_site_fraction
        Share of the controls scanned at ``site_b``; with all patients, who are scanned there too, they are the test
        rows.
    repeat_fraction
        Share of the people who are scanned twice.
    quick
        Coarse images, for trying things out.
    version
        Version of the drawing.
    """

    subjects: int
    seed: int
    space: Space = "head"
    age_range_years: tuple[float, float] = (20.0, 90.0)
    patient_age_range_years: tuple[float, float] = (55.0, 90.0)
    deviation_sd_years: float = 3.0
    mci_fraction: float = 0.15
    ad_fraction: float = 0.15
    mci_deviation_years: float = 4.5
    ad_deviation_years: float = 9.0
    mci_deviation_sd_years: float = 4.0
    ad_deviation_sd_years: float = 5.0
    second_site_fraction: float = 0.25
    repeat_fraction: float = 0.1
    quick: bool = False
    version: int = VERSION

    @property
    def best_possible_mae_years(self) -> float:
        """Smallest expected MAE of any prediction of a control's age: sqrt(2 / pi) times the deviation's SD."""
        return float(np.sqrt(2.0 / np.pi) * self.deviation_sd_years)

    def deviation(self, diagnosis: str) -> tuple[float, float]:
        """Mean and SD of the deviation of people with a diagnosis, in years."""
        return {
            "CN": (0.0, self.deviation_sd_years),
            "MCI": (self.mci_deviation_years, self.mci_deviation_sd_years),
            "AD": (self.ad_deviation_years, self.ad_deviation_sd_years),
        }[diagnosis]


@dataclass(frozen=True)
class PlannedBrainScan:
    """One scan of the plan; `name` is the stem of its mask and of its row."""

    name: str
    subject: BrainSubject
    settings: BrainScanSettings
    space: Space
    test: bool


def plan_brain_cohort(parameters: BrainCohortParameters) -> list[PlannedBrainScan]:
    """Return every scan of the cohort, in the order of the people.

    Ages follow a low-discrepancy sequence within each group, so that even a small cohort covers the age range evenly;
    everything else is random, from one stream per person.
    """
    scans: list[PlannedBrainScan] = []
    orders: dict[str, int] = {}
    not_ad = controls = 0
    for index in range(parameters.subjects):
        diagnosis = "CN"
        if falls_due(index, parameters.ad_fraction, 0.0):
            diagnosis = "AD"
        else:
            share = min(1.0, parameters.mci_fraction / max(1e-9, 1.0 - parameters.ad_fraction))
            diagnosis = "MCI" if falls_due(not_ad, share, 0.0) else "CN"
            not_ad += 1
        test = diagnosis != "CN"
        if not test:
            test = falls_due(controls, parameters.second_site_fraction, 0.0)
            controls += 1
        group = diagnosis if diagnosis != "CN" else ("CN at site_b" if test else "CN at site_a")
        order = orders[group] = orders.get(group, -1) + 1
        scans += _scans_of(parameters, index, order, diagnosis, test)
    return scans


def _scans_of(
    parameters: BrainCohortParameters, index: int, order: int, diagnosis: str, test: bool
) -> list[PlannedBrainScan]:
    elderly = diagnosis != "CN" or (test and order % 2 == 1)
    ages = parameters.patient_age_range_years if elderly else parameters.age_range_years
    place = order // 2 if test and diagnosis == "CN" else order
    stream = DIAGNOSES.index(diagnosis) + 4 * test + 8 * elderly
    start = np.random.default_rng([parameters.seed, 9, stream]).random()
    seed = (parameters.seed, index)
    rng = np.random.default_rng([*seed, 1])
    mean_years, sd_years = parameters.deviation(diagnosis)
    subject = BrainSubject(
        subject_id=f"sub-phantom{index + 1:04d}",
        seed=seed,
        sex="F" if rng.random() < 0.5 else "M",
        age_years=round(even_place(place, start, *ages), 2),
        deviation_years=round(mean_years + sd_years * float(rng.standard_normal()), 2),
        diagnosis=diagnosis,
    )
    twice = falls_due(index, parameters.repeat_fraction, 0.5)
    scans = []
    for number in range(1 + twice):
        settings = draw_settings(
            np.random.default_rng([*seed, 6 + number]),
            session=f"ses-{number + 1}",
            site="site_b" if test else "site_a",
            quick=parameters.quick,
        )
        name = f"{subject.subject_id}_{settings.session}"
        scans.append(PlannedBrainScan(name, subject, settings, parameters.space, test))
    return scans

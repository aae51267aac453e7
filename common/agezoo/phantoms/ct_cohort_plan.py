"""Who is in a CT phantom cohort and how everyone is scanned: drawn from a seed, before any voxel."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, timedelta

import numpy as np

from agezoo.phantoms.even_draws import even_place, falls_due
from agezoo.phantoms.torso_anatomy import PhantomSubject
from agezoo.phantoms.torso_ct import ScanSettings

VERSION = 1
"""Changes whenever the same parameters would give other images."""


@dataclass(frozen=True)
class CohortParameters:
    """What decides a CT phantom cohort; equal parameters give equal files.

    Attributes
    ----------
    subjects
        Number of people. The first people of a larger cohort are those of a smaller one with the same seed.
    seed
        Seed of everything.
    age_range_years
        Chronological ages are spread evenly over this range.
    deviation_sd_years
        SD of biological minus chronological age. It bounds what any model can reach: see `best_possible_mae_years`.
    repeat_fraction
        Share of the people who are scanned twice.
    second_scanner_fraction
        Share of the people scanned on ``scanner_b``; they are the test cohort.
    quick
        Small scans (matrix 96, 6 mm slices) for trying things out.
    version
        Version of the drawing.
    """

    subjects: int
    seed: int
    age_range_years: tuple[float, float] = (20.0, 85.0)
    deviation_sd_years: float = 3.0
    repeat_fraction: float = 0.1
    second_scanner_fraction: float = 0.2
    quick: bool = False
    version: int = VERSION

    @property
    def best_possible_mae_years(self) -> float:
        """Smallest expected MAE of any prediction of chronological age: sqrt(2 / pi) times the deviation's SD."""
        return float(np.sqrt(2.0 / np.pi) * self.deviation_sd_years)


@dataclass(frozen=True)
class PlannedScan:
    """One scan of the plan; `name` is the folder of its series and the stem of its mask."""

    name: str
    subject: PhantomSubject
    settings: ScanSettings
    test: bool


def plan_ct_cohort(parameters: CohortParameters) -> list[PlannedScan]:
    """Return every scan of the cohort, in the order of the subjects.

    Ages follow a low-discrepancy sequence within each scanner's people, so that even a small cohort covers the
    age range evenly; everything else is random, from one stream per person.
    """
    scans: list[PlannedScan] = []
    rank = {True: 0, False: 0}
    youngest, oldest = parameters.age_range_years
    for index in range(parameters.subjects):
        test = falls_due(index, parameters.second_scanner_fraction, 0.0)
        order = rank[test]
        rank[test] += 1
        start = np.random.default_rng([parameters.seed, 9, int(test)]).random()
        age = even_place(order, start, youngest, oldest)
        seed = (parameters.seed, index)
        rng = np.random.default_rng([*seed, 1])
        subject = PhantomSubject(
            subject_id=f"PHANTOM-{index + 1:04d}",
            seed=seed,
            sex="F" if rng.random() < 0.5 else "M",
            age_years=round(float(age), 2),
            deviation_years=round(float(parameters.deviation_sd_years * rng.standard_normal()), 2),
            stature=1.0,
            fatness=float(np.clip(rng.standard_normal(), -2.0, 2.2)),
        )
        tall = (0.965 if subject.sex == "F" else 1.02) + 0.03 * float(np.clip(rng.standard_normal(), -2, 2))
        subject = PhantomSubject(**{**asdict(subject), "stature": tall})
        day = date(2015, 1, 1) + timedelta(days=int(rng.integers(0, 2500)))
        sessions = ["first"]
        if falls_due(order, parameters.repeat_fraction, 0.5):
            sessions.append("repeat")
        for number, session in enumerate(sessions):
            settings = _draw_settings(
                np.random.default_rng([*seed, 2 + number]),
                session=session,
                site="scanner_b" if test else "scanner_a",
                day=day + timedelta(days=28 * number),
                quick=parameters.quick,
            )
            name = f"{subject.subject_id}_{session}"
            scans.append(PlannedScan(name=name, subject=subject, settings=settings, test=test))
    return scans


def _draw_settings(rng: np.random.Generator, *, session: str, site: str, day: date, quick: bool) -> ScanSettings:
    a = site == "scanner_a"
    thickness = float(rng.choice([5.0, 4.0, 3.0, 2.5, 2.0], p=[0.45, 0.2, 0.2, 0.1, 0.05]))
    kernel = str(rng.choice(["SOFT30", "STANDARD40", "SHARP60"], p=[0.35, 0.5, 0.15] if a else [0.1, 0.5, 0.4]))
    contrast = str(rng.choice(["none", "portal", "arterial"], p=[0.45, 0.4, 0.15] if a else [0.6, 0.25, 0.15]))
    room = rng.uniform(0.0, 45.0)
    shift = rng.normal(0.0, (5.0, 6.0))
    return ScanSettings(
        session=session,
        site=site,
        study_date=day,
        slice_thickness_mm=6.0 if quick else thickness,
        fov_room_mm=float(round(room / 5.0) * 5.0),
        matrix=96 if quick else 0,
        kernel=kernel,
        noise_hu=float(rng.uniform(8.0, 13.0) if a else rng.uniform(11.0, 16.0)),
        offset_hu=float(rng.normal(0.0, 1.5) if a else rng.normal(4.0, 1.5)),
        contrast=contrast,
        shift_mm=(float(np.clip(shift[0], -10, 10)), float(np.clip(shift[1], -12, 12))),
        rotation_deg=float(np.clip(rng.normal(0.0, 1.8), -4.0, 4.0)),
        breath_mm=float(np.clip(rng.normal(0.0, 6.0), -14.0, 12.0)),
        coverage_mm=(float(rng.uniform(-220.0, -190.0)), float(rng.uniform(468.0, 486.0))),
        couch_gap_mm=float(rng.uniform(9.0, 14.0)),
        origin_mm=(0.0, 0.0, round(float(rng.uniform(-900.0, -100.0)), 1)) if a else (0.0, -165.0, 0.0),
        descending=bool(rng.random() < 0.4),
        seed=0 if session == "first" else 1,
    )

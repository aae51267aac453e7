"""Who is in a spine phantom cohort and how everyone is imaged: drawn from a seed, before any pixel."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

import numpy as np

from agezoo.phantoms.even_draws import even_place, falls_due
from agezoo.phantoms.spine_ageing import SpineSigns
from agezoo.phantoms.spine_anatomy import Pose, SpineSubject, build_column, subject_signs
from agezoo.phantoms.spine_detector import DxaScan, Exposure
from agezoo.phantoms.spine_projection import View
from agezoo.phantoms.spine_soft_tissue import Breath
from agezoo.phantoms.spine_storage import Storage

VERSION = 1
"""Changes whenever the same parameters would give other images."""

Modality = Literal["radiograph", "vfa"]


@dataclass(frozen=True)
class SpineCohortParameters:
    """What decides a spine phantom cohort; equal parameters give equal files.

    Attributes
    ----------
    subjects, vfa_subjects
        Number of people with a radiograph, and of other people with a DXA image. The first people of a larger cohort
        are those of a smaller one with the same seed.
    seed
        Seed of everything.
    age_range_years, vfa_age_range_years
        Chronological ages are spread evenly over these ranges.
    deviation_sd_years
        SD of biological minus chronological age. It bounds what any model can reach: see `best_possible_mae_years`.
    repeat_fraction
        Share of the people who have two images.
    second_scanner_fraction
        Share of the people with a radiograph from ``scanner_b``; they are the test cohort, with all DXA images.
    quick
        Radiographs with less than half as many rows, for trying things out.
    version
        Version of the drawing.
    """

    subjects: int
    vfa_subjects: int
    seed: int
    age_range_years: tuple[float, float] = (40.0, 90.0)
    vfa_age_range_years: tuple[float, float] = (65.0, 90.0)
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
class SpineImageSettings:
    """How one image is taken and stored.

    Attributes
    ----------
    session
        ``"first"`` or ``"repeat"``.
    modality
        ``"radiograph"`` or ``"vfa"``.
    site
        ``"scanner_a"``, ``"scanner_b"`` or ``"dxa"``.
    study_date
        Day of the image.
    pose, breath, view
        How the person stands, and what the image shows.
    exposure
        Beam and processing.
    storage
        Form of the stored pixels.
    seed
        Of the noise.
    """

    session: str
    modality: Modality
    site: str
    study_date: date
    pose: Pose
    breath: Breath
    view: View
    exposure: Exposure | DxaScan
    storage: Storage
    seed: int


@dataclass(frozen=True)
class PlannedSpineImage:
    """One image of the plan; `name` is the stem of its file and its mask."""

    name: str
    subject: SpineSubject
    settings: SpineImageSettings
    test: bool


def plan_spine_cohort(parameters: SpineCohortParameters) -> list[PlannedSpineImage]:
    """Return every image of the cohort: those of the radiographed people, then the DXA images.

    Ages follow a low-discrepancy sequence within each scanner's people, so that even a small cohort covers the
    age range evenly; everything else is random, from one stream per person.
    """
    images: list[PlannedSpineImage] = []
    rank = {"scanner_a": 0, "scanner_b": 0}
    for index in range(parameters.subjects):
        test = falls_due(index, parameters.second_scanner_fraction, 0.0)
        site = "scanner_b" if test else "scanner_a"
        images += _images_of(parameters, index, rank[site], "radiograph", site, test)
        rank[site] += 1
    for index in range(parameters.vfa_subjects):
        images += _images_of(parameters, index, index, "vfa", "dxa", True)
    return images


def _images_of(
    parameters: SpineCohortParameters, index: int, order: int, modality: Modality, site: str, test: bool
) -> list[PlannedSpineImage]:
    vfa = modality == "vfa"
    ages = parameters.vfa_age_range_years if vfa else parameters.age_range_years
    start = np.random.default_rng([parameters.seed, 9, ("scanner_a", "scanner_b", "dxa").index(site)]).random()
    seed = (parameters.seed, index + 50_000 * vfa)
    rng = np.random.default_rng([*seed, 1])
    sex = "F" if rng.random() < (0.65 if vfa else 0.55) else "M"
    subject = SpineSubject(
        subject_id=f"PHANTOM-{'V' if vfa else 'S'}{index + 1:04d}",
        seed=seed,
        sex=sex,
        age_years=round(even_place(order, start, *ages), 2),
        deviation_years=round(float(parameters.deviation_sd_years * rng.standard_normal()), 2),
        stature=float((1.01 if sex == "F" else 1.10) + 0.035 * np.clip(rng.standard_normal(), -2.2, 2.2)),
        fatness=float(np.clip(rng.standard_normal(), -2.0, 2.4)),
    )
    day = date(2010, 1, 4) + timedelta(days=int(rng.integers(0, 1400)))
    signs = subject_signs(subject)
    sessions = ["first"] + ["repeat"] * falls_due(order, parameters.repeat_fraction, 0.5)
    images = []
    for number, session in enumerate(sessions):
        stream = np.random.default_rng([*seed, 2 + number])
        # A repeat is a second exposure after standing up anew, weeks later.
        on = day + timedelta(days=21 * number)
        draw = _draw_vfa if vfa else _draw_radiograph
        settings = draw(stream, subject, signs, session=session, site=site, day=on, quick=parameters.quick)
        images.append(PlannedSpineImage(f"{subject.subject_id}_{session}", subject, settings, test))
    return images


def _draw_pose(rng: np.random.Generator) -> Pose:
    return Pose(
        tilt_deg=float(np.clip(rng.normal(1.5, 2.0), -3.0, 6.0)),
        bend_deg=float(rng.normal(0.0, 2.5)),
        turn_mm=float(np.clip(rng.normal(6.0, 4.0), -4.0, 16.0)),
        obliquity=float(rng.uniform(0.1, 1.0)),
    )


def _draw_view(
    rng: np.random.Generator,
    subject: SpineSubject,
    signs: SpineSigns,
    pose: Pose,
    *,
    rows: int,
    elongation: tuple[float, float],
) -> View:
    """A field from a little above T4 to the upper sacrum.

    Its proportions do not depend on the person: a short column must not be told from the shape of the image alone.
    """
    column = build_column(subject, signs, pose)
    top = float(column["T4"].corners()[:2, 1].min())
    below, above = rng.uniform(38.0, 72.0), rng.uniform(8.0, 40.0)
    pixel_mm = round((below + above - top) / rows, 4)
    width_mm = rows * pixel_mm * float(rng.uniform(*elongation))
    return View(
        rows=rows,
        columns=2 * round(width_mm / pixel_mm / 2),
        pixel_mm=pixel_mm,
        sacrum_from_bottom_mm=float(below),
        spine_from_front_mm=float(width_mm * np.clip(rng.normal(0.55, 0.033), 0.47, 0.61)),
        faces_right=bool(rng.random() < 0.4),
    )


def _draw_radiograph(
    rng: np.random.Generator,
    subject: SpineSubject,
    signs: SpineSigns,
    *,
    session: str,
    site: str,
    day: date,
    quick: bool,
) -> SpineImageSettings:
    first = site == "scanner_a"
    pose = _draw_pose(rng)
    rows = 2 * round(float(rng.uniform(1100, 1320) if first else rng.uniform(1160, 1300)) / (5 if quick else 2))
    view = _draw_view(rng, subject, signs, pose, rows=rows, elongation=(0.44, 0.54))
    edges = rng.uniform(3.0, 16.0, 4) * (rng.random() < (0.35 if first else 0.5))
    exposure = Exposure(
        quanta=float(np.exp(rng.normal(np.log(1.1e6 if first else 0.8e6), 0.35))),
        scatter_share=float(rng.uniform(0.15, 0.5)),
        blur_mm=float(rng.uniform(0.12, 0.3)),
        latitude=float(rng.uniform(0.55, 0.78) if first else rng.uniform(0.65, 0.85)),
        sharpening=float(rng.uniform(0.3, 1.1) if first else rng.uniform(0.6, 1.4)),
        black=float(rng.uniform(0.003, 0.05)),
        white=float(rng.uniform(0.987, 0.9993)),
        collimation_mm=(float(edges[0]), float(edges[1]), float(edges[2]), float(edges[3])),
        shutter=bool(rng.random() < 0.5),
        marker=_draw_marker(rng, view),
    )
    return SpineImageSettings(
        session=session,
        modality="radiograph",
        site=site,
        study_date=day,
        pose=pose,
        breath=Breath(dome_mm=float(np.clip(rng.normal(0.0, 9.0), -18.0, 18.0)), gas_seed=int(rng.integers(1 << 30))),
        view=view,
        exposure=exposure,
        storage=_draw_storage(rng, first),
        seed=int(rng.integers(1 << 30)),
    )


def _draw_marker(rng: np.random.Generator, view: View) -> tuple[str, float, float] | None:
    """A letter near a corner on the patient's front side, in three of five images."""
    wanted, down, inward = rng.random(3)
    if wanted > 0.6:
        return None
    from_front = 0.10 + 0.05 * inward
    place = 1.0 - from_front - 0.04 if view.faces_right else from_front
    return "R" if view.faces_right else "L", 0.06 if down < 0.5 else 0.90, place


def _draw_storage(rng: np.random.Generator, first: bool) -> Storage:
    """The first site has an older computed-radiography reader and a digital detector, the second another detector."""
    gamma = float(np.exp(rng.normal(0.3, 0.2)))
    kind = rng.choice(5, p=[0.25, 0.25, 0.2, 0.15, 0.15] if first else [0.1, 0.0, 0.35, 0.5, 0.05])
    name = ("cr_10_bit", "dx_12_bit", "dx_lut", "dx_inverted", "cr_8_bit")[int(kind)]
    return Storage(kind=name, gamma=gamma, compressed=bool(rng.random() < 0.15), spacing=int(rng.integers(3)))


def _draw_vfa(
    rng: np.random.Generator,
    subject: SpineSubject,
    signs: SpineSigns,
    *,
    session: str,
    site: str,
    day: date,
    quick: bool,
) -> SpineImageSettings:
    pose = _draw_pose(rng)
    rows = 2 * round(float(rng.uniform(400, 500)) / 2)
    view = _draw_view(rng, subject, signs, pose, rows=rows, elongation=(0.34, 0.42))
    scan = DxaScan(
        noise=float(rng.uniform(0.020, 0.038)),
        blur_mm=float(rng.uniform(0.75, 1.0)),
        tissue_left=float(rng.uniform(0.05, 0.12)),
        contrast=float(rng.uniform(0.40, 0.52)),
        base=float(rng.uniform(0.20, 0.27)),
    )
    return SpineImageSettings(
        session=session,
        modality="vfa",
        site=site,
        study_date=day,
        pose=pose,
        breath=Breath(dome_mm=float(np.clip(rng.normal(0.0, 9.0), -18.0, 18.0)), gas_seed=int(rng.integers(1 << 30))),
        view=view,
        exposure=scan,
        storage=Storage(kind="secondary_capture", gamma=1.0, compressed=bool(rng.random() < 0.2), spacing=0),
        seed=int(rng.integers(1 << 30)),
    )

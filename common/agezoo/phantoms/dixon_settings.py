"""How a whole-body phantom is scanned: everything about a Dixon examination that is not the body."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

STATIONS = 6
"""Stations of one examination, 1 = the one at the head."""


@dataclass(frozen=True)
class DixonSettings:
    """One examination of a whole-body phantom.

    Attributes
    ----------
    session
        ``"first"`` or ``"repeat"``.
    site
        ``"site_a"`` or ``"site_b"``, which differ in gain, noise, coil and voxel size.
    study_date
        Day of the examination.
    pixel_mm
        Size of a pixel in plane at full resolution.
    quick
        A third of the resolution along every axis.
    shift_mm
        Where the patient lies: to the Left, Anterior and Superior of the scanner's middle.
    rotation_deg
        Roll about the long axis.
    station_shifts_mm
        Movement between the stations (breath): Left, Anterior, Superior, one triple a station.
    station_gains
        Intensity step of each station, about 1.
    gain
        Stored value of an ideal signal of 1.
    noise
        SD of each part of the complex signal of an echo, as a share of an ideal signal of 1.
    suppression
        Water and fat are stored as 0 where the in-phase image is below this many noise SDs: air, and little else.
    end_signal
        Signal that is left at the ends of a station, as a share of the one in its middle.
    coil
        Smooth shading: change of the signal from the middle to the edge of the field of view, to the Left, Anterior and
        Superior (each station), and how much brighter the surface is.
    residual_phase_rad
        Phase error between the echoes at the edge of the field of view that the separation of water and fat leaves.
    swapped_stations
        Stations (1 = head) in which the scanner took fat for water.
    acquisition_order
        Stations in the order in which they were scanned, which is the order of their series' numbers.
    origin_mm
        Place of the scanner's middle in the frame of reference: Left, Posterior, Superior.
    descending
        Slices are numbered from head to foot.
    seed
        Stream of the noise.
    """

    session: str
    site: str
    study_date: date
    pixel_mm: float
    quick: bool
    shift_mm: tuple[float, float, float]
    rotation_deg: float
    station_shifts_mm: tuple[tuple[float, float, float], ...]
    station_gains: tuple[float, ...]
    gain: float
    noise: float
    suppression: float
    end_signal: float
    coil: tuple[float, float, float, float]
    residual_phase_rad: float
    swapped_stations: tuple[int, ...]
    acquisition_order: tuple[int, ...]
    origin_mm: tuple[float, float, float]
    descending: bool
    seed: int


def draw_dixon_settings(
    rng: np.random.Generator, *, session: str, site: str, study_date: date, quick: bool, swap: bool
) -> DixonSettings:
    """Draw one examination.

    Parameters
    ----------
    rng
        Stream of this examination.
    session, site, study_date, quick
        See `DixonSettings`.
    swap
        Whether the scanner takes fat for water in one or two of the stations.
    """
    a = site == "site_a"
    swapped = rng.choice(np.arange(1, STATIONS + 1), size=int(rng.integers(1, 3)), replace=False)
    order = tuple(range(1, STATIONS + 1))
    turned = rng.random() < 0.3
    gains = np.exp(rng.normal(0.0, 0.10 if a else 0.14, STATIONS))
    breath = rng.normal(0.0, (0.8, 1.2, 2.0), (STATIONS, 3)).clip(-5.0, 5.0).round(2)
    return DixonSettings(
        session=session,
        site=site,
        study_date=study_date,
        pixel_mm=2.232143 if a else 2.277344,
        quick=quick,
        shift_mm=tuple(rng.normal(0.0, (5.0, 4.0, 10.0)).clip(-20.0, 20.0).round(2).tolist()),
        rotation_deg=float(np.round(np.clip(rng.normal(0.0, 1.2), -3.0, 3.0), 3)),
        station_shifts_mm=tuple(tuple(row) for row in breath.tolist()),
        station_gains=tuple(gains.round(4).tolist()),
        gain=float(np.round(rng.uniform(420.0, 520.0) if a else rng.uniform(620.0, 800.0), 1)),
        noise=float(np.round(rng.uniform(0.014, 0.020) if a else rng.uniform(0.022, 0.030), 5)),
        suppression=4.0 if a else 3.3,
        end_signal=float(np.round(rng.uniform(0.60, 0.75), 3)),
        coil=tuple(np.round(rng.normal((0.0, 0.0, 0.0, 0.12 if a else 0.2), (0.05, 0.05, 0.03, 0.03)), 4).tolist()),
        residual_phase_rad=float(np.round(rng.uniform(0.05, 0.2), 3)),
        swapped_stations=tuple(sorted(swapped.tolist())) if swap else (),
        acquisition_order=order[::-1] if turned else order,
        origin_mm=(0.0, 0.0, round(float(rng.uniform(-700.0, -400.0)), 1)) if a else (0.0, 25.0, -538.0),
        descending=bool(rng.random() < 0.4),
        seed=int(rng.integers(0, 2**31)),
    )

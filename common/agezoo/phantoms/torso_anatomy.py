"""One phantom person's torso: landmarks, spine curve and body contours, before anything is drawn.

Frame: patient coordinates in mm, x to the patient's left, y to the back, z to the head (DICOM's patient axes),
origin in the middle of the trunk at the level of the lumbosacral joint. Shapes are written for one nominal adult;
`Torso.z_mm` and `Torso.nominal_z` carry heights between the nominal adult and the person.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.interpolate import CubicSpline

from agezoo.phantoms.torso_ageing import AgeingSigns, ageing_signs

CONTOUR_ANGLES = 720
"""Directions in which a body contour is sampled; direction 0 points to the patient's left, 180 to the back."""


@dataclass(frozen=True)
class PhantomSubject:
    """One invented person.

    Attributes
    ----------
    subject_id
        Identifier such as ``PHANTOM-0001``.
    seed
        Entropy of every random stream of this person.
    sex
        ``'F'`` or ``'M'``.
    age_years
        Chronological age at the time of the scans.
    deviation_years
        How much older the body is than the person.
    stature
        Length of the trunk relative to the nominal adult.
    fatness
        Subcutaneous fat, in standard deviations.
    """

    subject_id: str
    seed: tuple[int, ...]
    sex: str
    age_years: float
    deviation_years: float
    stature: float = 1.0
    fatness: float = 0.0

    @property
    def biological_age_years(self) -> float:
        """Chronological age plus deviation: the only age that the images depend on."""
        return self.age_years + self.deviation_years

    def rng(self, purpose: str) -> np.random.Generator:
        """Return the random stream for one purpose, the same in every scan of this person."""
        return np.random.default_rng([*self.seed, zlib.crc32(purpose.encode())])


@dataclass(frozen=True)
class Vertebra:
    """Position and size of one vertebral body in the patient frame (mm); `disc_mm` is the disc below it."""

    name: str
    centre_y_mm: float
    centre_z_mm: float
    tilt_rad: float
    height_mm: float
    half_width_mm: float
    half_depth_mm: float
    disc_mm: float


# Caudal to cranial: name, body height, disc below, half width, half depth (mm) of the nominal adult.
_SPINE = [
    ("L5", 27.0, 10.0, 25.0, 17.0),
    ("L4", 27.0, 11.0, 24.0, 17.0),
    ("L3", 27.0, 10.5, 23.0, 16.8),
    ("L2", 26.5, 9.5, 22.0, 16.4),
    ("L1", 26.0, 8.5, 21.0, 16.0),
    ("T12", 25.0, 7.0, 20.0, 15.8),
    ("T11", 24.0, 6.0, 18.5, 15.6),
    ("T10", 23.0, 5.5, 17.0, 15.4),
    ("T9", 22.0, 5.0, 16.0, 15.2),
    ("T8", 21.0, 4.5, 15.2, 14.8),
    ("T7", 20.5, 4.2, 14.8, 14.2),
    ("T6", 20.0, 4.0, 14.4, 13.6),
    ("T5", 19.5, 4.0, 14.0, 12.8),
    ("T4", 19.0, 4.0, 13.8, 12.0),
    ("T3", 18.5, 4.0, 14.0, 11.2),
    ("T2", 18.0, 4.0, 14.6, 10.4),
    ("T1", 17.5, 4.0, 15.4, 9.6),
    ("C7", 14.0, 5.0, 14.5, 9.0),
    ("C6", 13.0, 5.0, 13.5, 8.8),
    ("C5", 13.0, 5.0, 13.0, 8.6),
]
SACRAL_TOP_MM = -20.0

# Spine curve of the nominal adult lying on the back: height and depth of the vertebral centres (mm).
_CURVE_Z = (-60.0, -20.0, 3.0, 79.0, 150.0, 213.0, 295.0, 365.0, 437.0, 480.0, 530.0)
_CURVE_Y = (52.0, 32.0, 21.0, 8.0, 17.0, 31.0, 43.0, 41.0, 22.0, 8.0, -6.0)

# Half widths and depths of the muscle fascia and of the body cavity over nominal height (mm).
_FASCIA_Z = (-240, -200, -160, -120, -80, -40, 0, 30, 80, 130, 180, 230, 280, 330, 370, 400, 425, 445, 462, 475, 505)
_FASCIA_WIDTH = (
    160,
    163,
    165,
    160,
    151,
    143,
    134,
    129,
    131,
    138,
    145,
    149,
    151,
    151,
    150,
    154,
    162,
    168,
    166,
    158,
    128,
)
_FASCIA_FRONT = (78, 82, 84, 84, 85, 87, 88, 88, 91, 98, 106, 111, 111, 106, 96, 84, 72, 62, 57, 54, 52)
_FASCIA_BACK = (86, 92, 97, 99, 98, 95, 92, 90, 90, 92, 95, 98, 100, 101, 101, 99, 95, 88, 80, 72, 62)
_CAVITY_Z = (-165, -150, -130, -100, -75, -50, -20, 0, 30, 80, 130, 180, 230, 280, 330, 370, 400, 425, 445, 458, 467)
_CAVITY_WIDTH = (1, 34, 52, 60, 66, 86, 110, 114, 112, 113, 119, 127, 131, 131, 125, 115, 101, 81, 59, 38, 2)
_CAVITY_FRONT = (1, 34, 55, 68, 74, 77, 78, 77, 77, 79, 86, 94, 97, 94, 84, 70, 54, 38, 24, 12, 2)
_CAVITY_BACK = (1, 40, 58, 62, 62, 58, 53, 51, 51, 52, 58, 71, 80, 83, 82, 79, 72, 63, 52, 40, 4)

# Subcutaneous fat of the nominal adult (mm) over nominal height: at the front, the side and the back.
_FAT_Z = (-240, -160, -100, -40, 30, 100, 180, 280, 400, 470, 505)
_FAT_FRONT = (9, 11, 16, 19, 17, 12, 8, 7, 6, 5, 5)
_FAT_SIDE = (14, 20, 22, 22, 17, 12, 8, 7, 7, 6, 5)
_FAT_BACK = (12, 20, 22, 18, 13, 10, 8, 8, 10, 9, 7)


class Torso:
    """Geometry of one person at one body size, derived from the subject alone.

    Parameters
    ----------
    subject
        The person; equal subjects give equal torsos.
    """

    def __init__(self, subject: PhantomSubject) -> None:
        self.subject = subject
        self.signs: AgeingSigns = ageing_signs(subject.biological_age_years, subject.rng("ageing"))
        rng = subject.rng("anatomy")
        female = subject.sex == "F"
        self.female = female
        self.girth = float((0.955 if female else 1.0) * np.clip(1.0 + 0.035 * rng.standard_normal(), 0.92, 1.09))
        self.girth *= 0.5 + 0.5 * subject.stature
        self.hip_factor = 1.03 if female else 0.99
        self.fat_factor = float(np.clip(np.exp(0.36 * subject.fatness) * (1.15 if female else 0.85), 0.4, 2.3))
        self.visceral_fat = float(np.clip(0.5 * subject.fatness + self.signs.visceral_fat, -1.6, 2.2))
        self._contours: dict[bytes, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
        self.lordosis_mm = 4.0 * rng.standard_normal()
        self.scoliosis_mm = 2.5 * rng.standard_normal()
        self._wobble = rng.normal(0.0, 1.0, (6, 2)) * (0.006 / np.arange(1, 7)[:, None])

    @cached_property
    def vertebrae(self) -> list[Vertebra]:
        """The vertebrae from L5 upward, stacked with this person's disc heights."""
        placed = []
        z = SACRAL_TOP_MM
        nominal_z = SACRAL_TOP_MM
        for name, height, disc, half_width, half_depth in _SPINE:
            lumbar = name.startswith("L")
            # Thoracic discs hardly lose height; a shrunken factor keeps the stack plausible.
            factor = self.signs.disc_height_factor if lumbar else 0.5 + 0.5 * self.signs.disc_height_factor
            height_mm = height * self.subject.stature
            disc_mm = disc * self.subject.stature * factor
            z += disc_mm + height_mm / 2
            nominal_z += disc + height / 2
            size = self.girth
            placed.append(
                Vertebra(
                    name=name,
                    centre_y_mm=float(self._spine_depth(nominal_z)),
                    centre_z_mm=z,
                    tilt_rad=float(np.arctan(self._spine_depth(nominal_z, 1)) * 0.95),
                    height_mm=height_mm,
                    half_width_mm=half_width * size,
                    half_depth_mm=half_depth * size,
                    disc_mm=disc_mm,
                )
            )
            z += height_mm / 2
            nominal_z += height / 2
        return placed

    @cached_property
    def _curve(self) -> CubicSpline:
        depth = np.array(_CURVE_Y)
        height = np.array(_CURVE_Z)
        depth = depth + self.signs.kyphosis_mm * 0.6 * np.exp(-(((height - 310) / 70) ** 2))
        depth = depth - self.signs.kyphosis_mm * 0.4 * np.exp(-(((height - 490) / 50) ** 2))
        depth = depth + self.lordosis_mm * np.exp(-(((height - 79) / 60) ** 2))
        return CubicSpline(height, depth)

    def _spine_depth(self, nominal_z: float, derivative: int = 0) -> float:
        return self._curve(nominal_z, derivative)

    @cached_property
    def _levels(self) -> tuple[np.ndarray, np.ndarray]:
        nominal = [-1000.0 + SACRAL_TOP_MM, SACRAL_TOP_MM]
        actual = [-1000.0 * self.subject.stature + SACRAL_TOP_MM, SACRAL_TOP_MM]
        z = SACRAL_TOP_MM
        for (_, height, disc, _, _), vertebra in zip(_SPINE, self.vertebrae, strict=True):
            nominal.append(z + disc + height / 2)
            actual.append(vertebra.centre_z_mm)
            z += disc + height
        nominal.append(nominal[-1] + 1000.0)
        actual.append(actual[-1] + 1000.0 * self.subject.stature)
        return np.array(nominal), np.array(actual)

    def z_mm(self, nominal_z: float | np.ndarray) -> np.ndarray:
        """Height in this person (mm) of a height in the nominal adult."""
        nominal, actual = self._levels
        return np.interp(nominal_z, nominal, actual)

    def nominal_z(self, z_mm: float | np.ndarray) -> np.ndarray:
        """Height in the nominal adult of a height in this person; the inverse of `z_mm`."""
        nominal, actual = self._levels
        return np.interp(z_mm, actual, nominal)

    def spine_y_mm(self, z_mm: float | np.ndarray) -> np.ndarray:
        """Depth (mm) of the vertebral centres at a height of this person."""
        return self._curve(self.nominal_z(z_mm))

    def spine_x_mm(self, z_mm: float | np.ndarray) -> np.ndarray:
        """Sideways course (mm) of the vertebral centres: a mild scoliosis."""
        return self.scoliosis_mm * np.sin((self.nominal_z(z_mm) - 40.0) / 85.0)

    def vertebra_size_mm(self, z_mm: float | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Half width and half depth (mm) of the vertebral bodies, interpolated over height."""
        heights = [v.centre_z_mm for v in self.vertebrae]
        widths = [v.half_width_mm for v in self.vertebrae]
        depths = [v.half_depth_mm for v in self.vertebrae]
        return np.asarray(np.interp(z_mm, heights, widths)), np.asarray(np.interp(z_mm, heights, depths))

    def contours_mm(self, z_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Radii (mm) of the skin, of the muscle fascia and of the body cavity.

        Parameters
        ----------
        z_mm
            Heights in this person's frame, shape (slices,).

        Returns
        -------
        tuple of three float32 arrays of shape (slices, CONTOUR_ANGLES)
            Distance from the trunk's axis (x = y = 0) in direction ``2 pi * column / CONTOUR_ANGLES`` (from x to y).
        """
        key = np.asarray(z_mm, float).tobytes()
        if key not in self._contours:
            self._contours[key] = self._contours_mm(np.asarray(z_mm, float))
        return self._contours[key]

    def _contours_mm(self, z_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        height = self.nominal_z(z_mm)[:, None]
        angle = (np.arange(CONTOUR_ANGLES) * (2 * np.pi / CONTOUR_ANGLES))[None, :]
        belly = np.exp(-(((height - 50.0) / 85.0) ** 2))
        hips = np.exp(-(((height + 120.0) / 70.0) ** 2))
        wide = self.girth * (1.0 + 0.055 * self.visceral_fat * belly) * (1.0 + (self.hip_factor - 1.0) * hips)
        high = self.girth * (1.0 + 0.13 * self.visceral_fat * belly)
        fascia = self._oval(
            angle,
            np.interp(height, _FASCIA_Z, _FASCIA_WIDTH) * wide,
            np.interp(height, _FASCIA_Z, _FASCIA_FRONT) * high,
            np.interp(height, _FASCIA_Z, _FASCIA_BACK) * self.girth,
        )
        cavity = self._oval(
            angle,
            np.interp(height, _CAVITY_Z, _CAVITY_WIDTH) * wide,
            np.interp(height, _CAVITY_Z, _CAVITY_FRONT) * high,
            np.interp(height, _CAVITY_Z, _CAVITY_BACK) * self.girth,
        )
        for order, (cosine, sine) in enumerate(self._wobble, start=2):
            ripple = 1.0 + cosine * np.cos(order * angle) + sine * np.sin(order * angle + height / 90.0)
            fascia, cavity = fascia * ripple, cavity * ripple
        back_dip = np.exp(-(((angle - np.pi / 2) / 0.13) ** 2))
        fascia = fascia - 7.0 * back_dip * np.clip((height + 60.0) / 60.0, 0.0, 1.0)
        fascia = self._legs(angle, height, fascia)
        front = np.clip(-np.sin(angle), 0.0, 1.0) ** 2
        back = np.clip(np.sin(angle), 0.0, 1.0) ** 2
        fat = (
            np.interp(height, _FAT_Z, _FAT_FRONT) * front
            + np.interp(height, _FAT_Z, _FAT_BACK) * back
            + np.interp(height, _FAT_Z, _FAT_SIDE) * np.cos(angle) ** 2
        )
        skin = fascia + 2.0 + fat * self.fat_factor + self._breasts(angle, height)
        # Lying flattens the back and the seat.
        seat = np.interp(height, _FASCIA_Z, _FASCIA_BACK) * self.girth + 9.0 + 6.0 * self.fat_factor
        skin = np.where(np.sin(angle) > 0.25, np.minimum(skin, seat / np.clip(np.sin(angle), 0.25, 1.0)), skin)
        fascia = np.minimum(fascia, skin - 2.5)
        cavity = np.minimum(cavity, fascia - 5.0)
        return skin.astype(np.float32), fascia.astype(np.float32), np.maximum(cavity, 0.5).astype(np.float32)

    @staticmethod
    def _oval(angle: np.ndarray, width: np.ndarray, front: np.ndarray, back: np.ndarray) -> np.ndarray:
        depth = np.where(np.sin(angle) > 0, back, front)
        power = np.where(np.sin(angle) > 0, 2.5, 2.25)
        return (np.abs(np.cos(angle) / width) ** power + np.abs(np.sin(angle) / depth) ** power) ** (-1.0 / power)

    def _legs(self, angle: np.ndarray, height: np.ndarray, fascia: np.ndarray) -> np.ndarray:
        centre, radius = 84.0 * self.girth, 82.0 * self.girth
        reach = np.abs(centre * np.sin(angle))
        leg = centre * np.abs(np.cos(angle)) + np.sqrt(np.clip(radius**2 - reach**2, 0.0, None))
        leg = np.where(reach < radius, leg, 15.0)
        share = np.clip((-165.0 - height) / 50.0, 0.0, 1.0)
        return fascia * (1.0 - share) + np.minimum(leg, fascia * 1.05) * share

    def _breasts(self, angle: np.ndarray, height: np.ndarray) -> np.ndarray | float:
        if not self.female:
            return 0.0
        size = 22.0 + 12.0 * (self.fat_factor - 1.0)
        bump = np.exp(-(((angle - np.pi * 1.30) / 0.24) ** 2)) + np.exp(-(((angle - np.pi * 1.70) / 0.24) ** 2))
        return size * bump * np.exp(-((np.abs(height - 285.0) / 52.0) ** 2.6))

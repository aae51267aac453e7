"""Outer shape of a whole-body phantom: skin, muscle fascia and body cavity of trunk, legs and arms.

Shapes are written for one nominal adult of 169 cm; `BodyShape.z_mm` carries heights to the person. Height 0 is at the
lumbosacral joint; the hip joints lie at -114 mm, the knees at -545 mm, the shoulders at 440 mm.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy.interpolate import PchipInterpolator

from agezoo.phantoms.body_subject import BodySubject
from agezoo.phantoms.torso_anatomy import CONTOUR_ANGLES

NOMINAL_HEIGHT_CM = 169.0

# Height, half width, depth in front and depth at the back of the muscle fascia of the trunk (mm).
_FASCIA = np.array(
    [
        (-196, 4, 4, 4),
        (-188, 40, 34, 50),
        (-165, 100, 64, 84),
        (-140, 146, 78, 97),
        (-110, 158, 83, 101),
        (-80, 153, 84, 98),
        (-40, 143, 85, 95),
        (0, 134, 86, 92),
        (30, 129, 87, 90),
        (80, 130, 90, 90),
        (130, 137, 96, 92),
        (180, 144, 104, 95),
        (230, 149, 110, 98),
        (280, 151, 110, 100),
        (330, 151, 104, 101),
        (370, 150, 94, 101),
        (400, 152, 82, 99),
        (425, 160, 70, 95),
        (445, 163, 62, 88),
        (465, 152, 57, 80),
        (482, 118, 53, 71),
        (500, 82, 51, 64),
        (520, 63, 50, 58),
        (545, 57, 50, 55),
        (620, 56, 52, 55),
    ],
    float,
)
# The same of the body cavity, from the pelvic floor to the tips of the lungs.
_CAVITY = np.array(
    [
        (-172, 1, 1, 1),
        (-150, 34, 34, 40),
        (-130, 52, 55, 58),
        (-100, 60, 68, 62),
        (-75, 66, 74, 62),
        (-50, 86, 77, 58),
        (-20, 108, 78, 53),
        (0, 113, 77, 51),
        (30, 112, 77, 51),
        (80, 114, 80, 52),
        (130, 121, 88, 59),
        (180, 129, 96, 72),
        (230, 133, 100, 81),
        (280, 133, 99, 85),
        (330, 127, 90, 85),
        (370, 116, 76, 81),
        (400, 102, 60, 75),
        (425, 84, 45, 66),
        (445, 64, 32, 55),
        (460, 44, 22, 43),
        (472, 2, 2, 4),
    ],
    float,
)
# Height and subcutaneous fat (mm) at the front, the side and the back of the trunk.
_FAT = np.array(
    [
        (-190, 14, 20, 16),
        (-110, 15, 24, 22),
        (-60, 19, 24, 21),
        (-20, 22, 22, 18),
        (30, 20, 18, 14),
        (100, 14, 13, 11),
        (180, 9, 9, 9),
        (280, 8, 8, 9),
        (400, 7, 8, 11),
        (470, 6, 7, 10),
        (520, 4, 5, 5),
        (620, 4, 4, 4),
    ],
    float,
)
# Height, sideways and backward place of the centre, half width and half depth of a thigh's fascia.
_THIGH = np.array(
    [
        (-640, 92, 12, 46, 50),
        (-590, 92, 8, 48, 52),
        (-560, 92, 4, 52, 55),
        (-530, 91, 2, 54, 57),
        (-490, 90, 2, 54, 60),
        (-420, 88, 4, 62, 67),
        (-340, 86, 5, 71, 74),
        (-260, 84, 5, 77, 80),
        (-200, 83, 6, 80, 84),
        (-150, 82, 8, 78, 84),
        (-110, 82, 10, 68, 76),
        (-70, 82, 10, 44, 50),
    ],
    float,
)
# Height, backward place of the centre, half width and half depth of an arm's fascia.
_ARM = np.array(
    [
        (-330, 0, 3, 2),
        (-318, 0, 14, 6),
        (-270, 0, 33, 10),
        (-215, 2, 40, 14),
        (-175, 4, 36, 15),
        (-150, 6, 28, 17),
        (-110, 10, 28, 20),
        (-40, 16, 33, 28),
        (30, 22, 39, 36),
        (80, 26, 40, 39),
        (115, 28, 37, 36),
        (160, 28, 37, 38),
        (230, 24, 42, 45),
        (300, 18, 43, 49),
        (360, 12, 47, 54),
        (405, 8, 52, 57),
        (435, 6, 50, 52),
        (455, 5, 40, 40),
        (468, 5, 20, 20),
        (474, 5, 3, 3),
    ],
    float,
)
_SHOULDER_X_MM = 164.0


class BodyShape:
    """Geometry of one person, derived from the subject alone.

    Parameters
    ----------
    subject
        The person at a visit.
    """

    def __init__(self, subject: BodySubject) -> None:
        self.subject = subject
        self.female = subject.sex == "F"
        rng = subject.rng("shape")
        posture = subject.visit_rng("posture")
        self.stretch = subject.height_cm / NOMINAL_HEIGHT_CM
        frame = float(np.clip(rng.standard_normal(), -2.0, 2.0))
        self.girth = (0.95 if self.female else 1.0) * (0.5 + 0.5 * self.stretch) * (1.0 + 0.025 * frame)
        self.girth *= 1.0 + 0.02 * subject.muscularity + 0.012 * subject.fatness
        self.limb = self.girth * (1.0 + 0.035 * subject.muscularity)
        self.hip_factor = 1.06 if self.female else 0.985
        gluteofemoral = (0.5 if self.female else -0.8) + 0.6 * float(np.clip(rng.standard_normal(), -2.0, 2.0))
        fat = float(np.clip(np.exp(0.42 * subject.fatness) * (1.2 if self.female else 0.85), 0.35, 2.7))
        self.trunk_fat = fat * float(np.exp(-0.22 * gluteofemoral))
        self.hip_fat = fat * float(np.exp(0.30 * gluteofemoral))
        self.visceral = float(np.clip(subject.visceral_fatness + (-0.3 if self.female else 0.4), -1.8, 2.4))
        self.breast_mm = (24.0 + 11.0 * (fat - 1.2) + 5.0 * rng.standard_normal()) if self.female else 0.0
        self.arm_gap_mm = posture.uniform(3.0, 12.0, 2)
        self.leg_gap_mm = float(posture.uniform(-4.0, 14.0))
        self.lordosis_mm = 3.0 * float(np.clip(rng.standard_normal(), -2.0, 2.0))
        self.scoliosis_mm = 2.5 * float(np.clip(rng.standard_normal(), -2.0, 2.0))
        self.muscle_fat_fraction = float(
            np.clip(0.05 + 0.02 * rng.standard_normal() + 0.015 * subject.fatness, 0.01, 0.14)
        )
        self.marrow_fat_fraction = float(np.clip(0.58 + 0.05 * rng.standard_normal(), 0.42, 0.72))
        self.pancreas_fat_fraction = float(
            np.clip(0.08 + 0.05 * rng.standard_normal() + 0.02 * subject.fatness, 0.0, 0.35)
        )
        self.heart_size = self.girth * float(1.0 + 0.035 * np.clip(rng.standard_normal(), -2.0, 2.0))
        self.aorta_factor = (0.95 if self.female else 1.0) * float(
            1.0 + 0.02 * np.clip(rng.standard_normal(), -2.0, 2.0)
        )
        self.breath_mm = float(np.clip(6.0 * posture.standard_normal(), -13.0, 13.0))
        self.lung_water = float(0.09 * np.exp(0.15 * rng.standard_normal()) * (1.0 - 0.008 * self.breath_mm))
        self.visceral_water = float(np.clip(0.08 + 0.02 * rng.standard_normal(), 0.03, 0.14))
        self._wobble = rng.normal(0.0, 1.0, (6, 2)) * (0.006 / np.arange(1, 7)[:, None])
        self.middle_z_mm = -10.0 * self.stretch
        # The back rests on the couch; the belly of a large person rises towards the bore.
        self.middle_y_mm = -6.0 - 7.0 * max(self.visceral, 0.0)

    def z_mm(self, nominal_z: float | np.ndarray) -> np.ndarray:
        """Height in this person (mm) of a height in the nominal adult."""
        return np.asarray(nominal_z) * self.stretch

    def nominal_z(self, z_mm: float | np.ndarray) -> np.ndarray:
        """Height in the nominal adult of a height in this person; the inverse of `z_mm`."""
        return np.asarray(z_mm) / self.stretch

    def contours_mm(self, z_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Radii (mm) of the trunk's skin, muscle fascia and cavity.

        Parameters
        ----------
        z_mm
            Heights in this person, shape (slices,).

        Returns
        -------
        tuple of three float32 arrays of shape (slices, CONTOUR_ANGLES)
            Distance from the trunk's axis (x = y = 0) in direction ``2 pi * column / CONTOUR_ANGLES`` (from x, the
            left, to y, the back); 0 where there is none.
        """
        height = self.nominal_z(np.asarray(z_mm, float))[:, None]
        angle = (np.arange(CONTOUR_ANGLES) * (2 * np.pi / CONTOUR_ANGLES))[None, :]
        belly = np.exp(-(((height - 45.0) / 95.0) ** 2))
        hips = np.exp(-(((height + 120.0) / 70.0) ** 2))
        wide = self.girth * (1.0 + 0.085 * self.visceral * belly) * (1.0 + (self.hip_factor - 1.0) * hips)
        high = self.girth * (1.0 + 0.17 * self.visceral * belly)
        radii = []
        for table in (_FASCIA, _CAVITY):
            half_width, front, back = PchipInterpolator(table[:, 0], table[:, 1:])(
                np.clip(height[:, 0], table[0, 0], table[-1, 0])
            ).T[:, :, None]
            oval = _oval(angle, half_width * wide, front * high, back * self.girth)
            for order, (cosine, sine) in enumerate(self._wobble, start=2):
                oval = oval * (1.0 + cosine * np.cos(order * angle) + sine * np.sin(order * angle + height / 90.0))
            radii.append(np.where((height >= table[0, 0]) & (height <= table[-1, 0]), oval, 0.0))
        fascia, cavity = radii
        # The furrow over the spinous processes.
        furrow = np.exp(-(((angle - np.pi / 2) / 0.13) ** 2)) * np.clip((height + 60.0) / 60.0, 0.0, 1.0)
        fascia = fascia - 7.0 * furrow * (fascia > 40.0)
        skin = fascia + (2.0 + self._trunk_fat_mm(angle, height) + self._breasts_mm(angle, height)) * (fascia > 0)
        # Lying flattens the back and the seat.
        bed = np.interp(height, _FASCIA[:, 0], _FASCIA[:, 3]) * self.girth + 10.0 + 6.0 * self.trunk_fat
        skin = np.where(np.sin(angle) > 0.25, np.minimum(skin, bed / np.clip(np.sin(angle), 0.25, 1.0)), skin)
        fascia = np.minimum(fascia, np.maximum(skin - 3.0, 0.0))
        cavity = np.minimum(cavity, np.maximum(fascia - 5.0, 0.0))
        return skin.astype(np.float32), fascia.astype(np.float32), cavity.astype(np.float32)

    def _trunk_fat_mm(self, angle: np.ndarray, height: np.ndarray) -> np.ndarray:
        front, side, back = (np.interp(height, _FAT[:, 0], _FAT[:, column]) for column in (1, 2, 3))
        forward = np.clip(-np.sin(angle), 0.0, 1.0) ** 2
        backward = np.clip(np.sin(angle), 0.0, 1.0) ** 2
        amount = front * forward + back * backward + side * np.cos(angle) ** 2
        low = np.clip((-20.0 - height) / 80.0, 0.0, 1.0)
        return amount * (self.hip_fat * low + self.trunk_fat * (1.0 - low))

    def _breasts_mm(self, angle: np.ndarray, height: np.ndarray) -> np.ndarray | float:
        if not self.female:
            return 0.0
        bump = np.exp(-(((angle - np.pi * 1.30) / 0.26) ** 2)) + np.exp(-(((angle - np.pi * 1.70) / 0.26) ** 2))
        return max(self.breast_mm, 4.0) * bump * np.exp(-((np.abs(height - 288.0) / 55.0) ** 2.6))

    def thigh(self, side: int, *, skin: bool = False) -> np.ndarray:
        """Knots of a thigh (side 1 is the left) for `BodyCanvas.column`: its muscle fascia, or its skin."""
        z, x, y, wide, deep = _THIGH.T
        low = np.clip((-180.0 - z) / 300.0, 0.0, 1.0)
        x = x * self.girth * (1.0 + (self.hip_factor - 1.0) * (1.0 - low)) + self.leg_gap_mm * low
        fat = self.thigh_fat_mm(z) if skin else 0.0
        centre = side * (x + (0.1 * fat))
        return np.stack([self.z_mm(z), centre, y * self.girth, wide * self.limb + fat, deep * self.limb + 0.9 * fat], 1)

    def thigh_fat_mm(self, nominal_z: np.ndarray) -> np.ndarray:
        """Thickness of the fat of the thigh at heights of the nominal adult."""
        return 2.0 + np.interp(nominal_z, (-600, -540, -430, -250, -150), (5, 6, 9, 13, 15)) * self.hip_fat

    def arm(self, side: int, *, skin: bool = False) -> np.ndarray:
        """Knots of an arm (side 1 is the left) for `BodyCanvas.column`: its muscle fascia, or its skin."""
        z, y, wide, deep = _ARM.T
        fat = self.arm_fat_mm(z) if skin else 0.0
        size = 0.94 * self.limb if self.female else self.limb
        return np.stack(
            [self.z_mm(z), side * self._arm_x_mm[side], y * self.girth, wide * size + fat, deep * size + fat], axis=1
        )

    def arm_fat_mm(self, nominal_z: np.ndarray) -> np.ndarray:
        """Thickness of the fat of the arm at heights of the nominal adult."""
        return 2.0 + np.interp(nominal_z, (-330, -150, 0, 120, 250, 400, 470), (0, 1, 4, 5, 8, 7, 4)) * self.trunk_fat

    def shoulder_mm(self, side: int) -> np.ndarray:
        """Centre of the head of a humerus: x, y, z."""
        return np.array([side * (_SHOULDER_X_MM - 6.0) * self.girth, 6.0 * self.girth, float(self.z_mm(432.0))])

    def hip_mm(self, side: int) -> np.ndarray:
        """Centre of a hip joint: x, y, z."""
        return np.array([side * 86.0 * self.girth * self.hip_factor, -2.0 * self.girth, float(self.z_mm(-114.0))])

    @cached_property
    def _arm_x_mm(self) -> dict[int, np.ndarray]:
        """Sideways place of each arm: beside the trunk, the hip and the thigh, whichever is widest."""
        z, _, wide, _ = _ARM.T
        size = 0.94 * self.limb if self.female else self.limb
        half = wide * size + self.arm_fat_mm(z)
        trunk = self.contours_mm(self.z_mm(z))[0][:, 0]
        thigh = self.thigh(1, skin=True)
        leg = np.interp(self.z_mm(z), thigh[:, 0], thigh[:, 1] + thigh[:, 3])
        beside = np.maximum(trunk, np.where(z < -120, leg, 0.0)) + half
        places = {}
        for side, gap in zip((1, -1), self.arm_gap_mm, strict=True):
            hanging = np.clip((430.0 - z) / 110.0, 0.0, 1.0)
            shoulder = _SHOULDER_X_MM * self.girth
            places[side] = shoulder * (1.0 - hanging) + np.maximum(beside + gap, shoulder + 8.0) * hanging
        return places


def _oval(angle: np.ndarray, width: np.ndarray, front: np.ndarray, back: np.ndarray) -> np.ndarray:
    depth = np.where(np.sin(angle) > 0, back, front)
    power = np.where(np.sin(angle) > 0, 2.5, 2.25)
    return (np.abs(np.cos(angle) / width) ** power + np.abs(np.sin(angle) / depth) ** power) ** (-1.0 / power)

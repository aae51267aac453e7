"""The shape of a person's vertebral column in the sagittal plane, from the ageing signs and the pose."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agezoo.phantoms.spine_ageing import LEVELS, SpineSigns, spine_signs

FloatArray = NDArray[np.float64]

# Of an average adult, in mm, from T2 to L5; a radiograph's magnification is part of `SpineSubject.stature`.
_HEIGHT_MM = (17.0, 17.8, 18.5, 19.0, 19.6, 20.2, 20.8, 21.6, 22.6, 23.6, 25.0, 26.4, 27.4, 28.0, 28.0, 27.5)
_DEPTH_MM = (18.0, 19.0, 20.5, 22.0, 24.0, 26.0, 27.5, 29.0, 30.0, 31.0, 32.0, 33.0, 34.2, 35.0, 35.5, 35.5)
_DISC_MM = (4.0, 4.0, 4.2, 4.5, 4.8, 5.0, 5.2, 5.5, 6.0, 6.8, 7.8, 9.2, 10.8, 12.2, 13.0, 11.5)
# Shares of the lordosis in the discs below L1 to L5, and in the bodies of L1 to L5.
_LORDOSIS_DISCS = (0.05, 0.09, 0.13, 0.18, 0.27)
_LORDOSIS_BODIES = (0.0, 0.02, 0.04, 0.07, 0.15)
# Shares of the kyphosis from T4 to T12, two thirds in the bodies.
_KYPHOSIS = (0.06, 0.10, 0.14, 0.17, 0.17, 0.14, 0.10, 0.07, 0.05)


@dataclass(frozen=True)
class SpineSubject:
    """A synthetic person.

    Attributes
    ----------
    subject_id
        Name in every table and header.
    seed
        The person's own random stream.
    sex
        ``"F"`` or ``"M"``.
    age_years, deviation_years
        Chronological age, and how much older the spine is.
    stature
        Factor of all lengths.
    fatness
        Standard normal score of the girth.
    """

    subject_id: str
    seed: tuple[int, ...]
    sex: str
    age_years: float
    deviation_years: float
    stature: float
    fatness: float

    @property
    def biological_age_years(self) -> float:
        """The age that the images show."""
        return self.age_years + self.deviation_years


@dataclass(frozen=True)
class Pose:
    """How a person stands before the detector, drawn anew for each image.

    Attributes
    ----------
    tilt_deg
        Inclination of the line from the sacrum to T4, forward positive.
    bend_deg
        Change of the lordosis by posture.
    turn_mm
        Distance between the two sides' ribs and iliac wings in the projection.
    obliquity
        Tilt of the endplates towards the beam, 0 (tangential) to about 1 (double contours).
    """

    tilt_deg: float
    bend_deg: float
    turn_mm: float
    obliquity: float


@dataclass(frozen=True)
class Vertebra:
    """One vertebral body in the image plane: x to the back, y downwards, in mm.

    Attributes
    ----------
    level
        Its name, e.g. ``"L3"``.
    centre_mm
        Middle of the body.
    lean_deg
        Forward inclination of its long axis.
    depth_mm, width_mm
        From front to back, and across (along the beam).
    height_mm
        At the front, in the middle (between the deepest points of the endplates) and at the back.
    concavity_mm
        Depth of the upper and the lower endplate; its floor lies this much inside the rim.
    """

    level: str
    centre_mm: FloatArray
    lean_deg: float
    depth_mm: float
    width_mm: float
    height_mm: tuple[float, float]
    concavity_mm: tuple[float, float]

    def place(self, points: ArrayLike) -> FloatArray:
        """Points given as (towards the back, towards the head) from the centre, in the image plane; shape (n, 2)."""
        return self.centre_mm + np.asarray(points, dtype=np.float64) @ _axes(self.lean_deg)

    def corners(self) -> FloatArray:
        """Upper front, upper back, lower back and lower front corner, shape (4, 2)."""
        half, front, back = self.depth_mm / 2, self.height_mm[0] / 2, self.height_mm[1] / 2
        return self.place([(-half, front), (half, back), (half, -back), (-half, -front)])


@dataclass(frozen=True)
class Column:
    """The vertebrae from head to foot (`LEVELS`), and the upper endplate of the sacrum.

    Attributes
    ----------
    vertebrae
        From T2 to L5.
    sacrum_mm
        Middle of the sacrum's endplate.
    sacral_slope_deg
        Its forward inclination.
    sacrum_depth_mm
        Length of that endplate.
    """

    vertebrae: tuple[Vertebra, ...]
    sacrum_mm: FloatArray
    sacral_slope_deg: float
    sacrum_depth_mm: float

    def __getitem__(self, level: str) -> Vertebra:
        return self.vertebrae[LEVELS.index(level)]

    def moved(self, shift_mm: ArrayLike) -> Column:
        """The same column elsewhere in the image plane."""
        shift = np.asarray(shift_mm, dtype=np.float64)
        vertebrae = tuple(replace(vertebra, centre_mm=vertebra.centre_mm + shift) for vertebra in self.vertebrae)
        return replace(self, vertebrae=vertebrae, sacrum_mm=self.sacrum_mm + shift)

    def line(self, back_mm: float) -> FloatArray:
        """Curve parallel to the column from head to foot, ``back_mm`` behind the bodies' middles; shape (n, 2)."""
        return np.array([vertebra.place([(back_mm, 0.0)])[0] for vertebra in self.vertebrae])

    def sacrum_place(self, points: ArrayLike) -> FloatArray:
        """Points given as (towards the back, towards the head) from the middle of the sacrum's endplate."""
        return self.sacrum_mm + np.asarray(points, dtype=np.float64) @ _axes(self.sacral_slope_deg)


def _axes(lean_deg: float) -> FloatArray:
    """Rows: the body's backward and headward directions in (x, y)."""
    lean = np.deg2rad(lean_deg)
    return np.array([[np.cos(lean), -np.sin(lean)], [-np.sin(lean), -np.cos(lean)]])


def subject_signs(subject: SpineSubject) -> SpineSigns:
    """The ageing signs of a person."""
    return spine_signs(subject.biological_age_years, np.random.default_rng([*subject.seed, 11]))


def build_column(subject: SpineSubject, signs: SpineSigns, pose: Pose) -> Column:
    """Stack the vertebrae from the sacrum upwards.

    The line from the sacrum's endplate to T4 gets the pose's tilt; the origin is the middle of that endplate.
    """
    rng = np.random.default_rng([*subject.seed, 12])
    own_size = 1.0 + 0.02 * rng.standard_normal(len(LEVELS))
    own_depth = 1.0 + 0.035 * rng.standard_normal()
    sacral_slope = 37.0 + 5.0 * rng.standard_normal() - 6.0 * (signs.kyphosis_deg - 45.0) / 25.0
    size = subject.stature
    depth = np.array(_DEPTH_MM) * size * own_depth
    lordosis = signs.lordosis_deg + pose.bend_deg
    first_lumbar, t4 = LEVELS.index("L1"), LEVELS.index("T4")
    kyphosis = np.zeros(len(LEVELS))
    kyphosis[t4 : t4 + 9] = np.array(_KYPHOSIS) * signs.kyphosis_deg
    kyphosis[:t4] = 2.0
    position, lean = np.zeros(2), sacral_slope
    stacked: list[Vertebra] = []
    for index in reversed(range(len(LEVELS))):
        lumbar = index - first_lumbar
        disc_mm = _DISC_MM[index] * size * float(signs.disc_height_factor[index])
        if lumbar >= 0:
            in_disc, in_body = -lordosis * _LORDOSIS_DISCS[lumbar], -lordosis * _LORDOSIS_BODIES[lumbar]
        else:
            in_disc, in_body = kyphosis[index] / 3.0, kyphosis[index] * 2.0 / 3.0
        # The curve is given, so what the bodies lose in front for good the discs make up for.
        in_disc -= np.rad2deg(np.arctan(signs.wedging[index] * _HEIGHT_MM[index] * size / depth[index]))
        upper = lean + in_disc
        position = position + disc_mm * _axes((lean + upper) / 2.0)[1]
        lean = upper
        height = _HEIGHT_MM[index] * size * own_size[index]
        natural = np.tan(np.deg2rad(in_body)) * depth[index]
        loss_front, loss_middle, loss_back = signs.height_loss[index]
        front = (height - natural / 2.0) * (1.0 - float(signs.wedging[index]) - loss_front)
        back = (height + natural / 2.0) * (1.0 - loss_back)
        # What the middle loses beyond front and back is a deeper endplate, mostly the upper one.
        deeper = max(height * (loss_middle - (loss_front + loss_back) / 2.0), 0.0)
        concavity = signs.concavity_mm[index] * (0.75 + 0.45 * (lumbar >= 0)) + deeper * np.array([0.6, 0.4])
        tip = float(np.rad2deg(np.arctan2(back - front, depth[index])))
        middle = (front + back) / 2.0
        position = position + middle / 2.0 * _axes(lean + tip / 2.0)[1]
        stacked.append(
            Vertebra(
                level=LEVELS[index],
                centre_mm=position.copy(),
                lean_deg=lean + tip / 2.0,
                depth_mm=float(depth[index]),
                width_mm=float(1.28 * depth[index]),
                height_mm=(float(front), float(back)),
                concavity_mm=(float(concavity[0]), float(concavity[1])),
            )
        )
        position = position + middle / 2.0 * _axes(lean + tip / 2.0)[1]
        lean += tip
    column = Column(tuple(reversed(stacked)), np.zeros(2), sacral_slope, float(depth[-1] * 0.98))
    return _turned(column, pose.tilt_deg)


def _turned(column: Column, tilt_deg: float) -> Column:
    """Turn the column about the sacrum so that T4 stands where the tilt puts it."""
    x, y = column["T4"].centre_mm
    turn = tilt_deg - float(np.rad2deg(np.arctan2(-x, -y)))
    angle = np.deg2rad(turn)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    vertebrae = tuple(
        replace(vertebra, centre_mm=vertebra.centre_mm @ rotation, lean_deg=vertebra.lean_deg + turn)
        for vertebra in column.vertebrae
    )
    return replace(column, vertebrae=vertebrae, sacral_slope_deg=column.sacral_slope_deg + turn)

"""Water and fat of one station, from whichever contrasts it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from agezoo.data.dixon import DixonStation
from agezoo.errors import InputError
from agezoo.transforms.body.body_region import signal_threshold, smoothed
from agezoo.transforms.body.station_places import heights_mm
from agezoo.transforms.body.two_point import water_and_fat

FROM_ECHOES = (
    "water and fat were computed from in-phase and opposed-phase magnitudes; which of the two a voxel holds more of "
    "was judged from brightness and place, so some regions may be exchanged"
)


@dataclass(frozen=True, eq=False)
class WaterFat:
    """Water and fat of one station.

    Attributes
    ----------
    water, fat
        float32 (X, Y, Z), axes growing towards left, front and head; fat is None where it cannot be had.
    affine
        Voxel index to RAS+ mm.
    threshold
        Lowest smoothed signal (water and fat together, or water alone) of tissue.
    computed
        Whether both come from in-phase and opposed-phase images.
    """

    water: np.ndarray
    fat: np.ndarray | None
    affine: np.ndarray
    threshold: float
    computed: bool = False

    @property
    def signal(self) -> np.ndarray:
        """Water and fat together, which is the in-phase signal; water where fat is not known."""
        return self.water if self.fat is None else self.water + self.fat

    @property
    def fraction(self) -> np.ndarray | None:
        """Share of fat in the signal, smoothed against noise; None where fat is not known."""
        if self.fat is None:
            return None
        fat = smoothed(self.fat)
        signal = smoothed(self.water) + fat
        return np.divide(fat, signal, out=np.zeros_like(fat), where=signal > 0)

    def exchanged(self) -> WaterFat:
        """The same station with water and fat in each other's place."""
        if self.fat is None:
            return self
        return replace(self, water=self.fat, fat=self.water)


def water_fat(station: DixonStation) -> WaterFat:
    """Water and fat as the scanner gives them, else computed from the two echoes, else water alone.

    Raises
    ------
    InputError
        If there is neither water nor both echoes, or the station shows no body.
    """
    images = station.images
    if "water" in images:
        water = np.asarray(images["water"], dtype=np.float32)
        fat = np.asarray(images["fat"], dtype=np.float32) if "fat" in images else None
        computed = False
    elif "in" in images and "opposed" in images:
        water, fat = water_and_fat(images["in"], images["opposed"], station.affine)
        computed = True
    else:
        raise InputError(
            "a station has neither water nor both echoes",
            found=", ".join(sorted(images)) or "no contrast",
            expected="water (and fat), or in-phase and opposed-phase",
        )
    return WaterFat(water, fat, station.affine, _threshold(water, fat), computed)


def _threshold(water: np.ndarray, fat: np.ndarray | None) -> float:
    # Some slices tell the noise and the tissue of a station.
    step = max(1, water.shape[2] // 16)
    part = water[:, :, ::step] if fat is None else water[:, :, ::step] + fat[:, :, ::step]
    return signal_threshold(smoothed(part))


def head_to_foot(stations: Sequence[DixonStation]) -> list[DixonStation]:
    """Stations in the order of the height of their upper ends."""
    return sorted(
        stations,
        key=lambda station: heights_mm(station.affine, next(iter(station.images.values())).shape)[1],
        reverse=True,
    )

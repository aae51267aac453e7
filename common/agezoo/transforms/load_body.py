"""Read a whole-body Dixon visit onto the network's grid, as the first step of a MONAI pipeline."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform

from agezoo.data.volume import Volume
from agezoo.errors import InputError
from agezoo.transforms.body.axis_resampling import resampled
from agezoo.transforms.body.body_grid import affine_for, body_grid
from agezoo.transforms.body.stitched import BodyVolume, Source, read_body
from agezoo.transforms.load import plain_facts

CHANNELS = ("water", "fat", "water_fraction", "fat_fraction")


class LoadBody(Transform):
    """Read the stations of one visit, stitch them and bring them to the network's grid.

    Parameters
    ----------
    channels
        What the network sees, in this order, out of ``"water"``, ``"fat"``, ``"water_fraction"`` and
        ``"fat_fraction"``.
    spacing_factor
        How many times larger than UK Biobank's the voxels are, see :func:`agezoo.transforms.body.body_grid.body_grid`.
    mask_air
        Set everything outside the body to exactly 0, so that the voxels above 0, which the recipe standardises, are the
        body. Scanners leave noise there, and the paper does not say what became of it: this is a choice of ours.
    level_overlaps
        Raise overlaps of stations that are darker than their surroundings, because coils fade at the stations' ends.

    Notes
    -----
    The result is (C, X, Y, Z), axes growing towards the patient's left, front and head, 0 where the scan does not
    reach. A fraction is that of the grid's voxel (fat over water and fat together, or water over both) and 0 where the
    signal is no more than noise, such as in the lungs.

    Raises
    ------
    InputError
        If a channel is not known, or cannot be had from a scan.
    """

    def __init__(
        self,
        channels: Sequence[str] = ("water",),
        spacing_factor: float = 1.0,
        *,
        mask_air: bool = True,
        level_overlaps: bool = False,
    ) -> None:
        names = (channels,) if isinstance(channels, str) else tuple(channels)
        unknown = [name for name in names if name not in CHANNELS]
        if unknown or not names or len(set(names)) < len(names):
            raise InputError(
                "the body has no such channels", source="channels", found=names, expected=", ".join(CHANNELS)
            )
        self.channels = names
        self.grid = body_grid(spacing_factor)
        self.mask_air = bool(mask_air)
        self.level_overlaps = bool(level_overlaps)

    def __call__(self, source: Source) -> MetaTensor:
        return self.read(source)[0]

    def read(self, source: Source) -> tuple[MetaTensor, BodyVolume]:
        """Read one visit; also give the stitched body in its own voxels."""
        body = read_body(source, mask_air=self.mask_air, level_overlaps=self.level_overlaps)
        if body.fat is None and self.channels != ("water",):
            raise InputError(
                f"the channel {next(name for name in self.channels if name != 'water')!r} cannot be had",
                source=_name_of(source),
                found="water alone",
                expected="water and fat, or in-phase and opposed-phase",
                remedy='add the fat images, or use channels=["water"]',
            )
        affine = affine_for(self.grid, body.affine, body.water.shape)
        image = self._on_grid(body, affine)
        meta = {"filename_or_obj": _name_of(source), "spatial_shape": list(self.grid.shape), "space": "RAS"}
        return MetaTensor(torch.from_numpy(image), affine=torch.as_tensor(affine, dtype=torch.float64), meta=meta), body

    def _on_grid(self, body: BodyVolume, affine: np.ndarray) -> np.ndarray:
        def brought(voxels: np.ndarray) -> np.ndarray:
            return resampled(voxels, body.affine, affine, self.grid.shape)

        image = np.empty((len(self.channels), *self.grid.shape), dtype=np.float32)
        water = brought(body.water)
        fat = None if body.fat is None or self.channels == ("water",) else brought(body.fat)
        for index, name in enumerate(self.channels):
            if name == "water" or fat is None:
                image[index] = water
            elif name == "fat":
                image[index] = fat
            else:
                part = water if name == "water_fraction" else fat
                image[index] = _fraction(part, water + fat, body.threshold)
        if body.body is not None:
            # Interpolation and blur carry a little of the body into the air.
            image *= brought(body.body) >= 0.5
        return image


def _fraction(part: np.ndarray, total: np.ndarray, threshold: float) -> np.ndarray:
    return np.divide(part, total, out=np.zeros_like(total), where=total > max(threshold, 0.0))


class LoadBodyd(MapTransform):
    """Dictionary form of :class:`LoadBody`.

    Beside the image it adds ``<key>_facts`` (see :func:`agezoo.transforms.load.plain_facts`; spacing and field of view
    are those of the stitched body; ``grid_affine``, float32 (4, 4), leads from the image's voxels to the patient's
    millimetres) and ``reading_notes``, one string with what was found and mended, empty if nothing.
    """

    def __init__(
        self,
        keys: KeysCollection,
        channels: Sequence[str] = ("water",),
        spacing_factor: float = 1.0,
        *,
        mask_air: bool = True,
        level_overlaps: bool = False,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform = LoadBody(channels, spacing_factor, mask_air=mask_air, level_overlaps=level_overlaps)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        notes: list[str] = []
        for key in self.key_iterator(result):
            image, body = self.transform.read(result[key])
            result[key] = image
            result[f"{key}_facts"] = {
                **plain_facts(Volume(body.water, body.affine, body.facts)),
                "grid_affine": np.asarray(image.affine, dtype=np.float32),
            }
            notes += [note for note in body.facts.notes if note not in notes]
        result["reading_notes"] = "; ".join(notes)
        return result


def _name_of(source: Source) -> str:
    if isinstance(source, str | Path):
        return str(source)
    return str(Path(source[0]).parent) if source else ""

"""Read an image file or DICOM series as the first step of a MONAI pipeline."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform

from agezoo.data.read import read_volume
from agezoo.data.volume import Volume

Source = str | Path | Sequence[str | Path]


class LoadVolume(Transform):
    """Read a scan through ``agezoo.data.read`` into a channel-first MetaTensor in LAS.

    Parameters
    ----------
    modality
        DICOM modality that is looked for in a folder with several series, e.g. ``"CT"``.

    Notes
    -----
    The result is (1, X, Y, Z), axes growing towards the patient's left, front and head, in the dtype the reader
    gives: int16 for CT in whole HU, so that a scan costs two bytes a voxel. Its meta data hold ``affine``
    (voxel index to RAS+ mm), ``filename_or_obj``, ``spatial_shape`` and ``space``.
    """

    def __init__(self, modality: str = "CT") -> None:
        self.modality = modality

    def __call__(self, source: Source) -> MetaTensor:
        return self.read(source)[0]

    def read(self, source: Source) -> tuple[MetaTensor, Volume]:
        """Read one scan; also give the volume with its facts. Both share the same voxels in memory."""
        volume = read_volume(source, modality=self.modality)
        volume = replace(volume, hu=with_positive_strides(volume.hu))
        voxels = torch.from_numpy(volume.hu)[None]
        affine = torch.as_tensor(np.asarray(volume.affine), dtype=torch.float64)
        meta = {"filename_or_obj": _name_of(source), "spatial_shape": list(voxels.shape[1:]), "space": "RAS"}
        return MetaTensor(voxels, affine=affine, meta=meta), volume


class LoadVolumed(MapTransform):
    """Dictionary form of :class:`LoadVolume`.

    Beside the image it adds ``<key>_facts`` (see :func:`plain_facts`) and ``reading_notes``, one string with the
    repairs and choices made while reading, empty if there were none.

    Parameters
    ----------
    keys
        Keys whose values are a path or a list of paths.
    modality
        As in :class:`LoadVolume`.
    """

    def __init__(self, keys: KeysCollection, modality: str = "CT", *, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform = LoadVolume(modality)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        notes: list[str] = []
        for key in self.key_iterator(result):
            image, volume = self.transform.read(result[key])
            result[key] = image
            result[f"{key}_facts"] = plain_facts(volume)
            notes += [note for note in volume.facts.notes if note not in notes]
        result["reading_notes"] = "; ".join(notes)
        return result


def plain_facts(volume: Volume) -> dict[str, Any]:
    """Facts of a scan that later steps need, in types that a data loader can put into batches.

    Unknown is NaN for numbers and an empty string for words, never 0 or None. Nothing here identifies a
    person, and the study's UIDs stay behind as well.

    Returns
    -------
    dict
        modality, age_years (at the time of the scan), sex (``"F"``/``"M"``), spacing_mm and
        field_of_view_mm (float32, 3: along left, front, head), slice_thickness_mm, kernel, manufacturer.
    """
    facts = volume.facts
    return {
        "modality": facts.modality or "",
        "age_years": _number(facts.age_years),
        "sex": facts.sex or "",
        "spacing_mm": np.asarray(volume.spacing_mm, dtype=np.float32),
        "field_of_view_mm": np.asarray(volume.spacing_mm, dtype=np.float32) * np.asarray(volume.hu.shape, np.float32),
        "slice_thickness_mm": _number(facts.slice_thickness_mm),
        "kernel": facts.kernel or "",
        "manufacturer": facts.manufacturer or "",
    }


def with_positive_strides(array: np.ndarray) -> np.ndarray:
    """Give an array without reversed axes, as PyTorch requires, and do so in place where possible.

    Reversing the order of axes in the memory that is already there costs no second copy of a scan; the array
    passed in then shows other contents, so it must not be used any more. Read-only memory is copied.
    """
    reversed_axes = [axis for axis in range(array.ndim) if array.strides[axis] < 0]
    if not reversed_axes:
        # PyTorch warns about read-only memory; nothing here writes to it, but a later transform might.
        return array if array.flags.writeable else array.copy()
    if not array.flags.writeable:
        return np.ascontiguousarray(array)
    memory = np.flip(array, axis=tuple(reversed_axes))
    for axis in reversed_axes:
        _reverse_in_place(memory, axis)
    return memory


def _reverse_in_place(array: np.ndarray, axis: int) -> None:
    by_axis = np.moveaxis(array, axis, 0)
    for low in range(by_axis.shape[0] // 2):
        high = by_axis.shape[0] - 1 - low
        kept = by_axis[low].copy()
        by_axis[low] = by_axis[high]
        by_axis[high] = kept


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _name_of(source: Source) -> str:
    if isinstance(source, str | Path):
        return str(source)
    return str(Path(source[0]).parent) if source else ""

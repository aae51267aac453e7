"""Read a radiograph as the first step of a MONAI pipeline."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform

from agezoo.data.radiograph import Radiograph, Source, read_radiograph


class LoadRadiograph(Transform):
    """Read a lateral spine radiograph or DXA VFA image through ``agezoo.data.radiograph``.

    Parameters
    ----------
    any_body_part
        As in :func:`agezoo.data.radiograph.read_radiograph`.

    Notes
    -----
    The result is a float32 MetaTensor (1, rows, columns), rows from head to foot as stored, bone bright, 0 at the
    darkest pixel. Its meta data hold ``filename_or_obj`` and ``spatial_shape``; there is no affine, because a
    projection has no place in the body.
    """

    def __init__(self, *, any_body_part: bool = False) -> None:
        self.any_body_part = any_body_part

    def __call__(self, source: Source, kind: str = "") -> MetaTensor:
        return self.read(source, kind)[0]

    def read(self, source: Source, kind: str = "") -> tuple[MetaTensor, Radiograph]:
        """Read one image of the kind ``"radiograph"`` or ``"vfa"`` (empty: the header tells); also give its facts."""
        radiograph = read_radiograph(source, kind=kind, any_body_part=self.any_body_part)
        pixels = torch.from_numpy(radiograph.pixels)[None]
        first = source if isinstance(source, str | Path) else source[0]
        meta = {"filename_or_obj": str(first), "spatial_shape": list(pixels.shape[1:])}
        return MetaTensor(pixels, meta=meta), radiograph


class LoadRadiographd(MapTransform):
    """Dictionary form of :class:`LoadRadiograph`.

    Beside the image it adds ``<key>_facts`` (see :func:`radiograph_facts`) and ``reading_notes``, one string with the
    repairs, choices and doubts of reading, empty if there were none.

    Parameters
    ----------
    keys
        Keys whose values are a path or a list of paths.
    kind_key
        Key whose value is ``"radiograph"``, ``"vfa"``, or empty or absent for "as the header tells".
    any_body_part
        As in :class:`LoadRadiograph`.
    """

    def __init__(
        self,
        keys: KeysCollection,
        kind_key: str = "modality",
        *,
        any_body_part: bool = False,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.kind_key = kind_key
        self.transform = LoadRadiograph(any_body_part=any_body_part)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        notes: list[str] = []
        for key in self.key_iterator(result):
            image, radiograph = self.transform.read(result[key], str(result.get(self.kind_key) or ""))
            result[key] = image
            result[f"{key}_facts"] = radiograph_facts(radiograph)
            notes += [note for note in radiograph.facts.notes if note not in notes]
        result["reading_notes"] = "; ".join(notes)
        return result


def radiograph_facts(radiograph: Radiograph) -> dict[str, Any]:
    """Facts of a radiograph that later steps need, in types that a data loader can put into batches.

    Returns
    -------
    dict
        The keys of :func:`agezoo.transforms.load.plain_facts` (``spacing_mm`` and ``field_of_view_mm`` are float32 of
        three, along left, front and head, NaN for the direction that a lateral projection adds up and where the spacing
        is unknown), and ``kind`` and ``area``: float32 ``[top, left, rows, columns, stored_rows, stored_columns]`` of
        the kept area in the stored image. Nothing here identifies a person.
    """
    facts = radiograph.facts
    row_mm, column_mm = radiograph.spacing_mm or (math.nan, math.nan)
    spacing_mm = np.array([math.nan, column_mm, row_mm], dtype=np.float32)
    rows, columns = radiograph.pixels.shape
    return {
        "modality": facts.modality or "",
        "age_years": math.nan if facts.age_years is None else float(facts.age_years),
        "sex": facts.sex or "",
        "spacing_mm": spacing_mm,
        "field_of_view_mm": spacing_mm * np.array([1, columns, rows], dtype=np.float32),
        "slice_thickness_mm": math.nan,
        "kernel": "",
        "manufacturer": facts.manufacturer or "",
        "kind": radiograph.kind,
        "area": np.array([*radiograph.area, *radiograph.stored_shape], dtype=np.float32),
    }

"""A case's saliency map where it lies in the patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.utils import convert_to_tensor
from torch import nn

from agezoo.engines.cohort_dataset import sex_one_hot
from agezoo.engines.config_parts import config_part
from agezoo.errors import InputError, user_error
from agezoo.explain.attribution import explain, map_cells
from agezoo.explain.conditioning import further_inputs
from agezoo.explain.noise_background import noise_options
from agezoo.networks.weights import describe, load_ensemble, recorded_settings
from agezoo.networks.weights_conversion import configured_network
from agezoo.registry import bundle_root


@dataclass(frozen=True, eq=False)
class PatientMap:
    """A map in the patient's space.

    Attributes
    ----------
    values
        float32 (X, Y, Z), positive where the image makes the patient older; 0 outside the body.
    affine
        Voxel index to RAS mm (4, 4).
    cell_mm
        Edges towards right, front and head of the cells that the map is interpolated from; None if not known.
    """

    values: np.ndarray
    affine: np.ndarray
    cell_mm: np.ndarray | None = None


class MapMaker:
    """Explains cases as the bundle predicts them.

    Parameters
    ----------
    bundle
        Its preprocessing comes from ``train.json``.
    network
        Any network that takes what the preprocessing gives, for example an untrained one for comparison.
    settings
        The layout that the weights were trained with, see :func:`agezoo.networks.weights.recorded_settings`.
    method, layer
        See :func:`agezoo.explain.attribution.explain`; the map has a sign.
    """

    def __init__(
        self,
        bundle: str,
        network: nn.Module,
        *,
        settings: Mapping[str, Any] | None = None,
        method: str = "grad_cam",
        layer: str | None = None,
    ) -> None:
        self._preprocessing = config_part(bundle_root(bundle), "train.json", "preprocessing", settings)
        self._network = network
        self._method = method
        self._layer = layer
        self._cells: dict[tuple[int, ...], tuple[float, ...] | None] = {}

    def __call__(self, row: Mapping[str, Any], mask: str = "") -> PatientMap:
        """Explain a row of :func:`agezoo.predict.cases.find_cases`; `mask` is for bundles that keep one region."""
        try:
            item = self._preprocessing({"image": row["image"], **({"mask": mask} if mask else {})})
        except RuntimeError as error:
            # MONAI wraps what a transform raises; the user's message is inside.
            users = user_error(error)
            if users is None:
                raise
            raise users from None
        affine = np.asarray((item.get("image_facts") or {}).get("grid_affine", np.nan), dtype=float)
        if affine.shape != (4, 4):
            raise InputError("the bundle's preprocessing does not tell where its grid lies", source="grid_affine")
        image = convert_to_tensor(item["image"], dtype=torch.float32, track_meta=False)
        surroundings = noise_options(image)
        others = further_inputs(self._network, {"sex": sex_one_hot(str(row.get("sex") or ""))})
        values = explain(
            self._network,
            image[None],
            self._method,
            layer=self._layer,
            signed=True,
            mask_outside_patient=False,
            others=others,
            **surroundings,
        )
        shape = tuple(image.shape)
        if shape not in self._cells:
            self._cells[shape] = map_cells(self._network, image[None], self._method, layer=self._layer, others=others)
        cells = self._cells[shape]
        cell_mm = None if cells is None else np.abs(affine[:3, :3]) @ np.asarray(cells)
        return PatientMap(np.where(surroundings["body"], values, 0).astype(np.float32), affine, cell_mm)


@lru_cache(maxsize=1)
def map_maker(bundle: str, weights: tuple[Path, ...], method: str, layer: str | None, device: str | None) -> MapMaker:
    """Of a bundle's weights, kept for the next case of this process."""
    files = [describe(path) for path in weights]
    settings = recorded_settings(files[0])
    place = torch.device(device or ("cuda:0" if torch.cuda.is_available() else "cpu"))
    network = load_ensemble(configured_network(bundle_root(bundle), settings), files).to(place).eval()
    return MapMaker(bundle, network, settings=settings, method=method, layer=layer)


def weight_paths(paths: Sequence[str | Path]) -> tuple[Path, ...]:
    """Absolute paths, for another process."""
    return tuple(Path(path).resolve() for path in paths)

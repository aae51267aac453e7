"""Scans with masks as the network sees them: image, regions and how coarse a class-activation map of it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from agezoo.data.masked_cohort import MaskedScan, label_names, read_label_image, read_labels
from agezoo.engines.cohort_dataset import CohortDataset
from agezoo.engines.config_parts import config_part
from agezoo.errors import InputError
from agezoo.explain.background import foreground
from agezoo.explain.body_layout import body_picture, body_slices
from agezoo.explain.cell_grid import CellGrid
from agezoo.explain.conditioning import further_inputs
from agezoo.explain.layer_view import cam_grid
from agezoo.explain.mni_grid import mni_affine_of
from agezoo.explain.noise_background import noise_options
from agezoo.explain.region_scores import CaseRegions
from agezoo.explain.view_layout import LATERAL, PROJECTIONS, FieldOfView, ViewLayout
from agezoo.explain.volume_layout import orthogonal_slices
from agezoo.phantoms.spine_labels import VERTEBRAL_COLUMN
from agezoo.predict.case_figures import grid_affine
from agezoo.transforms.canvas import CanvasPlacement
from agezoo.transforms.labels_on_canvas import labels_on_canvas
from agezoo.transforms.labels_on_grid import labels_on_grid
from agezoo.transforms.perturb.brain_transform import on_mni_grid
from agezoo.transforms.project_labels import project_labels

COLUMN = "vertebral_column"
"""Name of the union of a radiograph's regions that belong to the spine itself."""

FOCAL = "fluid_spaces_and_hippocampi"
"""Name of the union of a brain's regions that change their extent with age; all regions together are most of it."""

PLANTED = "planted_regions"
"""Name of the union of a whole body's regions in which a phantom's age is planted; its labels fill all of the body."""

_FOCAL_REGIONS = ("ventricles", "sulcal_csf", "hippocampi")
_COHORT = "cohort.json"
_FIELD_OF_VIEW_TOLERANCE_MM = 1.0
# Of each kind of image a union of regions that is scored too.
_WHOLES: dict[str, tuple[str, tuple[str, ...]]] = {
    "radiograph": (COLUMN, tuple(VERTEBRAL_COLUMN)),
    "brain": (FOCAL, _FOCAL_REGIONS),
}
# A largest value counts as a hit this near to a region, in cells of a class-activation map.
_TOLERANCE_CELLS = 0.25


@dataclass(frozen=True)
class LocalisationCase:
    """One scan that is ready to be explained and scored.

    Attributes
    ----------
    scan
        Where it comes from.
    image
        The network's input without channels, as it is shown.
    network_image
        The network's input, (C, *spatial).
    regions
        Where its age is known to be.
    outlines
        The regions that are drawn: one for each label.
    grid
        Cells of a class-activation map of the image.
    tolerance_pixels
        A largest value this near to a region counts as a hit: a quarter of a cell.
    layout
        How the image is shown.
    others
        What the network takes besides the image, see :func:`agezoo.explain.conditioning.further_inputs`.
    blank_value
        What stands for "nothing there" in the network's input.
    field_of_view_mm
        Extent of the image towards left, front and head, where its voxels are not cubes; None elsewhere.
    """

    scan: MaskedScan
    image: np.ndarray
    network_image: np.ndarray
    regions: CaseRegions
    outlines: dict[str, np.ndarray]
    grid: CellGrid
    tolerance_pixels: float
    layout: ViewLayout
    others: tuple[torch.Tensor, ...] = ()
    blank_value: float | np.ndarray = 0.0
    field_of_view_mm: FieldOfView | None = None


def planted_weights(scans: Sequence[MaskedScan]) -> dict[str, float]:
    """Regions in which a phantom cohort says that its age is planted, with the share of the information each carries.

    Parameters
    ----------
    scans
        Of one cohort; ``cohort.json`` lies in the folder that holds the masks' folder.

    Returns
    -------
    dict
        Empty for cohorts that say nothing of it, as those of real people.

    Raises
    ------
    InputError
        If the file is there and cannot be understood.
    """
    path = scans[0].mask.parent.parent / _COHORT
    if not path.is_file():
        return {}
    try:
        weights = json.loads(path.read_text(encoding="utf-8")).get("planted_weights") or {}
        return {str(name): float(weight) for name, weight in weights.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(
            "not the description of a cohort", source=path, expected='{"planted_weights": {"region": 0.5, ...}, ...}'
        ) from error


def case_reader(
    root: Path,
    reader: str,
    scans: Sequence[MaskedScan],
    network: nn.Module,
    settings: Mapping[str, Any],
    layer: str | Sequence[str] | None = None,
    planted: Sequence[str] = (),
) -> Callable[[int], LocalisationCase]:
    """A function that reads and prepares one scan as prediction does, and its regions in the same geometry.

    Parameters
    ----------
    root
        Folder of the bundle.
    reader
        What its images are: ``"volume"``, ``"radiograph"``, ``"brain"`` or ``"body"``.
    scans
        The function takes their index.
    network
        Tells the grid of a class-activation map.
    settings
        The layout that the weights were trained with, which the canvas of the images belongs to.
    layer
        Layer of the class-activation methods; None takes the network's own. Of several, the first tells the grid.
    planted
        Regions of a phantom body that age, see :func:`planted_weights`; their union is scored too.
    """
    preprocessing = config_part(root, "train.json", "preprocessing", settings)
    rows = [
        {
            "image": scan.image,
            "age_years": scan.age_years,
            "modality": scan.modality,
            "sex": scan.sex,
            # A network of one organ is shown that organ alone.
            "covariates": {"mask": str(scan.mask)},
        }
        for scan in scans
    ]
    dataset = CohortDataset(rows, preprocessing)
    regions_of = {"radiograph": _lateral_regions, "brain": _mni_regions, "body": _body_regions}.get(
        reader, _projected_regions
    )
    first_layer = layer if layer is None or isinstance(layer, str) else layer[0]
    grids: dict[tuple[int, ...], CellGrid] = {}

    def read(index: int) -> LocalisationCase:
        scan = scans[index]
        if reader == "brain":
            # Before the scan is registered in vain.
            _must_be_in_mni_space(scan)
        item = dataset[index]
        others = further_inputs(network, item)
        network_image = np.asarray(item["image"])
        image, blank, patient = network_image[0], 0.0, None
        if reader == "body":
            blank, patient = (noise_options(network_image)[name] for name in ("blank_value", "body"))
            image = body_picture(network_image, patient)
        masks = regions_of(scan, item, image)
        outlines = dict(masks)
        whole, parts = (PLANTED, tuple(planted)) if reader == "body" else _WHOLES.get(reader, ("", ()))
        joined = {name: masks[name] for name in parts if name in masks}
        if joined:
            masks = {whole: np.any(list(joined.values()), axis=0), **masks}
            if reader in ("brain", "body"):
                # The others are the rest of the cerebrum, or of the body, whose outline would tell nothing.
                outlines = joined
        if image.shape not in grids:
            grids[image.shape] = cam_grid(network, network_image, first_layer, others=others)
        grid = grids[image.shape]
        tolerance = _TOLERANCE_CELLS * min(grid.steps)
        regions = CaseRegions.of(masks, foreground(image) if patient is None else patient, tolerance_voxels=tolerance)
        if regions is None:
            raise InputError("no region of the mask lies in what the network sees", source=scan.mask)
        shown = {name: regions.inside[name] for name in outlines if name in regions.inside}
        layout = LATERAL if reader == "radiograph" else PROJECTIONS
        if reader == "brain":
            layout = orthogonal_slices(image, voxel=telling_voxel(shown))
        extent_mm = None
        if patient is not None:
            affine = _known_affine(scan, item)
            layout = body_slices(image, body=patient, voxel=telling_voxel(shown), affine=affine)
            x, y, z = np.linalg.norm(affine[:3, :3], axis=0) * image.shape
            extent_mm = float(x), float(y), float(z)
        return LocalisationCase(
            scan, image, network_image, regions, shown, grid, tolerance, layout, others, blank, extent_mm
        )

    return read


def _projected_regions(scan: MaskedScan, item: Mapping[str, Any], image: np.ndarray) -> dict[str, np.ndarray]:
    labels = read_labels(scan.mask)
    extent_mm = np.asarray(labels.spacing_mm) * labels.shape
    image_extent_mm = np.asarray(item["field_of_view_mm"], dtype=float)
    if np.abs(extent_mm - image_extent_mm).max() > _FIELD_OF_VIEW_TOLERANCE_MM:
        raise InputError(
            "the mask does not cover the scan",
            source=scan.mask,
            found=" x ".join(f"{size:.0f}" for size in extent_mm) + " mm",
            expected=" x ".join(f"{size:.0f}" for size in image_extent_mm) + " mm, the scan's field of view",
        )
    names = label_names(scan.mask, labels.hu)
    projected = project_labels(labels.hu, list(names.values())) if names else np.zeros((0, *image.shape), bool)
    return dict(zip(names, projected, strict=True))


def _lateral_regions(scan: MaskedScan, item: Mapping[str, Any], image: np.ndarray) -> dict[str, np.ndarray]:
    placement = CanvasPlacement.from_array(item["canvas"])
    if placement is None:
        raise InputError("it is not known where the radiograph lies on the canvas", source=scan.name)
    labels = read_label_image(scan.mask)
    canvas = labels_on_canvas(labels, placement, source=str(scan.mask))
    return {name: canvas == value for name, value in label_names(scan.mask, labels).items()}


def telling_voxel(regions: Mapping[str, np.ndarray]) -> tuple[int, int, int]:
    """Where three slices show the most of all regions, each counted by its largest extent in a slice of that kind."""
    place = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        extents = [region.sum(axis=others) for region in regions.values()]
        place.append(int(np.argmax(np.sum([extent / extent.max() for extent in extents], axis=0))))
    x, y, z = place
    return x, y, z


def _mni_regions(scan: MaskedScan, item: Mapping[str, Any], image: np.ndarray) -> dict[str, np.ndarray]:
    labels = read_labels(scan.mask)
    affine = mni_affine_of(image.shape)
    if affine is None:
        raise InputError("the network's grid is no MNI grid", source=scan.name, found=f"shape {image.shape}")
    names = label_names(scan.mask, labels.hu)
    on_grid = labels_on_grid(labels.hu, labels.affine, affine, image.shape)
    return {name: on_grid == value for name, value in names.items()}


def _body_regions(scan: MaskedScan, item: Mapping[str, Any], image: np.ndarray) -> dict[str, np.ndarray]:
    labels = read_labels(scan.mask)
    names = label_names(scan.mask, labels.hu)
    on_grid = labels_on_grid(labels.hu, labels.affine, _known_affine(scan, item), image.shape)
    return {name: on_grid == value for name, value in names.items()}


def _known_affine(scan: MaskedScan, item: Mapping[str, Any]) -> np.ndarray:
    affine = grid_affine(item)
    if affine is None:
        raise InputError("it is not known where the network's grid lies in the patient", source=scan.name)
    return affine


def _must_be_in_mni_space(scan: MaskedScan) -> None:
    labels = read_labels(scan.mask)
    if not on_mni_grid(labels.shape, labels.affine):
        raise InputError(
            "the mask does not lie in MNI space",
            source=scan.mask,
            found=f"{' x '.join(map(str, labels.shape))} voxels on the scan's own grid",
            expected="labels on the MNI152 grid (91 x 109 x 91 at 2 mm), of a brain in MNI space",
            remedy="measure on brains in MNI space, which agezoo phantom brain_tsan --space mni writes: labels of "
            "heads are not carried through a registration",
        )

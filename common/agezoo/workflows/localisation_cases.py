"""Scans with masks as the network sees them: image, regions and how coarse a class-activation map of it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from agezoo.data.masked_cohort import MaskedScan, label_names, read_label_image, read_labels
from agezoo.engines.cohort_dataset import CohortDataset
from agezoo.engines.config_parts import config_part
from agezoo.errors import InputError
from agezoo.explain.background import foreground
from agezoo.explain.cell_grid import CellGrid
from agezoo.explain.layer_view import cam_grid
from agezoo.explain.region_scores import CaseRegions
from agezoo.explain.view_layout import LATERAL, PROJECTIONS, ViewLayout
from agezoo.phantoms.spine_labels import VERTEBRAL_COLUMN
from agezoo.transforms.canvas import CanvasPlacement
from agezoo.transforms.labels_on_canvas import labels_on_canvas
from agezoo.transforms.project_labels import project_labels

COLUMN = "vertebral_column"
"""Name of the union of a radiograph's regions that belong to the spine itself."""

_FIELD_OF_VIEW_TOLERANCE_MM = 1.0
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
        The network's input without channels.
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
    """

    scan: MaskedScan
    image: np.ndarray
    regions: CaseRegions
    outlines: dict[str, np.ndarray]
    grid: CellGrid
    tolerance_pixels: float
    layout: ViewLayout


def case_reader(
    root: Path,
    reader: str,
    scans: Sequence[MaskedScan],
    network: nn.Module,
    settings: Mapping[str, Any],
    layer: str | None = None,
) -> Callable[[int], LocalisationCase]:
    """A function that reads and prepares one scan as prediction does, and its regions in the same geometry.

    Parameters
    ----------
    root
        Folder of the bundle.
    reader
        What its images are: ``"volume"`` or ``"radiograph"``.
    scans
        The function takes their index.
    network
        Tells the grid of a class-activation map.
    settings
        The layout that the weights were trained with, which the canvas of the images belongs to.
    layer
        Layer of the class-activation methods; None takes the network's own.
    """
    preprocessing = config_part(root, "train.json", "preprocessing", settings)
    rows = [{"image": scan.image, "age_years": scan.age_years, "modality": scan.modality} for scan in scans]
    dataset = CohortDataset(rows, preprocessing)
    regions_of = _lateral_regions if reader == "radiograph" else _projected_regions
    grids: dict[tuple[int, ...], CellGrid] = {}

    def read(index: int) -> LocalisationCase:
        scan, item = scans[index], dataset[index]
        image = np.asarray(item["image"])[0]
        masks = regions_of(scan, item, image)
        outlines = dict(masks)
        column = [masks[name] for name in VERTEBRAL_COLUMN if name in masks] if reader == "radiograph" else []
        if column:
            masks = {COLUMN: np.any(column, axis=0), **masks}
        if image.shape not in grids:
            grids[image.shape] = cam_grid(network, image[None], layer)
        grid = grids[image.shape]
        tolerance = _TOLERANCE_CELLS * min(grid.steps)
        regions = CaseRegions.of(masks, foreground(image), tolerance_voxels=tolerance)
        if regions is None:
            raise InputError("no region of the mask lies in what the network sees", source=scan.mask)
        shown = {name: regions.inside[name] for name in outlines if name in regions.inside}
        layout = LATERAL if reader == "radiograph" else PROJECTIONS
        return LocalisationCase(scan, image, regions, shown, grid, tolerance, layout)

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

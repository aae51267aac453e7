"""One picture per case while a bundle predicts."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from torch import nn

from agezoo.engines.prediction_writer import number
from agezoo.errors import AgeZooError
from agezoo.explain.attribution import LAYER_METHODS, SIGNED_BY_NATURE, SIGNED_METHODS, explain
from agezoo.explain.body_layout import body_montage, body_picture, body_slices
from agezoo.explain.conditioning import first_member, further_inputs
from agezoo.explain.mni_grid import mni_affine_of
from agezoo.explain.network_state import check_layers, network_device
from agezoo.explain.noise_background import noise_options
from agezoo.explain.overlay import write_case_overlay
from agezoo.explain.view_layout import LATERAL, PROJECTIONS, ViewLayout
from agezoo.explain.volume_layout import axial_montage, orthogonal_slices
from agezoo.networks.weights import WeightsFile, ensemble_origin
from agezoo.predict.original_map import map_on_original, write_map, write_mni_map, write_patient_map
from agezoo.transforms.canvas import CanvasPlacement

logger = logging.getLogger(__name__)

# A full-size ResNet-18 has 256 maps to try; five members would keep two cores busy for half a minute per picture.
# Half of the maps, chosen to lie far apart, in half the precision take a third of that and give the same map
# (correlation with the exact one 0.99 and more); with a third of the maps it falls to 0.98. One member instead of five
# would be as fast, but shows another map (correlation with the ensemble's 0.84 to 0.97 with phantom weights).
_TRIED_MAPS_ON_CPU = 128
# Networks with fewer parameters, all members together, are explained exactly: that takes them seconds, and rounding
# can change a member's map whose weights hardly differ from 0.
_AFFORDABLE_PARAMETERS = 8_000_000

# A montage of bodies shows 18 slices; about 1900 pixels from the first to the last column.
_BODY_MONTAGE_DPI = 190
_BODY_DPI = 150
_BODY_SIGN_WORDS = ("makes\nyounger", "makes\nolder")

# About 2000 pixels from head to foot.
_ORIGINAL_DPI = 300

PHANTOM_BANNER = "Phantom weights: this age means nothing for a real person."


class CaseFigures:
    """Writes a picture of each case with its age and, over the anatomy, where in the image that age comes from.

    A CT is shown as the two projections that the network sees, a radiograph (a case with a ``kind``) as the lateral
    view on the network's canvas, a volume as three slices that cross where its map is strongest, and with a map as a
    montage of axial slices too (``<case>_montage.png``). A whole body (reader ``"body"``) is shown with its background
    of noise in black, and its montage is one of coronal slices, from front to back, and of axial ones.

    Parameters
    ----------
    rows
        The dataset's rows, to which ``row`` of an item points.
    output_dir
        Folder of the pictures, named after subject and session.
    network
        The network that predicts, asked again for the saliency, with the case's sex if it takes that.
    layer
        Layer of the class-activation methods, or several; None takes the network's own.
    saliency
        A method of :func:`agezoo.explain.attribution.explain`, or ``"none"`` for the anatomy alone.
    weights
        The weight files in use; phantom weights put a banner on every picture.
    signed
        Whether maps tell what makes the patient older from what makes younger; None as the method is by nature, and of
        whole bodies wherever the method can.
    originals
        Of a radiograph, write ``<case>_original.png`` too: the map over the image as it is stored, in more detail.
    save_maps
        Write the map as NIfTI: of a radiograph on the stored image's grid as ``maps/<case>.nii.gz``, of a brain in MNI
        space as ``maps/<case>_space-MNI152.nii.gz``, of a whole body on the network's grid in the scanner's millimetres
        as ``maps/<case>.nii.gz``, see :mod:`agezoo.predict.original_map`.
    reader
        What the images are where their shape does not tell it: ``"body"`` for whole bodies standardised on noise.
    """

    def __init__(
        self,
        rows: Sequence[Mapping[str, Any]],
        output_dir: str | Path,
        network: nn.Module,
        layer: str | Sequence[str] | None = None,
        saliency: str = "score_cam",
        weights: Sequence[WeightsFile] = (),
        signed: bool | None = None,
        originals: bool = False,
        save_maps: bool = False,
        reader: str = "",
    ) -> None:
        self.rows = rows
        self.output_dir = Path(output_dir)
        self.network = network
        self.layer = layer
        self.saliency = saliency
        # Told to the pictures too: a map with a sign may happen to have no negative value.
        with_sign = SIGNED_METHODS if reader == "body" else SIGNED_BY_NATURE
        self.signed = saliency in with_sign if signed is None else signed
        self.originals = originals
        self.save_maps = save_maps
        self.reader = reader
        self.banner = PHANTOM_BANNER if weights and ensemble_origin(weights) == "phantom" else None
        self._names: dict[str, int] = {}

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator.

        Raises
        ------
        InputError
            If the network has no such layer, which would cost every case its picture.
        """
        if self.saliency in LAYER_METHODS:
            check_layers(first_member(self.network), self.layer)
        self.output_dir.mkdir(parents=True, exist_ok=True)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Any) -> None:
        for case, output in zip(engine.state.batch, engine.state.output, strict=True):
            if case["error"]:
                continue
            try:
                self._write(case, output)
            except (AgeZooError, ValueError, OSError, RuntimeError) as error:
                # A picture that fails must not cost the ages of the other cases.
                logger.warning("no picture for %s: %s", self._name(case), error)

    def _name(self, case: Mapping[str, Any]) -> str:
        row = self.rows[int(case["row"])]
        parts = [str(row.get("subject_id") or f"case-{int(case['row']) + 1:04d}"), str(row.get("session") or "")]
        name = re.sub(r"[^\w.-]+", "_", "_".join(p for p in parts if p))
        # Names that differ only in what a file name cannot hold must not share a picture.
        index = int(case["row"])
        while self._names.setdefault(name, index) != index:
            name = f"{name}_{index + 1}"
        return name

    def _write(self, case: Mapping[str, Any], output: Mapping[str, Any]) -> None:
        name = self._name(case)
        image = case["image"].detach().cpu().float().numpy()
        of_body = noise_options(image) if self.reader == "body" else {}
        saliency = None
        if self.saliency != "none":
            saliency = explain(
                self.network,
                image,
                self.saliency,
                layer=self.layer,
                signed=self.signed,
                others=further_inputs(self.network, case),
                **affordable(self.network),
                **of_body,
            )
        text: dict[str, Any] = {
            "title_lines": [name, age_line(output, known_age(case))],
            "banner": self.banner,
            "signed": self.signed,
        }
        if of_body:
            self._write_body(case, name, body_picture(image, of_body["body"]), of_body["body"], saliency, text)
            return
        for ending, layout in case_layouts(case, image, saliency).items():
            write_case_overlay(
                self.output_dir / f"{name}{ending}.png",
                image,
                saliency,
                layout=layout,
                field_of_view_mm=shown_field_of_view_mm(case),
                **text,
            )
        if saliency is None:
            return
        in_mni_space = mni_affine_of(saliency.shape) is not None
        if self.save_maps and in_mni_space:
            write_mni_map(self.output_dir / "maps" / f"{name}_space-MNI152.nii.gz", saliency)
        if self.originals or (self.save_maps and not in_mni_space):
            self._write_original(case, name, saliency, text)

    def _write_body(
        self,
        case: Mapping[str, Any],
        name: str,
        picture: np.ndarray,
        body: np.ndarray,
        saliency: np.ndarray | None,
        text: Mapping[str, Any],
    ) -> None:
        affine = grid_affine(case)
        extent_mm = shown_field_of_view_mm(case)
        if affine is not None:
            x, y, z = np.linalg.norm(affine[:3, :3], axis=0) * picture.shape
            extent_mm = float(x), float(y), float(z)
        layouts = {"": (body_slices(picture, saliency, body=body, affine=affine), _BODY_DPI)}
        if saliency is not None:
            layouts["_montage"] = (body_montage(picture, body=body, affine=affine), _BODY_MONTAGE_DPI)
        for ending, (layout, dpi) in layouts.items():
            write_case_overlay(
                self.output_dir / f"{name}{ending}.png",
                picture,
                saliency,
                layout=layout,
                field_of_view_mm=extent_mm,
                sign_words=_BODY_SIGN_WORDS,
                saliency_label=f"{self.saliency}, scaled to its strongest value",
                dpi=dpi,
                **text,
            )
        if self.save_maps and saliency is not None:
            if affine is None:
                logger.warning("%s: the map is not written, because the grid's place in the patient is unknown", name)
                return
            write_patient_map(self.output_dir / "maps" / f"{name}.nii.gz", saliency, affine)

    def _write_original(
        self, case: Mapping[str, Any], name: str, saliency: np.ndarray, text: Mapping[str, Any]
    ) -> None:
        placement = _placement(case)
        if placement is None:
            logger.warning("%s: only maps of radiographs can be carried back to the original image", name)
            return
        row = self.rows[int(case["row"])]
        original = map_on_original(row["image"], str(case["kind"]), placement, saliency)
        if self.originals:
            write_case_overlay(
                self.output_dir / f"{name}_original.png",
                original.image,
                original.saliency,
                layout=LATERAL,
                field_of_view_mm=original.field_of_view_mm,
                dpi=_ORIGINAL_DPI,
                **text,
            )
        if self.save_maps:
            write_map(self.output_dir / "maps" / f"{name}.nii.gz", original)


def case_layouts(case: Mapping[str, Any], image: np.ndarray, saliency: np.ndarray | None) -> dict[str, ViewLayout]:
    """How the pictures of a case show it, by what their file names end in.

    Parameters
    ----------
    case
        Item of the dataset; a radiograph has a ``kind``.
    image
        The network's input, (1, *spatial). Three spatial axes are shown as slices.
    saliency
        Its map, or None.
    """
    if image.ndim == 4:
        montage = {} if saliency is None else {"_montage": axial_montage(image)}
        return {"": orthogonal_slices(image, saliency), **montage}
    return {"": LATERAL if case.get("kind") else PROJECTIONS}


def shown_field_of_view_mm(case: Mapping[str, Any]) -> tuple[float, float, float] | None:
    """Extent of what the network sees towards left, front and head in mm; None where it is not known.

    Of a radiograph it tells the proportions of a pixel, which differ from 1 in some DXA images. Other radiographs have
    square pixels, and their sides are cropped after the extent was measured, so that nothing is known there.
    """
    extent_mm = np.asarray(case["field_of_view_mm"], dtype=float)
    placement = _placement(case)
    if placement is not None:
        if case["kind"] != "vfa" or not np.isfinite(extent_mm[1:]).all():
            return None
        column_mm, row_mm = extent_mm[1] / placement.area_columns, extent_mm[2] / placement.area_rows
        return math.nan, column_mm * placement.canvas_width, row_mm * placement.canvas_height
    if not np.isfinite(extent_mm).all():
        return None
    left, front, head = (float(length) for length in extent_mm)
    return left, front, head


def grid_affine(case: Mapping[str, Any]) -> np.ndarray | None:
    """From an item's voxels to the scanner's millimetres (right, front, head), (4, 4); None where it is not known."""
    values = np.asarray(case.get("grid_affine", math.nan), dtype=float)
    return values if values.shape == (4, 4) and np.isfinite(values).all() else None


def _placement(case: Mapping[str, Any]) -> CanvasPlacement | None:
    numbers = case.get("canvas")
    return None if numbers is None else CanvasPlacement.from_array(np.asarray(numbers, dtype=float))


def affordable(network: nn.Module) -> dict[str, Any]:
    """Options of :func:`agezoo.explain.attribution.explain` that bring a full-size ensemble's map to seconds.

    Empty for small networks and on a GPU, where the exact map takes little time. bfloat16 is left out where the CPU
    would only imitate it. The map of a Score-CAM alone is changed by the options.
    """
    size = sum(parameter.numel() for parameter in network.parameters())
    if network_device(network).type != "cpu" or size < _AFFORDABLE_PARAMETERS:
        return {}
    # PyTorch has no public question for this; without the private one the exact precision is taken.
    computes_bfloat16 = getattr(torch.cpu, "_is_avx512_bf16_supported", bool)()
    return {"max_maps": _TRIED_MAPS_ON_CPU, **({"precision": "bfloat16"} if computes_bfloat16 else {})}


def known_age(case: Mapping[str, Any]) -> float | None:
    """Chronological age from the datalist, else from the image's header."""
    listed = number(case.get("label"))
    return number(case.get("header_age_years")) if listed is None else listed


def age_line(output: Mapping[str, Any], age_years: float | None) -> str:
    """``predicted age 63.1 ± 5.2 years (age 60.0)``; the SD joins both kinds of uncertainty."""
    predicted = number(output["predicted_age_years"])
    parts = [number(output.get(name)) for name in ("aleatoric_sd_years", "epistemic_sd_years")]
    known = [p for p in parts if p is not None]
    sd = f" ± {math.sqrt(sum(p * p for p in known)):.1f}" if known else ""
    true = f" (age {age_years:.1f})" if age_years is not None else ""
    return f"predicted age {predicted:.1f}{sd} years{true}"

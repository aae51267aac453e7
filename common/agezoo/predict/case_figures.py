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
from agezoo.explain.attribution import explain
from agezoo.explain.network_state import network_device
from agezoo.explain.overlay import write_case_overlay
from agezoo.networks.weights import WeightsFile, ensemble_origin

logger = logging.getLogger(__name__)

# A full-size ResNet-18 has 256 maps to try; five members would keep two cores busy for half a minute per picture.
# Half of the maps, chosen to lie far apart, in half the precision take a third of that and give the same map
# (correlation with the exact one 0.99 and more); with a third of the maps it falls to 0.98. One member instead of five
# would be as fast, but shows another map (correlation with the ensemble's 0.84 to 0.97 with phantom weights).
_TRIED_MAPS_ON_CPU = 128
# Networks with fewer parameters, all members together, are explained exactly: that takes them seconds, and rounding
# can change a member's map whose weights hardly differ from 0.
_AFFORDABLE_PARAMETERS = 8_000_000

PHANTOM_BANNER = "Phantom weights: this age means nothing for a real person."


class CaseFigures:
    """Writes the projections of each case with its age and, over them, where in the image that age comes from.

    Parameters
    ----------
    rows
        The dataset's rows, to which ``row`` of an item points.
    output_dir
        Folder of the pictures, named after subject and session.
    network
        The network that predicts, asked again for the saliency.
    layer
        Layer of the class-activation methods.
    saliency
        A method of :func:`agezoo.explain.attribution.explain`, or ``"none"`` for the projections alone.
    weights
        The weight files in use; phantom weights put a banner on every picture.
    """

    def __init__(
        self,
        rows: Sequence[Mapping[str, Any]],
        output_dir: str | Path,
        network: nn.Module,
        layer: str = "layer3",
        saliency: str = "score_cam",
        weights: Sequence[WeightsFile] = (),
    ) -> None:
        self.rows = rows
        self.output_dir = Path(output_dir)
        self.network = network
        self.layer = layer
        self.saliency = saliency
        self.banner = PHANTOM_BANNER if weights and ensemble_origin(weights) == "phantom" else None
        self._names: dict[str, int] = {}

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator."""
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
        image = case["image"].detach().cpu().float().numpy()
        saliency = None
        if self.saliency != "none":
            saliency = explain(self.network, image, self.saliency, layer=self.layer, **affordable(self.network))
        field_of_view = np.asarray(case["field_of_view_mm"], dtype=float)
        known = bool(np.isfinite(field_of_view).all())
        write_case_overlay(
            self.output_dir / f"{self._name(case)}.png",
            image,
            saliency,
            title_lines=[self._name(case), age_line(output, known_age(case))],
            banner=self.banner,
            field_of_view_mm=tuple(field_of_view) if known else None,
        )


def affordable(network: nn.Module) -> dict[str, Any]:
    """Options of :func:`agezoo.explain.attribution.explain` that bring a full-size ensemble's map to seconds.

    Empty for small networks and on a GPU, where the exact map takes little time. bfloat16 is left out where the CPU
    would only imitate it. Methods other than the Score-CAMs are not changed by the options.
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

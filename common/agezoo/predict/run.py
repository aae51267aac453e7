"""Ages for scans, through the bundle's own ``inferring`` workflow."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agezoo.data.prediction_table import read_predictions
from agezoo.errors import InputError
from agezoo.networks.weights import WeightsFile, find_weights, recorded_settings
from agezoo.predict.cases import find_cases, write_cases
from agezoo.registry import bundle_facts, bundle_root
from agezoo.workflows.bundle_run import expression, run_bundle

if TYPE_CHECKING:
    import pandas as pd


def predict(
    bundle: str,
    inputs: Sequence[str | Path],
    out: str | Path,
    *,
    weights: str | Path = "installed",
    overlays: bool = True,
    saliency: str | None = None,
    save_maps: bool = False,
    device: str | None = None,
    batch_size: int = 4,
) -> pd.DataFrame:
    """Predict an age for every case found in `inputs` and write ``predictions.csv`` and pictures into `out`.

    Parameters
    ----------
    bundle
        Name of the bundle, e.g. ``"ct_age"``.
    inputs
        DICOM folders, NIfTI files or datalists; see :func:`agezoo.predict.cases.find_cases`.
    out
        Output folder.
    weights
        ``"installed"``, ``"phantom"``, a file or a folder; see :func:`agezoo.networks.weights.find_weights`.
    overlays
        Write one picture per case.
    saliency
        What lies over the anatomy in the pictures; None for the bundle's own choice, ``"none"`` for nothing.
    save_maps
        Also write each saliency map as NIfTI: of a radiograph on the grid of the stored image, of a brain in MNI
        space, of a whole body on the network's grid in the scanner's millimetres.
    device
        For example ``"cuda:0"`` or ``"cpu"``; the first GPU when there is one, otherwise the CPU.
    batch_size
        Cases asked together.

    Returns
    -------
    pandas.DataFrame
        The prediction table. A case that could not be read has an empty age and the reason in ``error``.
    """
    facts = bundle_facts(bundle)
    files = find_weights(bundle_root(bundle), weights)
    rows = find_cases(inputs, modality=facts.modalities[0], reader=facts.reader)
    return predict_rows(
        bundle,
        rows,
        out,
        weights=files,
        overlays=overlays,
        saliency=saliency,
        save_maps=save_maps,
        device=device,
        batch_size=batch_size,
    )


def predict_rows(
    bundle: str,
    rows: Sequence[dict[str, Any]],
    out: str | Path,
    *,
    weights: Sequence[WeightsFile],
    overlays: bool = True,
    saliency: str | None = None,
    save_maps: bool = False,
    device: str | None = None,
    batch_size: int = 4,
    cache_dir: str | Path | None = None,
) -> pd.DataFrame:
    """Predict rows of a datalist with given weight files; otherwise as :func:`predict`."""
    out = Path(out).resolve()
    out.mkdir(parents=True, exist_ok=True)
    overrides: dict[str, Any] = {
        **recorded_settings(weights[0]),
        "cases": write_cases(rows, out / ".cases.json"),
        "weights": expression([str(w.path.resolve()) for w in weights]),
        "output_dir": out,
        "overlays": overlays,
        "saliency": saliency or bundle_facts(bundle).saliency,
        "batch_size": batch_size,
    }
    if save_maps:
        if bundle_facts(bundle).reader not in ("radiograph", "brain", "body"):
            raise InputError(
                "maps are written of radiographs, brains (in MNI space) and whole bodies only",
                source="save_maps",
                found=bundle,
            )
        overrides["save_maps"] = True
    if cache_dir is not None:
        overrides["cache_dir"] = Path(cache_dir).resolve()
    if device is not None:
        overrides["device"] = f"$torch.device({json.dumps(device)})"
    try:
        run_bundle(bundle, "inferring", ["inference.json"], overrides=overrides)
    finally:
        (out / ".cases.json").unlink(missing_ok=True)
    return read_predictions(out / "predictions.csv")

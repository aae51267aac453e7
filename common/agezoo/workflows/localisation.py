"""Saliency maps measured against the regions that are known to carry age."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn
from tqdm import tqdm

from agezoo.analysis.localisation_page import write_localisation_page
from agezoo.analysis.localisation_summary import best_methods, compare_with, summarise_localisation
from agezoo.data.atomic import written_atomically
from agezoo.data.masked_cohort import find_masked_scans
from agezoo.errors import AgeZooError, InputError
from agezoo.explain.attribution import LAYER_METHODS, METHODS, explain
from agezoo.explain.background import share_outside
from agezoo.explain.captum_methods import CAPTUM_METHODS
from agezoo.explain.conditioning import first_member
from agezoo.explain.effort import expected_seconds
from agezoo.explain.method_gallery import write_method_gallery
from agezoo.explain.network_state import check_layers
from agezoo.explain.region_scores import ALL_REGIONS, random_scores, region_scores
from agezoo.networks.age_ensemble import AgeEnsemble
from agezoo.networks.brain_start import start_brain_stage
from agezoo.networks.fused_brain import fuse
from agezoo.networks.scale_dense import ScaleDense
from agezoo.networks.weights import ensemble_origin, ensemble_sha256, find_weights, load_ensemble, recorded_settings
from agezoo.networks.weights_conversion import configured_network
from agezoo.registry import bundle_facts, bundle_root
from agezoo.workflows.bundle_run import held_back
from agezoo.workflows.localisation_cases import PLANTED, LocalisationCase, case_reader, planted_weights

logger = logging.getLogger(__name__)

# Of each kind of image.
_GALLERY_CASES = 3
# A method that takes longer for one map is measured only if it is asked for by name. The layer of an EfficientNet has
# over a thousand maps for a Score-CAM to try; that of the CT recipe has so few that no method is left out.
_PATIENCE_SECONDS = {"radiograph": 15.0, "brain": 15.0, "body": 60.0}


def localise(
    bundle: str,
    cohort: str | Path,
    out: str | Path,
    *,
    weights: str | Path | Sequence[str | Path] = "phantom",
    methods: Sequence[str] | None = None,
    layer: str | Sequence[str] | None = None,
    limit: int | None = None,
    seed: int = 0,
    n_bootstrap: int = 2000,
    device: str | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Measure how well saliency maps find the regions that carry age, and write table, figures and a page.

    Masks go through the same geometry as their images: the two projections of a CT, the canvas of a radiograph, the
    network's grid of a brain in MNI space, and that of a whole body, whose place in the patient is known. Labels of
    heads that must be registered first are not carried along, so that a brain's cohort must lie in MNI space. In which
    regions of a phantom body age is planted, its ``cohort.json`` tells; together they are ``planted_regions``.
    Every method explains three kinds of network or none: the trained one, an untrained one of the same layout and
    number of members (what the method shows of the image alone), and, for chance, random maps as smooth as a CAM and
    the image's own brightness. Maps are unsigned and scored within the patient.

    Parameters
    ----------
    bundle
        Name of the bundle, e.g. ``"ct_age"``.
    cohort
        Cohort with masks; see :func:`agezoo.data.masked_cohort.find_masked_scans`. The weights should not have been
        trained on it.
    out
        Folder of the results: ``localisation.csv`` (a row per case, network, method and region),
        ``localisation.json`` (means with intervals), ``localisation.html`` and ``gallery/``.
    weights
        See :func:`agezoo.networks.weights.find_weights`. Several files are explained as the ensemble that they are.
    methods
        Names from :data:`agezoo.explain.attribution.METHODS`; None takes all that can run here. Of radiographs and
        brains those are left out that would take longer than 15 seconds per map on this machine, of whole bodies a
        minute: Score-CAM of a full-size EfficientNet takes most of an hour on a CPU.
    layer
        Layer of the class-activation methods, or several, whose maps are averaged; None takes the network's own. It
        decides, of several the first, how coarse the random maps are.
    limit
        Only the first so many scans.
    seed
        Of the untrained network, the random maps, SmoothGrad's noise and the bootstrap.
    n_bootstrap
        Resamples of the intervals.
    device
        For example ``"cuda:0"``; the first GPU when there is one, otherwise the CPU.
    progress
        Show a progress bar.

    Returns
    -------
    dict
        The content of ``localisation.json``.

    Raises
    ------
    InputError
        If the cohort has no usable scan with a mask, or a method or layer is unknown.
    """
    asked = _checked_methods(methods)
    if limit is not None and limit < 1:
        raise InputError("limit must be at least 1", found=limit)
    root, facts = bundle_root(bundle), bundle_facts(bundle)
    files = find_weights(root, weights)
    scans = find_masked_scans(cohort)[:limit]
    place = torch.device(device or ("cuda:0" if torch.cuda.is_available() else "cpu"))
    settings = recorded_settings(files[0])
    trained: nn.Module = load_ensemble(configured_network(root, settings), files).to(place)
    untrained = _untrained_like(root, settings, len(files), seed, facts.age_range_years).to(place)
    if facts.reader == "brain":
        # Sooner, with the same ages, layers and gradients; as predictions are made.
        trained, untrained = fuse(trained), fuse(untrained)
    networks = {"trained": trained, "untrained": untrained}
    if LAYER_METHODS.intersection(asked):
        # Before any scan is read in vain.
        check_layers(first_member(trained), layer)
    planted = planted_weights(scans) if facts.reader == "body" else {}
    read = case_reader(root, facts.reader, scans, trained, settings, layer, tuple(planted))
    out = Path(out)
    (out / "gallery").mkdir(parents=True, exist_ok=True)

    rows: list[dict[str, Any]] = []
    pictures: list[tuple[str, Path]] = []
    skipped: list[str] = []
    reasons: list[str] = []
    chosen: tuple[str, ...] = ()
    slow: dict[str, float] = {}
    shown: dict[str, int] = {}
    tolerance_pixels = 0.0
    cells: tuple[int, ...] = ()
    steps = tqdm(
        total=len(scans) * len(networks) * len(asked), desc="saliency", unit="map", disable=None if progress else True
    )
    for index, scan in enumerate(scans):
        try:
            case = read(index)
        except AgeZooError as error:
            logger.warning("%s is left out: %s", scan.name, error)
            skipped.append(scan.name)
            reasons.append(str(error))
            steps.update(len(networks) * len(asked))
            continue
        if not chosen:
            if methods is None and facts.reader in _PATIENCE_SECONDS:
                slow = _too_slow(trained, case, asked, layer, _PATIENCE_SECONDS[facts.reader])
            chosen = tuple(name for name in asked if name not in slow)
            tolerance_pixels, cells = case.tolerance_pixels, case.grid.counts
            steps.total -= (len(scans) - index) * len(networks) * len(slow)
        scored, maps = _scores_of_case(case, networks, chosen, layer, seed=seed + index, step=steps.update)
        rows += scored
        shown[scan.modality] = shown.get(scan.modality, 0) + 1
        if shown[scan.modality] <= _GALLERY_CASES:
            caption = f"{scan.name}, age {scan.age_years:.1f}: {len(files)} trained member{'s' * (len(files) > 1)}"
            picture = write_method_gallery(
                out / "gallery" / f"case_{len(pictures) + 1}.png",
                case.image,
                case.outlines,
                maps,
                title=caption,
                layout=case.layout,
                field_of_view_mm=case.field_of_view_mm,
            )
            pictures.append((caption, picture))
    steps.close()
    if not rows:
        raise InputError("no scan of the cohort could be used", source=str(cohort), found=reasons[0])

    table = pd.DataFrame(rows)
    summary = summarise_localisation(table, n_bootstrap=n_bootstrap, seed=seed)
    told = PLANTED if PLANTED in set(table["region"]) else ALL_REGIONS
    content: dict[str, Any] = {
        "bundle": bundle,
        "cases": int(table[["subject_id", "session"]].drop_duplicates().shape[0]),
        "subjects": int(table["subject_id"].nunique()),
        "skipped": skipped,
        "layer": layer if layer is None or isinstance(layer, str) else list(layer),
        "cam_cells": list(cells),
        "too_slow": {name: round(seconds) for name, seconds in slow.items()},
        "weights_origin": ensemble_origin(files),
        "weights_sha256": ensemble_sha256(files),
        "members": len(files),
        "tolerance_pixels": tolerance_pixels,
        "seed": seed,
        "n_bootstrap": n_bootstrap,
        **({"told_region": told, "planted": list(planted), "planted_weights": planted} if told == PLANTED else {}),
        "best": best_methods(summary, region=told),
        f"energy_inside_minus_{facts.saliency}": compare_with(
            table, facts.saliency, region=told, n_bootstrap=n_bootstrap, seed=seed
        ),
        "summary": summary,
    }
    with written_atomically(out / "localisation.csv") as temporary:
        table.to_csv(temporary, index=False)
    with written_atomically(out / "localisation.json") as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    write_localisation_page(out / "localisation.html", content, gallery=pictures)
    return content


def _checked_methods(methods: Sequence[str] | None) -> tuple[str, ...]:
    if methods is None:
        if find_spec("captum") is not None:
            return METHODS
        logger.info("captum is not installed, so only the CAMs are measured (pip install 'agezoo[explain]')")
        return tuple(name for name in METHODS if name not in CAPTUM_METHODS)
    unknown = [name for name in methods if name not in METHODS]
    if unknown or not methods:
        raise InputError("no such saliency method", found=", ".join(unknown) or "none", expected=", ".join(METHODS))
    return tuple(dict.fromkeys(methods))


def _untrained_like(
    root: Path, settings: Mapping[str, Any], members: int, seed: int, age_range_years: tuple[float, float]
) -> nn.Module:
    """An ensemble of the same layout and size with the weights that training starts from."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        networks = [configured_network(root, settings) for _ in range(members)]
        for network in networks:
            first = getattr(network, "first_stage", network)
            if isinstance(first, ScaleDense):
                # In the middle of all ages, as after a training's start. Its last ReLU would cut off ages about 0, and
                # with them every gradient.
                start_brain_stage(first, ages_years=age_range_years)
        return AgeEnsemble(networks).eval()


def _too_slow(
    network: nn.Module,
    case: LocalisationCase,
    methods: Sequence[str],
    layer: str | Sequence[str] | None,
    patience_seconds: float,
) -> dict[str, float]:
    """Methods that would take too long here, with the seconds that one map would take."""
    layers = [layer] if layer is None or isinstance(layer, str) else layer
    of_layers = [expected_seconds(network, case.network_image, methods, one, others=case.others) for one in layers]
    seconds = {
        name: sum(told[name] for told in of_layers) if name in LAYER_METHODS else of_layers[0][name] for name in methods
    }
    slow = {name: value for name, value in seconds.items() if value > patience_seconds}
    if slow:
        told = ", ".join(f"{name} (about {value:.0f} s per map)" for name, value in slow.items())
        logger.warning("left out because they would take long, unless named in methods: %s", told)
    return slow


def _scores_of_case(
    case: LocalisationCase,
    networks: Mapping[str, nn.Module],
    methods: Sequence[str],
    layer: str | Sequence[str] | None,
    *,
    seed: int,
    step: Callable[[], object],
) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """Rows of the table, and the trained network's maps."""
    rows: list[dict[str, Any]] = []
    shown: dict[str, np.ndarray] = {}

    def add(network: str, method: str, scores: Mapping[str, Mapping[str, float]], **more: float) -> None:
        facts = {
            "subject_id": case.scan.subject_id,
            "session": case.scan.session,
            "age_years": case.scan.age_years,
            "network": network,
            "method": method,
            **({"modality": case.scan.modality} if case.scan.modality else {}),
        }
        known = {"background_share": np.nan, "seconds": np.nan, **more}
        rows.extend({**facts, "region": region, **values, **known} for region, values in scores.items())

    for network_name, network in networks.items():
        for method in methods:
            start = time.perf_counter()
            # Unmasked, because the share on the background is measured too; the scores leave the background out.
            # What Score-CAM says of each untrained or poor network, the figures tell here.
            with held_back("agezoo.explain.score_cam"):
                saliency = explain(
                    network,
                    case.network_image,
                    method,
                    layer=layer,
                    signed=False,
                    blank_value=case.blank_value,
                    mask_outside_patient=False,
                    seed=seed,
                    others=case.others,
                )
            seconds = time.perf_counter() - start
            add(
                network_name,
                method,
                region_scores(saliency, case.regions),
                background_share=share_outside(saliency, case.regions.patient),
                seconds=seconds,
            )
            if network_name == "trained":
                inside = np.where(case.regions.patient, saliency, 0)
                shown[method] = inside / max(float(inside.max()), 1e-12)
            step()
    add("none", "image_brightness", region_scores(case.image, case.regions))
    add("none", "random_map", random_scores(case.regions, coarse_shape=case.grid.counts, seed=seed))
    return rows, shown

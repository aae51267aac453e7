"""Where a population's bodies show their age: saliency maps carried to a template and averaged."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from agezoo.child_processes import children_with_threads
from agezoo.data.datalist import SECTIONS, absolute_path
from agezoo.data.prediction_table import read_predictions
from agezoo.errors import InputError
from agezoo.networks.weights import ensemble_origin, ensemble_sha256, find_weights
from agezoo.phantoms.body_labels import PLANTED_WEIGHTS
from agezoo.predict.cases import find_cases
from agezoo.registry import BUNDLES, bundle_facts, bundle_root
from agezoo.transforms.body.body_template import read_template
from agezoo.workflows.atlas_cases import AtlasCase, atlas_cohort, is_phantom, masks_of
from agezoo.workflows.atlas_inputs import (
    TEMPLATE,
    check_numbers,
    check_parts,
    cohort_predictions,
    ensure_template,
    labelled,
    unpredicted,
)
from agezoo.workflows.atlas_outputs import write_atlas
from agezoo.workflows.atlas_state import AtlasState
from agezoo.workflows.atlas_sums import AtlasSums
from agezoo.workflows.atlas_work import (
    AtlasOutcome,
    AtlasSettings,
    AtlasTask,
    MakeMap,
    atlas_case,
    failed,
    template_checksum,
)
from agezoo.workflows.brain_preparation_workers import WorkerDeath, in_workers

if TYPE_CHECKING:
    from torch import nn

logger = logging.getLogger(__name__)

REGISTRATIONS = "registrations"

MIN_OVERLAP, MIN_CORRELATION = 0.85, 0.5
# Cases between two saves: a kill loses the work on them.
_SAVE_EVERY = 20


@dataclass(frozen=True, eq=False)
class Atlas:
    """What an atlas gave.

    Attributes
    ----------
    folder
        Where everything lies.
    cases
        Content of ``cases.csv``; empty if only the template was built.
    n_done, n_kept
        Cases treated by this call, and cases that were finished before.
    page
        The HTML report; None if it was not asked for.
    notes
        What is not known.
    """

    folder: Path
    cases: pd.DataFrame
    n_done: int
    n_kept: int
    page: Path | None
    notes: tuple[str, ...]

    @property
    def n_left_out(self) -> int:
        """Cases that do not count."""
        return int((self.cases["error"] != "").sum()) if len(self.cases) else 0


def population_atlas(
    bundle: str,
    inputs: Sequence[str | Path],
    out: str | Path,
    *,
    weights: str | Path | Sequence[str | Path] = "installed",
    network: nn.Module | None = None,
    make_map: MakeMap | None = None,
    predictions: str | Path | None = None,
    template: str | Path | None = None,
    labels: str | Path | None = None,
    reference: str | None = None,
    template_subjects: int = 12,
    template_only: bool = False,
    registration_mm: float | None = None,
    registrations: str | Path | None = None,
    min_overlap: float = MIN_OVERLAP,
    min_correlation: float = MIN_CORRELATION,
    method: str | None = None,
    layer: str | None = None,
    age_cuts: Sequence[float] = (55.0, 65.0),
    shuffles: int = 200,
    seed: int = 0,
    workers: int = 0,
    limit: int | None = None,
    section: str | None = None,
    shard: tuple[int, int] | None = None,
    resume: bool = True,
    report: bool = True,
    device: str | None = None,
    progress: bool = True,
) -> Atlas:
    """Explain every scan of a cohort, carry the maps to one template, and average them by group.

    Every map is set to 0 outside the body, carried, and scaled so that its absolute values sum to 1 over the template's
    body: everybody weighs the same. Maps are added up as they come (see
    :class:`agezoo.workflows.atlas_state.AtlasState`), so that memory and disk do not grow with the cohort but for a
    row per case and its registration (some 100 kB). The same call goes on where it was stopped.

    Parameters
    ----------
    bundle
        A bundle that reads bodies, e.g. ``"wholebody_mr"``.
    inputs
        Zips, folders or NIfTI files, or datalists, whose ages, sexes and masks are used; see
        :func:`agezoo.predict.cases.find_cases`.
    out
        Folder of the results: ``template/``, ``predictions.csv``, ``cases.csv``, ``regions.csv``,
        ``registration_overlap.csv`` (where scans have masks), ``population/``, ``atlas.json`` and the report.
    weights
        See :func:`agezoo.networks.weights.find_weights`; several files are explained as the ensemble that they are.
    network
        Explained in place of the weights, e.g. an untrained one for comparison; works in this process alone. Needs
        `predictions`.
    make_map
        Stands for the network: from a case's row and mask to a :class:`agezoo.workflows.atlas_maps.PatientMap`. Needs
        `predictions`.
    predictions
        Prediction table of the whole cohort, best with corrected gaps (``agezoo calibrate``); without it the weights
        predict first.
    template
        Folder of a template, see :func:`agezoo.transforms.body.body_template.read_template`; without it one is built
        from the cohort, see :func:`agezoo.workflows.atlas_template.build_template`.
    labels
        Label volume with ``labels.json`` beside it: in the space of the given template, or of the reference's scan.
    reference
        ``subject_id`` of the body that a template is begun with.
    template_subjects
        How many bodies a template is averaged from.
    template_only
        Stop when the template is there, for example to segment it.
    registration_mm
        Edge of the template's voxels; None takes 6 mm, and a given template's own.
    registrations
        Folder of finished registrations that another atlas on the same template left; ``out/registrations`` if None.
    min_overlap, min_correlation
        Cases that lie worse on the template are listed and left out.
    method, layer
        See :func:`agezoo.explain.attribution.explain`; None takes the bundle's method and the network's layer.
    age_cuts
        Ages in years that part the age groups.
    shuffles
        Shuffled copies of every map, see :meth:`agezoo.workflows.atlas_shuffles.RegionShares.of_shuffled`.
    seed
        Of the shuffles and the report.
    workers
        Processes; 0 works in this one. Each loads the network.
    limit
        Only the first so many scans.
    section
        Only this section of datalists, for example ``"test"``: people on whom the network was not trained. None takes
        all.
    shard
        ``(i, n)``: only every n-th scan, from the i-th (1 to n). Needs `predictions` and `template`, which all shards
        must share; :func:`merge_atlases` puts the shards together.
    resume
        Go on with what lies in `out`; otherwise begin anew (finished registrations are used again).
    report
        Write the report, unless this is a shard.
    device
        For example ``"cuda:0"``; the first GPU when there is one, otherwise the CPU.
    progress
        Show progress bars on a terminal.

    Returns
    -------
    Atlas

    Raises
    ------
    InputError
        If an argument is out of range, `out` holds an atlas of other settings, or the template has no labels. Scans
        that fail are rows with the reason.
    MissingExtraError
        If itk-elastix is not installed.
    """
    facts = bundle_facts(bundle)
    if facts.reader != "body":
        readers = ", ".join(name for name, one in BUNDLES.items() if one.reader == "body")
        raise InputError("the bundle reads no whole bodies", source=bundle, expected=readers)
    check_numbers(template_subjects=template_subjects, shuffles=shuffles, limit=limit)
    check_parts(shard, template, predictions, network is not None or make_map is not None, workers if network else 0)
    out = absolute_path(out)
    out.mkdir(parents=True, exist_ok=True)
    sections = SECTIONS if section is None else (section,)
    rows = find_cases(inputs, modality=facts.modalities[0], reader=facts.reader, progress=progress, sections=sections)[
        :limit
    ]
    masks = masks_of(inputs)
    by_weights = network is None and make_map is None and not template_only
    files = find_weights(bundle_root(bundle), weights) if by_weights else []
    if template_only:
        table = read_predictions(predictions) if predictions is not None else unpredicted(rows)
    else:
        table = cohort_predictions(bundle, rows, out, predictions, files, device, resume=resume)
    cohort = atlas_cohort(rows, table, masks=masks, age_cuts=age_cuts, age_range_years=facts.age_range_years)
    for note in cohort.notes if not template_only else ():
        logger.info("%s", note)
    folder = out / TEMPLATE
    ensure_template(
        folder,
        cohort.cases,
        template,
        labels=labels,
        spacing_mm=registration_mm,
        n_subjects=template_subjects,
        reference=reference,
        workers=workers,
        keep=resume,
        progress=progress,
    )
    if template_only:
        return Atlas(folder, pd.DataFrame(), 0, 0, None, cohort.notes)
    standard = labelled(read_template(folder), folder)
    method = method or facts.saliency
    if network is not None:
        make_map = _map_maker(bundle, network, method, layer)
    settings = AtlasSettings(
        bundle=bundle,
        weights=tuple(file.path.resolve() for file in files),
        method=method,
        layer=layer,
        device=device,
        template=folder,
        registrations=absolute_path(registrations) if registrations is not None else out / REGISTRATIONS,
        min_overlap=min_overlap,
        min_correlation=min_correlation,
        n_shuffles=shuffles,
        seed=seed,
        make_map=make_map,
    )
    phantom = is_phantom(inputs)
    kept = {
        "bundle": bundle,
        "weights_sha256": ensemble_sha256(files) if files else "given network",
        "weights_origin": ensemble_origin(files) if files else "given network",
        "method": method,
        "layer": layer,
        "template_sha256": template_checksum(folder),
        "labels_sha256": template_checksum(folder, ("labels.nii.gz", "mask.nii.gz")),
        "regions": dict(standard.names),
        "min_overlap": min_overlap,
        "min_correlation": min_correlation,
        "shuffles": shuffles,
        "seed": seed,
        "groups": list(cohort.groups),
        "gap": cohort.gap,
        "gap_mean_years": _finite(cohort.gap_mean_years),
        "gap_sd_years": _finite(cohort.gap_sd_years),
        "scans": len(cohort.cases),
        "shard": None if shard is None else list(shard),
        "phantom": phantom,
    }
    cases = cohort.cases if shard is None else cohort.cases[shard[0] - 1 :: shard[1]]
    empty = AtlasSums(cohort.groups, int(standard.mask.sum()), shuffles, len(standard.names))
    with closing(AtlasState(out, kept, empty, resume=resume)) as state:
        n_kept, n_done = _work(cases, settings, state, workers=workers, progress=progress)
        written = write_atlas(out, standard, state.sums, state.rows(), kept)
    page = write_report(out, phantom=phantom, seed=seed) if report and shard is None else None
    return Atlas(out, written, n_done, n_kept, page, cohort.notes)


def _work(
    cases: Sequence[AtlasCase], settings: AtlasSettings, state: AtlasState, *, workers: int, progress: bool
) -> tuple[int, int]:
    """Treat what is not done yet; the numbers of cases kept and done."""
    done = state.done()
    tasks = [AtlasTask(case, settings) for case in cases if case.key not in done]
    n_kept = len(cases) - len(tasks)
    if n_kept:
        logger.info("%d of %d scans are in the atlas already", n_kept, len(cases))
    n_failed = 0
    with (
        logging_redirect_tqdm([logging.getLogger("agezoo")]) if sys.stderr.isatty() else nullcontext(),
        tqdm(total=len(cases), initial=n_kept, desc="atlas", unit="scan", disable=None if progress else True) as bar,
        children_with_threads(1),
        closing(in_workers(atlas_case, tasks, jobs=min(workers, len(tasks)))) as outcomes,
    ):
        try:
            for task, outcome in outcomes:
                if isinstance(outcome, WorkerDeath):
                    outcome = failed(task.case, str(outcome), may_pass_later=True)
                _count(state, task.case, outcome)
                if outcome.row["error"]:
                    n_failed += 1
                    logger.warning("%s is left out: %s", task.case.name, outcome.row["error"])
                bar.set_postfix_str(f"{n_failed} left out" if n_failed else "", refresh=False)
                bar.update()
        finally:
            # Also when it is interrupted: what was counted is whole.
            state.save()
    return n_kept, len(tasks)


def _count(state: AtlasState, case: AtlasCase, outcome: AtlasOutcome) -> None:
    if outcome.carried is not None:
        state.sums.add(case.groups, outcome.carried)
    state.add(outcome.row)
    if state.unsaved >= _SAVE_EVERY:
        state.save()


def _map_maker(bundle: str, network: nn.Module, method: str, layer: str | None) -> MakeMap:
    from agezoo.workflows.atlas_maps import MapMaker

    return MapMaker(bundle, network, method=method, layer=layer)


def write_report(out: Path, *, phantom: bool, seed: int) -> Path:
    """Write the findings into an atlas' folder; a phantom's are held against what was planted."""
    from agezoo.analysis.atlas_report import write_atlas_report

    write_atlas_report(out, seed=seed, planted=PLANTED_WEIGHTS if phantom else None)
    return out / "index.html"


def _finite(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None

"""From a prediction table and a plan to tables, figures and one page: the whole analysis in one call."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from agezoo.analysis.ager_finding import ager_finding
from agezoo.analysis.analysis_input import AnalysisInput, TableSource, analysis_input, read_analysis_table
from agezoo.analysis.analysis_page import DrawnPlot, analysis_page, drawn
from agezoo.analysis.bias_finding import bias_finding
from agezoo.analysis.calibration import Calibration
from agezoo.analysis.corrected_table import Corrected, corrected_table
from agezoo.analysis.discrimination_finding import discrimination_finding
from agezoo.analysis.findings import Finding
from agezoo.analysis.follow_up_join import joined_follow_up
from agezoo.analysis.group_finding import group_finding, site_finding
from agezoo.analysis.headlines import headlines_of
from agezoo.analysis.plan import AnalysisPlan
from agezoo.analysis.reference_draw import set_reference_aside
from agezoo.analysis.reliability_finding import reliability_finding
from agezoo.analysis.survival_finding import survival_findings
from agezoo.data.atomic import written_atomically
from agezoo.errors import AgeZooError, InputError
from agezoo.version import __version__

_PROVENANCE = ("bundle", "bundle_version", "weights_origin", "weights_sha256")


def analyse_table(
    table: TableSource,
    out: str | os.PathLike[str],
    plan: AnalysisPlan | None = None,
    *,
    reference: TableSource | None = None,
    reference_fraction: float | None = None,
    calibration: Calibration | str | os.PathLike[str] | None = None,
    follow_up: TableSource | None = None,
    title: str | None = None,
    seed: int = 0,
    n_bootstrap: int = 2000,
) -> dict[str, Any]:
    """Analyse a prediction table: ``analysis.html``, ``analysis.json``, ``tables/`` and ``figures/`` in `out`.

    Parameters
    ----------
    table
        A prediction table of any bundle or from elsewhere, or its path; ``age_years`` and the plan's prediction are
        needed, all else is optional.
    out
        Folder of the results; made if absent. Tables and figures of an earlier analysis there are replaced.
    plan
        Labels, end points, covariates, groups; without one, bias and reliability alone.
    reference
        Prediction table of other people, on which the bias correction is fitted.
    reference_fraction
        Instead of a reference: this share of the table's people is drawn as one, apart by ``plan.by``, and not
        reported.
    calibration
        Calibration file of the weights, used where there is no reference and the table has no folds.
    follow_up
        Table of outcomes, joined by ``subject_id``.
    title
        Heading of the page.
    seed, n_bootstrap
        Of bootstrap intervals and of the folds of cross-validated figures; equal seeds give equal results.

    Returns
    -------
    dict
        Content of ``analysis.json``: ``plan``, ``counts``, ``correction``, ``headlines``, ``findings`` (by name:
        ``description``, ``tables``, ``notes``), ``provenance``, ``files``. A figure that is not defined is None.

    Raises
    ------
    InputError
        If a table cannot be read, the plan names columns that are not there, or people of the table are in the
        reference; nothing is written then. An analysis that cannot be made is a note in the page and stops no other.
    """
    plan = plan or AnalysisPlan()
    name = "table" if isinstance(table, pd.DataFrame) else Path(table).name
    frame = read_analysis_table(table, plan, name=name)
    notes: tuple[str, ...] = ()
    if follow_up is not None:
        frame, notes = joined_follow_up(frame, follow_up)
    others = None if reference is None else read_analysis_table(reference, plan, name="reference")
    if reference_fraction is not None:
        if others is not None:
            raise InputError(
                "two references are given",
                found="a table, and a share of the people to set aside",
                expected="one of them",
            )
        frame, others, drawn_note = set_reference_aside(
            frame, reference_fraction, by=plan.by, prediction=plan.prediction, seed=seed, group=plan.reference_group
        )
        notes = (*notes, drawn_note)
    given = analysis_input(frame, plan, name=name)
    if calibration is not None and not isinstance(calibration, Calibration):
        calibration = Calibration.load(calibration)
    corrected = corrected_table(given.table, plan, reference=others, calibration=calibration, seed=seed)
    findings = list(_findings(corrected, plan, seed=seed, n_bootstrap=n_bootstrap))
    plots = [drawn(plot) for finding in findings for plot in finding.plots]
    result = _result(given, corrected, plan, findings, plots, notes, seed=seed, n_bootstrap=n_bootstrap)
    page = analysis_page(
        title or f"Analysis of {name}",
        given,
        corrected,
        plan,
        findings,
        plots,
        result,
        seed=seed,
        n_bootstrap=n_bootstrap,
    )
    _write(Path(out), result, findings, plots, page)
    return result


def _findings(corrected: Corrected, plan: AnalysisPlan, *, seed: int, n_bootstrap: int) -> Iterator[Finding]:
    """Every analysis that the plan asks for; one that cannot be made says why in its place."""
    table = corrected.table
    yield from _made("Bias correction", lambda: [bias_finding(corrected, plan, seed=seed, n_bootstrap=n_bootstrap)])
    if plan.labels:
        yield from _made("Discrimination", lambda: [discrimination_finding(table, plan, seed=seed)])
    if plan.end_points:
        yield from _made("Survival", lambda: survival_findings(table, plan, seed=seed, n_bootstrap=n_bootstrap))
    if plan.groups:
        yield from _made("Groups", lambda: [group_finding(table, plan)])
    yield from _made("Accelerated and decelerated agers", lambda: [ager_finding(table, plan)])
    if plan.site is not None:
        site = plan.site
        yield from _made("Sites", lambda: [site_finding(table, site)])
    repeats = reliability_finding(table, prediction=plan.prediction)
    if repeats is not None:
        yield repeats


def _made(name: str, make: Callable[[], Iterable[Finding]]) -> list[Finding]:
    try:
        return list(make())
    except (AgeZooError, np.linalg.LinAlgError) as error:
        return [Finding(name, "This analysis could not be made.", notes=(f"{error}",))]


def _result(
    given: AnalysisInput,
    corrected: Corrected,
    plan: AnalysisPlan,
    findings: list[Finding],
    plots: list[DrawnPlot],
    notes: tuple[str, ...],
    *,
    seed: int,
    n_bootstrap: int,
) -> dict[str, Any]:
    tables = [table.name for finding in findings for table in finding.tables]
    for names in (tables, [plot.name for plot in plots]):
        doubled = {name for name in names if names.count(name) > 1}
        if doubled:
            raise ValueError(f"two tables or two figures are called {', '.join(sorted(doubled))}")
    age = given.table["age_years"].dropna()
    return {
        "table": given.name,
        "counts": {
            "rows": given.n_rows,
            "without_a_prediction": given.n_failed,
            "analysed_rows": len(given.table),
            "people": given.n_people,
            "without_an_age": given.n_without_age,
            "with_a_corrected_age": int(corrected.table["corrected_age_years"].notna().sum()),
            "age_min_years": None if age.empty else float(age.min()),
            "age_max_years": None if age.empty else float(age.max()),
        },
        "missing": _records(given.missing),
        "correction": {"how": corrected.how, "notes": list(corrected.notes)},
        "notes": list(notes),
        "headlines": headlines_of(findings),
        "findings": {
            finding.name: {
                "description": finding.description,
                "tables": {table.name: _records(table.frame) for table in finding.tables},
                "figures": [plot.name for plot in finding.plots],
                "notes": list(finding.notes),
            }
            for finding in findings
        },
        "plan": plan.model_dump(mode="json"),
        "provenance": {name: sorted(given.table[name].dropna().astype(str).unique().tolist()) for name in _PROVENANCE},
        "phantom_weights": given.phantom,
        "seed": seed,
        "n_bootstrap": n_bootstrap,
        "agezoo_version": __version__,
        "files": sorted(
            [*(f"tables/{name}.csv" for name in ("missing_data", *tables))]
            + [f"figures/{plot.name}.{suffix}" for plot in plots for suffix in ("png", "svg")]
        ),
    }


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    def plain(value: Any) -> Any:
        if value is None or value is pd.NA or (isinstance(value, float | np.floating) and not np.isfinite(value)):
            return None
        return value.item() if isinstance(value, np.generic) else value

    return [{str(key): plain(value) for key, value in row.items()} for row in frame.to_dict("records")]


def _write(out: Path, result: dict[str, Any], findings: list[Finding], plots: list[DrawnPlot], page: str) -> None:
    for folder in ("tables", "figures"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    for name in _former_files(out):
        if name not in result["files"]:
            (out / name).unlink(missing_ok=True)
    frames = {table.name: table.frame for finding in findings for table in finding.tables}
    frames["missing_data"] = pd.DataFrame(result["missing"])
    for name, frame in frames.items():
        with written_atomically(out / "tables" / f"{name}.csv") as temporary:
            frame.to_csv(temporary, index=False, encoding="utf-8", lineterminator="\n")
    for plot in plots:
        for suffix, content in (("png", plot.png), ("svg", plot.svg)):
            with written_atomically(out / "figures" / f"{plot.name}.{suffix}") as temporary:
                temporary.write_bytes(content)
    with written_atomically(out / "analysis.json") as temporary:
        text = json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")
    with written_atomically(out / "analysis.html") as temporary:
        temporary.write_text(page, encoding="utf-8")


def _former_files(out: Path) -> list[str]:
    """Tables and figures of an earlier analysis: one of another plan must not stay beside this page."""
    try:
        listed = json.loads((out / "analysis.json").read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    inside = ("tables/", "figures/")
    return [name for name in listed if isinstance(name, str) and name.startswith(inside) and ".." not in name]

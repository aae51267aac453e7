"""``robustness.json``, plots and one self-contained page from a table of perturbed predictions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

from agezoo.analysis.figure_catalogue import in_words, interval_in_words
from agezoo.analysis.html_page import data_uri, page_environment
from agezoo.analysis.plots.bland_altman import plot_bland_altman
from agezoo.analysis.plots.canvas import rendered
from agezoo.analysis.plots.catalogue import Plot
from agezoo.analysis.plots.perturbed_views import PerturbedImage, PerturbedSlices, PerturbedView, plot_perturbed_views
from agezoo.analysis.plots.robustness import plot_agreement_overview, plot_differences, plot_error_overview
from agezoo.analysis.robustness import NONE, NOT_APPLICABLE, repeat_pairs, robustness_figures, with_unrounded_ages
from agezoo.data.atomic import written_atomically
from agezoo.version import __version__

_SHOWN_FAILURES = 100

_SHOWN = {
    "volume": (
        "Coronal and sagittal projections of one scan",
        "Radiological view: the patient's left at the viewer's right.",
    ),
    "radiograph": (
        "The network's view of one image",
        "The whole canvas is shown, with the black that fills it up; left and right are as stored.",
    ),
    "body": (
        "Coronal and sagittal slice of one body",
        "Always the middle slices of the grid. Radiological view: the patient's left at the viewer's right; 2.5 SD "
        "below the body's mean are nearly black, 2.5 SD above white.",
    ),
    "brain": (
        "Coronal, sagittal and axial slice of one brain in MNI space",
        "Always the same slices. Radiological view: the patient's left at the viewer's right; 2.5 SD below the brain's "
        "mean are nearly black, 2.5 SD above white.",
    ),
}

#: What one image is called, by kind of image.
NOUNS = {"volume": "scan", "radiograph": "image", "brain": "scan", "body": "scan"}


_BRAIN_STATES = {
    "head": "as heads",
    "stripped": "as brains in their own space",
    "mni_head": "as heads in MNI space",
    "mni_brain": "as brains in MNI space",
}


def write_robustness(
    table: pd.DataFrame,
    out: str | Path,
    *,
    bundle: str,
    seed: int,
    reader: str = "volume",
    texts: Mapping[str, tuple[str, str]] | None = None,
    example: str = "",
    views: Sequence[PerturbedView | PerturbedImage | PerturbedSlices] = (),
) -> dict[str, Any]:
    """Write ``robustness.json``, ``robustness.html`` and ``plots/`` into `out`.

    Parameters
    ----------
    table
        With the columns of :data:`agezoo.analysis.robustness.TABLE_COLUMNS`.
    out
        Folder of the results.
    bundle, seed
        What predicted, and the seed of what was left to chance in the perturbations.
    reader
        What one image is, see :class:`agezoo.registry.BundleFacts`.
    texts
        Heading and description of the perturbations by name; the bare name is the heading of others.
    example, views
        Name of one scan and what the network saw of it, the unperturbed view first.

    Returns
    -------
    dict
        Content of ``robustness.json``: :func:`agezoo.analysis.robustness.robustness_figures` and where it comes from.
    """
    out = Path(out)
    figures = {
        "bundle": bundle,
        "reader": reader,
        "seed": seed,
        "agezoo_version": __version__,
        "weights_origin": _only(table["weights_origin"]),
        "weights_sha256": _only(table["weights_sha256"]),
        **robustness_figures(table),
    }
    titles = {name: title for name, (title, _) in (texts or {}).items()}
    pictures = {plot.name: (plot, rendered(plot.figure, "png")) for plot in _plots(table, figures, titles, views)}
    page = (
        page_environment()
        .get_template("robustness_page.html.j2")
        .render(
            figures=figures,
            titles=titles,
            descriptions={name: description for name, (_, description) in (texts or {}).items()},
            plots={name: _shown(*picture) for name, picture in pictures.items()},
            example=example,
            failures=_failures(table),
            phantom="phantom" in set(table["weights_origin"].dropna()),
            ages=figures["n_with_age"] > 0,
            words=in_words,
            interval=interval_in_words,
            noun=NOUNS[reader],
            states=_BRAIN_STATES,
            # A cascade states no SD of its own, and the table of brains is wide.
            with_sd=reader != "brain"
            or any(g["n_with_sd"] for grades in figures["perturbations"].values() for g in grades),
            made_on=date.today().isoformat(),
            version=__version__,
        )
    )
    (out / "plots").mkdir(parents=True, exist_ok=True)
    for name, (_, png) in pictures.items():
        with written_atomically(out / "plots" / f"{name}.png") as temporary:
            temporary.write_bytes(png)
    with written_atomically(out / "robustness.json") as temporary:
        text = json.dumps(figures, indent=2, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")
    with written_atomically(out / "robustness.html") as temporary:
        temporary.write_text(page, encoding="utf-8")
    return figures


def _plots(
    table: pd.DataFrame,
    figures: Mapping[str, Any],
    titles: Mapping[str, str],
    views: Sequence[PerturbedView | PerturbedImage | PerturbedSlices],
) -> Iterator[Plot]:
    noun = NOUNS[figures["reader"]]
    perturbed, repeats = figures["perturbations"], figures["repeat_scans"]
    limits = (repeats["lower_limit_years"], repeats["upper_limit_years"]) if "lower_limit_years" in repeats else None
    if perturbed:
        yield Plot(
            "agreement",
            plot_agreement_overview(perturbed, titles, repeat_limits_years=limits, noun=noun),
            "Mean difference and limits of agreement of every perturbation and grade; the numbers are in the table.",
            "A diamond off the dashed line: ages move to one side. A long bar: they move unpredictably. Arrow "
            "heads: the bar goes on beyond the plot."
            + (f" Grey: how far repeat {noun}s of one person are apart anyway." if limits else ""),
        )
    if perturbed and figures["n_with_age"]:
        yield Plot(
            "error",
            plot_error_overview(perturbed, titles, baseline_mae_years=figures["baseline_mae_years"], noun=noun),
            f"Mean absolute error of every perturbation and grade beside that of the same {noun}s as they are.",
            "Diamonds to the right of their black mark: the perturbation makes ages worse. The dashed line is the "
            f"error of all {noun}s as they are.",
        )
    for name, grades in perturbed.items():
        if not any(grade["n"] for grade in grades):
            continue
        rows = table[table["perturbation"] == name]
        yield Plot(
            f"difference_{name}",
            plot_differences(rows, grades, title=titles.get(name, name), unit=grades[0]["unit"], noun=noun),
            f"Box plots of the change of age by grade of {titles.get(name, name)}.",
            f"Points are {noun}s. Boxes are drawn for five {noun}s or more.",
        )
    if limits:
        compared = with_unrounded_ages(table)
        pairs = repeat_pairs(compared[(compared["perturbation"] == NONE) & compared["predicted_age_years"].notna()])
        yield Plot(
            "repeat_scans",
            plot_bland_altman(pairs["first_years"], pairs["second_years"], title=f"First and repeat {noun}",
                              second_name="repeat"),
            f"Bland-Altman plot of {len(pairs)} pairs of {noun}s.",
            "About 95 % of the differences lie between the orange limits; shaded bands are the lines' 95 % intervals.",
        )  # fmt: skip
    if views:
        yield Plot(
            "example",
            plot_perturbed_views(views),
            f"{_SHOWN[figures['reader']][0]} under every perturbation: " + "; ".join(view.title for view in views),
            f"Each perturbation at its strongest grade, in the grey values that the network gets. "
            f"{_SHOWN[figures['reader']][1]}",
        )


def _shown(plot: Plot, png: bytes) -> dict[str, str]:
    return {"uri": data_uri(png), "alt": plot.alt, "reading": plot.reading}


def _failures(table: pd.DataFrame) -> dict[str, Any]:
    """Rows with an error, those aside whose grade would have changed nothing; the page shows the first."""
    is_failure = [isinstance(error, str) and not error.startswith(NOT_APPLICABLE) for error in table["error"]]
    failed = table[is_failure]
    shown = failed.head(_SHOWN_FAILURES)
    lines = [
        {
            "scan": " ".join(str(v) for v in (row["subject_id"], row["session"]) if v == v and v),
            "what": "reading" if row["perturbation"] == NONE else f"{row['perturbation']} {row['grade']:g}",
            "reason": str(row["error"]),
        }
        for row in shown.to_dict("records")
    ]
    return {"n": len(failed), "lines": lines}


def _only(values: pd.Series) -> str:
    return ", ".join(sorted({str(v) for v in values.dropna()}))

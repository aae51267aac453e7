"""One self-contained HTML page, ``metrics.json`` and plots for one or more evaluated tables.

The page holds its pictures and its style inside itself and asks for nothing from outside; its content security
policy forbids it to.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from agezoo.analysis.bootstrap import MIN_SUBJECTS
from agezoo.analysis.html_page import data_uri, page_environment
from agezoo.analysis.report_sections import (
    EvaluatedSection,
    PairsSection,
    ReportSection,
    TableSource,
    evaluate_section,
    slug,
    split_section,
)
from agezoo.data.atomic import written_atomically
from agezoo.errors import InputError
from agezoo.version import __version__

__all__ = ["PairsSection", "ReportSection", "evaluate_pairs_table", "evaluate_table", "write_report"]

_PICTURES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}


def evaluate_table(
    table: TableSource,
    out: str | os.PathLike[str],
    *,
    title: str | None = None,
    name: str = "Evaluation",
    description: str = "",
    sd_column: str | None = None,
    split_by: str | None = None,
    extra_tables: Mapping[str, TableSource] | None = None,
    notes: Sequence[str] = (),
    gallery: Sequence[tuple[str, str | os.PathLike[str]]] = (),
    seed: int = 0,
    n_bootstrap: int = 2000,
) -> dict[str, Any]:
    """Evaluate a prediction table: ``metrics.json``, plots and ``report.html`` in ``out``.

    Parameters
    ----------
    table
        A prediction table or its path; ``age_years`` and ``predicted_age_years`` are needed, all else is optional.
    out
        Folder of the results; made if absent.
    title
        Heading of the page.
    name, description
        Heading and introduction of the table's section.
    sd_column
        Column that takes the place of ``aleatoric_sd_years``, for tables from elsewhere.
    split_by
        Column whose values become sections of their own, in order of appearance (a set, a site, a scanner).
    extra_tables
        Further tables by name, each a section of the same page.
    notes, gallery, seed, n_bootstrap
        As in :func:`write_report`.

    Returns
    -------
    dict
        The content of ``metrics.json``; see :func:`write_report`.

    Raises
    ------
    InputError
        If a table cannot be evaluated; nothing is written then.
    """
    sections = [ReportSection(name, table, description, sd_column)]
    if split_by is not None:
        sections = split_section(sections[0], split_by)
    sections += [ReportSection(label, extra) for label, extra in (extra_tables or {}).items()]
    return write_report(
        sections,
        out,
        title=title or "Evaluation of predicted ages",
        notes=notes,
        gallery=gallery,
        seed=seed,
        n_bootstrap=n_bootstrap,
    )


def evaluate_pairs_table(
    pairs: TableSource,
    out: str | os.PathLike[str],
    *,
    title: str = "Agreement of repeated predictions",
    name: str = "Repeat scans",
    description: str = "",
    names: tuple[str, str] = ("first", "second"),
    ddof: int = 0,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Compare paired predictions: ``metrics.json``, a Bland-Altman plot and ``report.html`` in ``out``.

    Parameters
    ----------
    pairs
        Table with ``first_years`` and ``second_years`` or its path, or the path of a prediction table with repeat
        scans (see :func:`agezoo.analysis.repeat_pairs.read_pairs`).
    out
        Folder of the results; made if absent.
    title, name, description, notes
        Headings and introduction.
    names, ddof
        As in :class:`PairsSection`.

    Returns
    -------
    dict
        The content of ``metrics.json``; figures as in :func:`agezoo.analysis.agreement.evaluate_pairs`.
    """
    return write_report([PairsSection(name, pairs, description, names, ddof)], out, title=title, notes=notes)


def write_report(
    sections: Sequence[ReportSection | PairsSection],
    out: str | os.PathLike[str],
    *,
    title: str,
    notes: Sequence[str] = (),
    gallery: Sequence[tuple[str, str | os.PathLike[str]]] = (),
    seed: int = 0,
    n_bootstrap: int = 2000,
) -> dict[str, Any]:
    """Evaluate every section and write ``report.html``, ``metrics.json`` and ``plots/`` into ``out``.

    Parameters
    ----------
    sections
        Tables and pairs, in the order of the page; names must differ.
    out
        Folder of the results; made if absent.
    title
        Heading of the page.
    notes
        Sentences that stand at the head of the page.
    gallery
        Captions and paths of PNG or JPEG pictures, embedded at the end of the page.
    seed, n_bootstrap
        Of the bootstrap intervals.

    Returns
    -------
    dict
        Content of ``metrics.json``: the figures of the first section, and under ``other_sections`` those of the
        others by name. Plots are ``plots/<section>_<plot>.png`` and ``.svg``.

    Raises
    ------
    InputError
        If a table or picture cannot be used; nothing is written then.
    """
    names = [section.name for section in sections]
    if not sections or len({slug(name) for name in names}) < len(names):
        raise InputError("sections of a report need different names", found=", ".join(names) or "no section")
    pictures = [{"caption": caption, "uri": _embedded(path)} for caption, path in gallery]
    done = [evaluate_section(section, seed=seed, n_bootstrap=n_bootstrap) for section in sections]
    metrics = {
        "section": done[0].name,
        **done[0].metrics,
        "other_sections": {section.name: section.metrics for section in done[1:]},
        "agezoo_version": __version__,
    }
    has_pairs = any(isinstance(section, PairsSection) for section in sections)
    page = (
        page_environment()
        .get_template("report.html.j2")
        .render(
            title=title,
            notes=list(notes),
            sections=done,
            gallery=pictures,
            phantom=any(section.phantom for section in done),
            made_on=date.today().isoformat(),
            version=__version__,
            n_bootstrap=n_bootstrap,
            seed=seed,
            min_subjects=MIN_SUBJECTS,
            has_pairs=has_pairs,
            data_uri=data_uri,
        )
    )
    _write(Path(out), metrics, page, done)
    return metrics


def _embedded(path: str | os.PathLike[str]) -> str:
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise InputError("picture for the gallery cannot be read", source=path, found=error.strerror) from None
    for start, kind in _PICTURES.items():
        if content.startswith(start):
            return data_uri(content, kind)
    raise InputError("picture for the gallery is of another kind", source=path, expected="a PNG or JPEG file")


def _write(out: Path, metrics: dict[str, Any], page: str, sections: Sequence[EvaluatedSection]) -> None:
    plots = out / "plots"
    plots.mkdir(parents=True, exist_ok=True)
    for section in sections:
        for plot in section.plots:
            for suffix in ("png", "svg"):
                with written_atomically(plots / f"{section.slug}_{plot['name']}.{suffix}") as temporary:
                    temporary.write_bytes(plot[suffix])
    with written_atomically(out / "metrics.json") as temporary:
        text = json.dumps(metrics, indent=2, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")
    with written_atomically(out / "report.html") as temporary:
        temporary.write_text(page, encoding="utf-8")

"""One self-contained page on the brains of a prepared cohort: which to look at, which failed and why."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

from agezoo.analysis.html_page import data_uri, page_environment
from agezoo.analysis.plots.canvas import BLUE, INK, ORANGE, new_axes, rendered
from agezoo.data.atomic import written_atomically
from agezoo.version import __version__

#: Pictures inside the page; the others lie beside it.
SHOWN_PICTURES = 24

#: Rows of the table of all cases; the CSV file has every one.
SHOWN_ROWS = 1000

_PICTURE_WIDTH = 1100
_COLOURS = {"pass": BLUE, "warn": ORANGE}


def write_preparation_page(
    path: str | Path,
    table: pd.DataFrame,
    *,
    bundle: str,
    recipe: str,
    pictures: Mapping[str, Path],
    phantom: bool = False,
) -> Path:
    """Write the page; pictures and style are inside it, and it asks for nothing from outside.

    Parameters
    ----------
    path
        HTML file; pictures in a folder beside it are linked by relative paths.
    table
        Content of ``preparation.csv``: ``case``, ``source``, ``brain_state``, ``registration_overlap``,
        ``registration_correlation``, ``qc``, ``qc_reasons``, ``seconds``, ``error``, ``notes``.
    bundle, recipe
        For which network the brains are, and the version of the preprocessing.
    pictures
        Case -> PNG file.
    phantom
        The heads are synthetic.
    """
    target = Path(path)
    done = table[table["error"].isna()].sort_values(
        ["registration_overlap", "registration_correlation"], na_position="first", kind="stable"
    )
    # Cases that need a look come first, whatever their overlap.
    done = pd.concat([done[done["qc"] != "pass"], done[done["qc"] == "pass"]])
    shown = [row for row in _rows(done) if row["case"] in pictures][:SHOWN_PICTURES]
    page = (
        page_environment()
        .get_template("preparation_page.html.j2")
        .render(
            bundle=bundle,
            recipe=recipe,
            phantom=phantom,
            counts={name: int((table["qc"] == name).sum()) for name in ("pass", "warn", "fail")},
            n=len(table),
            figures=_figures(done),
            figure=data_uri(_histogram(done)) if len(done) else "",
            failed=_rows(table[table["error"].notna()]),
            worst=[(row, _embedded(pictures[row["case"]]), _link(pictures[row["case"]], target)) for row in shown],
            rows=_rows(done.head(SHOWN_ROWS)),
            n_done=len(done),
            links={case: _link(picture, target) for case, picture in pictures.items()},
            number=_number,
            made_on=date.today().isoformat(),
            version=__version__,
        )
    )
    with written_atomically(target) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return target


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {str(name): None if pd.isna(value) else value for name, value in row.items()}
        for row in table.to_dict(orient="records")
    ]


def _figures(done: pd.DataFrame) -> list[tuple[str, str]]:
    """Names and values of the summary."""
    if not len(done):
        return []
    pairs = []
    for name, column in (("Overlap", "registration_overlap"), ("Correlation", "registration_correlation")):
        values = done[column].astype("float64")
        pairs.append((f"{name} with the template", f"median {values.median():.3f}, lowest {values.min():.3f}"))
    states = done["brain_state"].value_counts()
    pairs.append(("How the scans were found", ", ".join(f"{count} {_STATES.get(s, s)}" for s, count in states.items())))
    seconds = done["seconds"].astype("float64")
    pairs.append(("Seconds per scan", f"median {seconds.median():.0f}, longest {seconds.max():.0f}"))
    return pairs


_STATES = {
    "head": "whole heads",
    "stripped": "without skull",
    "mni_head": "heads already in MNI space",
    "mni_brain": "brains already in MNI space",
}


def _histogram(done: pd.DataFrame) -> bytes:
    """Overlap of all brains as PNG; those that need a look in another colour."""
    import numpy as np
    from matplotlib.ticker import MaxNLocator

    overlap = done["registration_overlap"].astype("float64")
    known = overlap[overlap.notna()]
    low = min(0.9, float(known.min())) if len(known) else 0.9
    edges = np.arange(np.floor(low * 100) / 100, 1.0 + 1e-9, 0.005 if low > 0.7 else 0.02)
    figure, axes = new_axes(
        title="Overlap with the template's brain", x="Dice overlap", y="scans", width_in=6.4, height_in=3.2
    )
    parts = [(name, overlap[(done["qc"] == name) & overlap.notna()]) for name in _COLOURS]
    parts = [(name, values) for name, values in parts if len(values)]
    axes.hist(
        [values.to_numpy() for _, values in parts],
        bins=edges.tolist(),
        stacked=True,
        color=[_COLOURS[name] for name, _ in parts],
        label=[f"{name} ({len(values)})" for name, values in parts],
    )
    if len(known):
        median = float(known.median())
        axes.axvline(median, color=INK, linestyle="--", linewidth=1, label=f"median {median:.3f}")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="upper left")
    return rendered(figure, "png")


def _embedded(picture: Path) -> str:
    """The picture small enough for many of them in one page."""
    from PIL import Image

    with Image.open(picture) as image:
        small = image.convert("RGB")
        if small.width > _PICTURE_WIDTH:
            small = small.resize(
                (_PICTURE_WIDTH, round(small.height * _PICTURE_WIDTH / small.width)), Image.Resampling.LANCZOS
            )
        buffer = io.BytesIO()
        small.save(buffer, format="JPEG", quality=82, optimize=True)
    return data_uri(buffer.getvalue(), "image/jpeg")


def _link(picture: Path, page: Path) -> str:
    return picture.relative_to(page.parent).as_posix() if picture.is_relative_to(page.parent) else picture.name


def _number(value: Any, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"

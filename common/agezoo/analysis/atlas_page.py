"""One self-contained page on where a network looked in a population."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

from agezoo.analysis.atlas_groups import AGE, AGERS, AGERS_ADJUSTED, SEX
from agezoo.analysis.atlas_headline import in_words
from agezoo.analysis.atlas_input import ALL, AtlasInput
from agezoo.analysis.atlas_pictures import Picture, group_words
from agezoo.analysis.atlas_planted import PlantedCheck
from agezoo.analysis.atlas_regions import MIN_PEOPLE
from agezoo.analysis.atlas_registration_quality import LIMIT, MEASURES, badly_registered, measure
from agezoo.analysis.atlas_reliability import ENOUGH, Reliability
from agezoo.analysis.atlas_spill import MIN_RECOVERY, cell_edges
from agezoo.analysis.html_page import data_uri, page_environment
from agezoo.data.atomic import written_atomically
from agezoo.version import __version__

#: Rows of the lists of flagged and failed scans; cases.csv has every one.
SHOWN_ROWS = 100

_TITLES = {
    SEX: "Women − men",
    AGE: "Per 10 years of age",
    AGERS: "Accelerated − decelerated agers",
    AGERS_ADJUSTED: "Accelerated − decelerated agers at equal age and sex",
}
_SECTIONS = (("sex", "Women and men", (SEX,)), ("age", "Age", (AGE,)), ("agers", "Agers", (AGERS, AGERS_ADJUSTED)))


def write_atlas_page(
    path: Path,
    atlas: AtlasInput,
    *,
    headline: str,
    regions: pd.DataFrame,
    comparisons: pd.DataFrame,
    agreement: Reliability,
    check: PlantedCheck | None,
    pictures: Sequence[Picture],
    notes: Sequence[str],
    n_bootstrap: int,
    seed: int,
) -> Path:
    """Write the page; pictures and style are inside it, and it asks for nothing from outside.

    Parameters
    ----------
    path
        HTML file.
    atlas
        What was read.
    headline, regions, comparisons, agreement, check, pictures
        What was found.
    notes
        What the data lack and what was not compared.
    n_bootstrap, seed
        Of intervals and permutations.
    """
    everybody = regions[regions["group"] == ALL].sort_values("rank_enrichment", na_position="last")
    flagged = atlas.cases[badly_registered(atlas.cases)]
    page = (
        page_environment()
        .get_template("atlas_page.html.j2")
        .render(
            headline=headline,
            phantom=atlas.phantom or check is not None,
            n=len(atlas.cases),
            n_people=atlas.n_people(ALL),
            sizes=[(group_words(name), atlas.n_people(name), int(rows.sum())) for name, rows in atlas.groups.items()],
            pictures=_by_section(pictures),
            regions=everybody.to_dict(orient="records"),
            elsewhere=_elsewhere(everybody),
            cell=_cell(atlas.facts) if everybody["recovery"].notna().any() else "",
            min_recovery=MIN_RECOVERY,
            made_with=_made_with(atlas.facts),
            n_shuffles=int(everybody["n_shuffles"].max()),
            groups=_groups(comparisons),
            agreement=agreement,
            check=check,
            planted=[] if check is None else check.table.to_dict(orient="records"),
            quality=_quality(atlas.cases),
            dice=sorted(atlas.region_dice.items(), key=lambda pair: pair[1]),
            flagged=_scans(flagged),
            n_flagged=len(flagged),
            failed=_scans(atlas.failed),
            n_failed=len(atlas.failed),
            notes=notes,
            n_bootstrap=n_bootstrap,
            seed=seed,
            enough=ENOUGH,
            min_people=MIN_PEOPLE,
            limit=LIMIT,
            in_words=in_words,
            figure=figure,
            number=number,
            p_value=p_value,
            made_on=date.today().isoformat(),
            version=__version__,
        )
    )
    with written_atomically(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def figure(row: Mapping[str, Any], name: str, digits: int = 2, scale: float = 1.0, signed: bool = False) -> str:
    """``3.12 (3.01 to 3.23)``; a dash where nothing is known."""
    values = [row[name], row[f"{name}_low"], row[f"{name}_high"]]
    text = [number(None if pd.isna(v) else v * scale, digits, signed=signed) for v in values]
    return text[0] if "–" in text[1:] else f"{text[0]} ({text[1]} to {text[2]})"


def number(value: float | None, digits: int, *, signed: bool = False) -> str:
    """A number with a true minus sign; a dash for none."""
    if value is None or pd.isna(value):
        return "–"
    text = f"{value:{'+' if signed else ''}.{digits}f}"
    # Zero has no sign.
    text = text.lstrip("+-") if float(text) == 0 else text
    return text.replace("-", "\N{MINUS SIGN}")


def p_value(value: float | None) -> str:
    """A p value to two digits, ``< 0.0001`` below that; a dash for none."""
    if value is None or pd.isna(value):
        return "–"
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}" if value < 0.001 else f"{value:.3f}"


def _cell(facts: Mapping[str, Any]) -> str:
    edges = cell_edges(facts)
    return "" if edges is None else " x ".join(f"{edge:.0f}" for edge in edges) + " mm"


def _made_with(facts: Mapping[str, Any]) -> str:
    """Method, layer and network of the maps in words; empty if they are not known."""
    if not facts.get("method"):
        return ""
    layer = f"of {facts['layer']}" if facts.get("layer") else "of the network's own layer for it"
    weights, origin = str(facts.get("weights_sha256") or ""), str(facts.get("weights_origin") or "")
    # A checksum is known by its beginning; a network that was handed over has none.
    known = f"weights {weights[:12]}" + (f" ({origin})" if origin else "") if " " not in weights else weights
    return f"{facts['method']} {layer}" + (f", {known}" if weights else "")


def _by_section(pictures: Sequence[Picture]) -> dict[str, list[tuple[Picture, str]]]:
    sections: dict[str, list[tuple[Picture, str]]] = {}
    for picture in pictures:
        sections.setdefault(picture.section, []).append((picture, data_uri(picture.png)))
    return sections


def _elsewhere(regions: pd.DataFrame) -> dict[str, float]:
    """Share of the maps and of the body that no region covers."""
    return {name: max(0.0, 1.0 - float(regions[name].sum())) for name in ("share", "volume_share")}


def _groups(comparisons: pd.DataFrame) -> list[dict[str, Any]]:
    """Sections of the page: title, and comparisons with their rows, the clearest first."""
    sections = []
    for key, title, names in _SECTIONS:
        tables = []
        for name in names:
            rows = comparisons[comparisons["comparison"] == name].copy()
            if len(rows):
                rows["reach"] = rows["enrichment_difference"].abs()
                rows = rows.sort_values(["p_adjusted", "p", "reach"], ascending=[True, True, False], kind="stable")
                tables.append(
                    {
                        "name": _TITLES[name],
                        "rows": rows.to_dict(orient="records"),
                        "n_clear": int((rows["p_adjusted"] < 0.05).sum()),
                        "has_correlation": bool(rows["correlation"].notna().any()),
                    }
                )
        sections.append({"key": f"groups_{key}", "title": title, "tables": tables})
    return sections


def _quality(cases: pd.DataFrame) -> list[tuple[str, str]]:
    pairs = []
    for name, words in MEASURES.items():
        values = measure(cases, name)
        if values.notna().any():
            pairs.append((words.capitalize(), f"median {values.median():.3f}, lowest {values.min():.3f}"))
    return pairs


def _scans(rows: pd.DataFrame) -> list[dict[str, Any]]:
    names = ["subject_id", "session", "error", *MEASURES]
    shown = rows.reindex(columns=names).head(SHOWN_ROWS).astype(object)
    return [
        {str(name): None if pd.isna(value) else value for name, value in row.items()}
        for row in shown.to_dict(orient="records")
    ]

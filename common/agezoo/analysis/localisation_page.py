"""One self-contained page on how well saliency maps find the regions that carry age."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from agezoo.analysis.html_page import data_uri, page_environment
from agezoo.analysis.localisation_summary import TRAINED, WHOLE
from agezoo.data.atomic import written_atomically
from agezoo.version import __version__


def write_localisation_page(
    path: str | Path, content: Mapping[str, Any], *, gallery: Sequence[tuple[str, Path]] = ()
) -> Path:
    """Write the page; pictures and style are inside it, and it asks for nothing from outside.

    Parameters
    ----------
    path
        HTML file.
    content
        What ``localisation.json`` holds, see :func:`agezoo.workflows.localisation.localise`.
    gallery
        Captions and paths of PNG pictures.
    """
    summary = {(row["network"], row["method"], row["region"]): row for row in content["summary"]}
    # Of whole bodies the labels fill all of the patient, so that another union of regions tells more.
    told = content.get("told_region", WHOLE)
    whole = {key[:2]: row for key, row in summary.items() if key[2] == told}
    methods = [method for network, method in whole if network == TRAINED]
    regions = list(dict.fromkeys(region for _, _, region in summary if region not in (WHOLE, told)))
    page = (
        page_environment()
        .get_template("localisation_page.html.j2")
        .render(
            content=content,
            methods=sorted(methods, key=lambda name: -whole[TRAINED, name]["energy_inside"]["value"]),
            controls=[method for network, method in whole if network == "none"],
            regions=regions,
            whole=whole,
            together="all regions" if told == WHOLE else str(told).replace("_", " "),
            summary=summary,
            phantom=content["weights_origin"] == "phantom",
            gallery=[(caption, _embedded(picture)) for caption, picture in gallery],
            figure=_figure,
            made_on=date.today().isoformat(),
            version=__version__,
        )
    )
    target = Path(path)
    with written_atomically(target) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return target


def _figure(row: Mapping[str, Any] | None, name: str, digits: int = 2) -> str:
    """``0.41 (0.36 to 0.47)``, or a dash where nothing is known."""
    if row is None or row[name]["value"] is None:
        return "–"
    text = f"{row[name]['value']:.{digits}f}"
    interval = row[name]["interval"]
    return text if interval is None else f"{text} ({interval[0]:.{digits}f} to {interval[1]:.{digits}f})"


def _embedded(path: Path) -> str:
    return data_uri(path.read_bytes())

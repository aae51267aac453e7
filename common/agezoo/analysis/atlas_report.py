"""The findings of a population atlas: tables, maps of differences, figures and one page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from agezoo.analysis.atlas_groups import group_comparisons
from agezoo.analysis.atlas_headline import atlas_headline
from agezoo.analysis.atlas_input import AtlasInput, read_atlas
from agezoo.analysis.atlas_page import write_atlas_page
from agezoo.analysis.atlas_pictures import map_pictures, table_pictures
from agezoo.analysis.atlas_planted import check_planted
from agezoo.analysis.atlas_regions import region_table
from agezoo.analysis.atlas_reliability import reliability
from agezoo.analysis.atlas_spill import Spill, cell_edges, spill_over
from agezoo.analysis.atlas_volumes import read_template
from agezoo.data.atomic import written_atomically


@dataclass(frozen=True, eq=False)
class AtlasReport:
    """What was written.

    Attributes
    ----------
    folder
        Of the atlas; ``index.html``, ``region_table.csv``, ``group_comparisons.csv``, ``planted_regions.csv``
        (phantoms), ``figures/`` and ``differences/`` lie in it.
    region_table
        See :func:`agezoo.analysis.atlas_regions.region_table`.
    group_comparisons
        See :func:`agezoo.analysis.atlas_groups.group_comparisons`.
    headline
        The main finding in plain words.
    """

    folder: Path
    region_table: pd.DataFrame
    group_comparisons: pd.DataFrame
    headline: str


def write_atlas_report(
    folder: str | Path, *, n_bootstrap: int = 2000, seed: int = 0, planted: Mapping[str, float] | None = None
) -> AtlasReport:
    """Read the folder of an atlas and write its findings into it.

    Parameters
    ----------
    folder
        What ``agezoo atlas`` wrote: ``cases.csv``, ``regions.csv``, ``population/``, ``template/`` and, for the
        weights' origin, ``predictions.csv``.
    n_bootstrap
        Resamples of people for intervals, and permutations for comparisons of groups; 0 leaves both out.
    seed
        Equal seeds give equal tables.
    planted
        Region -> weight of the ageing planted there, for phantom cohorts only.

    Raises
    ------
    InputError
        If files or columns are missing, do not fit together, or no case has a map.
    """
    atlas = read_atlas(folder)
    regions = region_table(atlas, spill=_spill(atlas), n_bootstrap=n_bootstrap, seed=seed)
    comparisons, notes = group_comparisons(atlas, n_bootstrap=n_bootstrap, seed=seed)
    agreement = reliability(atlas, seed=seed)
    check = check_planted(regions, planted) if planted is not None else None
    headline = atlas_headline(atlas, regions, check)
    _write_table(regions, atlas.folder / "region_table.csv")
    _write_table(comparisons, atlas.folder / "group_comparisons.csv")
    if check is not None:
        _write_table(check.table, atlas.folder / "planted_regions.csv")
    pictures = [*map_pictures(atlas), *table_pictures(atlas, regions, comparisons, agreement)]
    (atlas.folder / "figures").mkdir(exist_ok=True)
    for picture in pictures:
        with written_atomically(atlas.folder / "figures" / f"{picture.name}.png") as temporary:
            temporary.write_bytes(picture.png)
    write_atlas_page(
        atlas.folder / "index.html", atlas, headline=headline, regions=regions, comparisons=comparisons,
        agreement=agreement, check=check, pictures=pictures, notes=[*atlas.notes, *notes], n_bootstrap=n_bootstrap,
        seed=seed,
    )  # fmt: skip
    return AtlasReport(atlas.folder, regions, comparisons, headline)


def _spill(atlas: AtlasInput) -> Spill | None:
    edges = cell_edges(atlas.facts)
    if edges is None or "label" not in atlas.regions:
        return None
    template = read_template(atlas.folder)
    values = [int(value) for value in atlas.regions["label"]]
    return spill_over(template.labels, template.mask, values, cell_mm=edges, spacing_mm=template.spacing_mm)


def _write_table(table: pd.DataFrame, path: Path) -> None:
    with written_atomically(path) as temporary:
        table.to_csv(temporary, index=False, encoding="utf-8", lineterminator="\n", float_format="%.8g")

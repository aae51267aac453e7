"""Every figure of an atlas and the voxel-wise maps that some of them show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from agezoo.analysis.atlas_groups import AGE, AGERS, AGERS_ADJUSTED, SEX
from agezoo.analysis.atlas_input import ALL, AtlasInput, age_bounds
from agezoo.analysis.atlas_regions import MIN_PEOPLE
from agezoo.analysis.atlas_registration_quality import MEASURES, badly_registered, measure
from agezoo.analysis.atlas_reliability import ENOUGH, Reliability
from agezoo.analysis.atlas_volumes import (
    GroupMaps,
    MapDifference,
    TemplateVolumes,
    compare_maps,
    consistency,
    has_maps,
    map_path,
    read_group,
    read_template,
    read_volume,
    write_volume,
)
from agezoo.analysis.plots.atlas_groups import plot_comparison
from agezoo.analysis.plots.atlas_maps import MapBlock, MapScale, plot_maps
from agezoo.analysis.plots.atlas_planes import SliceChoice, choose_slices
from agezoo.analysis.plots.atlas_regions import plot_enrichment
from agezoo.analysis.plots.atlas_registration import plot_quality
from agezoo.analysis.plots.atlas_reliability import plot_reliability
from agezoo.analysis.plots.canvas import rendered

#: False discovery rate below which a voxel is outlined.
LEVEL = 0.05

_TIMES = "× body's average"
# The brightest colour stands for this percentile of the body's voxels: a few hot voxels would leave the rest dark.
_BRIGHTEST_PERCENT = 99.5


@dataclass(frozen=True)
class Picture:
    """A figure: its file's name without suffix, section of the page, what it shows in words, caption, and the PNG."""

    name: str
    section: str
    alt: str
    caption: str
    png: bytes


def group_words(group: str) -> str:
    """Name of a group as it is printed."""
    if group.startswith("age_"):
        low, high = age_bounds(group)
        return f"{low:g} to {high:g} years"
    return {ALL: "everybody", "female": "women", "male": "men"}.get(group, f"{group} agers")


def map_pictures(atlas: AtlasInput) -> Iterator[Picture]:
    """Maps of everybody and of groups, and their differences; writes ``differences/`` into the atlas's folder.

    Maps are divided by the mean of everybody's map over the body, so that 1 is the body's average, as in the table.

    Raises
    ------
    InputError
        If a volume cannot be read or is on another grid.
    """
    template = read_template(atlas.folder)
    maps = read_group(atlas.folder, ALL, like=template.water)
    average = float(maps.mean[template.mask].mean())
    unit = average if average > 0 else 1.0
    brightest = max(float(np.percentile(maps.mean[template.mask], _BRIGHTEST_PERCENT)) / unit, 1e-6)
    scale = MapScale(brightest, _TIMES)
    folder = atlas.folder / "differences"
    folder.mkdir(exist_ok=True)

    choice = choose_slices(maps.mean, template.mask, template.spacing_mm, tall_each=2, stack=3)
    everybody = f"mean map of {int(atlas.groups[ALL].sum())} scans"
    yield _maps_picture(
        "population_all", "maps", [MapBlock(everybody, choice.cuts(maps.mean / unit))], choice, template, [scale],
        title="Where the network looked: everybody",
        caption=f"The {everybody} over the template, slices where most of it lies. 1 is the body's average.",
    )  # fmt: skip
    alike = consistency(maps, template.mask)
    write_volume(folder / "all_consistency.nii.gz", alike, template.affine)
    if (alike > 0).any():
        largest = float(np.percentile(alike[template.mask], _BRIGHTEST_PERCENT))
        yield _maps_picture(
            "population_consistency", "maps", [MapBlock("mean over SD", choice.cuts(alike))], choice, template,
            [MapScale(max(largest, 1e-6), "mean over SD between scans")], title="How alike the maps are",
            caption="Mean over SD between scans: high where nearly everybody's map is bright, low where a few are.",
        )  # fmt: skip
    yield from _signed_picture(atlas, template, choice, unit)
    for name, groups in _side_by_side(atlas):
        yield from _group_pictures(atlas, template, maps, name, groups, unit, scale)


def _side_by_side(atlas: AtlasInput) -> Iterator[tuple[str, list[str]]]:
    ages = [name for name in atlas.groups if name.startswith("age_")]
    for name, groups in (("sex", ["female", "male"]), ("age", ages), ("agers", ["accelerated", "decelerated"])):
        there = [group for group in groups if group in atlas.groups and has_maps(atlas.folder, group)]
        if len(there) >= 2:
            yield name, there


def _signed_picture(
    atlas: AtlasInput, template: TemplateVolumes, choice: SliceChoice, unit: float
) -> Iterator[Picture]:
    path = map_path(atlas.folder, ALL, "signed_mean")
    if not path.is_file():
        return
    signed = read_volume(path, like=template.water)[0] / unit
    largest = float(np.percentile(np.abs(signed[template.mask]), _BRIGHTEST_PERCENT))
    if largest > 0:
        yield _maps_picture(
            "population_signed", "maps", [MapBlock("mean signed map", choice.cuts(signed))], choice, template,
            [MapScale(largest, f"signed map ({_TIMES} of the absolute one)", signed=True)],
            title="What makes people look older or younger",
            caption="Mean of the signed maps. Red: what is there raises the predicted age; blue: it lowers it.",
        )  # fmt: skip


def _group_pictures(
    atlas: AtlasInput,
    template: TemplateVolumes,
    everybody: GroupMaps,
    name: str,
    groups: Sequence[str],
    unit: float,
    scale: MapScale,
) -> Iterator[Picture]:
    """Groups side by side in everybody's slices and colours, and first minus last of them (age: last minus first)."""
    choice = choose_slices(everybody.mean, template.mask, template.spacing_mm)
    blocks = []
    ends = (groups[-1], groups[0]) if name == "age" else (groups[0], groups[-1])
    kept: dict[str, GroupMaps] = {}
    for group in groups:
        maps = read_group(atlas.folder, group, like=template.water)
        if group in ends:
            kept[group] = maps
        title = f"{group_words(group)} ({int(atlas.groups[group].sum())} scans)"
        blocks.append(MapBlock(title, choice.cuts(maps.mean / unit)))
    first, second = ends
    found = compare_maps(
        kept[first], kept[second], template.mask,
        people_per_scan=(_people_per_scan(atlas, first), _people_per_scan(atlas, second)), min_people=MIN_PEOPLE,
    )  # fmt: skip
    _write_difference(atlas, found, f"{first}_minus_{second}", template)
    clear = found.q < LEVEL
    shown = np.abs(found.difference[template.mask]) / unit
    largest = max(float(np.percentile(shown, _BRIGHTEST_PERCENT)), 1e-6)
    words = f"{group_words(first)} − {group_words(second)}"
    blocks.append(MapBlock(words, choice.cuts(found.difference / unit), 1, choice.cuts(clear)))
    share = clear[template.mask].mean()
    tested = (
        f"Yellow outlines: Welch's t test per voxel, false discovery rate below {LEVEL:g} ({100 * share:.1f} % of the "
        "body)."
        if found.n_tested
        else f"Voxels were not tested: at least {MIN_PEOPLE} people in both groups are needed."
    )
    yield _maps_picture(
        f"population_{name}", f"groups_{name}", blocks, choice, template,
        [scale, MapScale(largest, f"difference\n({_TIMES})", signed=True)],
        title="Where the network looked: " + ", ".join(group_words(group) for group in groups),
        caption=f"Mean maps in one colour scale, and the difference {words}. {tested}",
    )  # fmt: skip


def _people_per_scan(atlas: AtlasInput, group: str) -> float:
    return atlas.n_people(group) / int(atlas.groups[group].sum())


def _write_difference(atlas: AtlasInput, found: MapDifference, name: str, template: TemplateVolumes) -> None:
    folder = atlas.folder / "differences"
    for kind, values in (("difference", found.difference), ("t", found.t), ("q", found.q)):
        write_volume(folder / f"{name}_{kind}.nii.gz", values, template.affine)


def _maps_picture(
    name: str,
    section: str,
    blocks: Sequence[MapBlock],
    choice: SliceChoice,
    template: TemplateVolumes,
    scales: Sequence[MapScale],
    *,
    title: str,
    caption: str,
) -> Picture:
    figure = plot_maps(
        blocks, choice, choice.cuts(template.water), choice.cuts(template.labels), template.spacing_mm,
        scales=scales, title=title,
    )  # fmt: skip
    alt = f"{title}. Coronal, sagittal and axial slices of the template with outlines of its regions and the maps."
    return Picture(name, section, alt, caption, rendered(figure, "png"))


def table_pictures(
    atlas: AtlasInput, regions: pd.DataFrame, comparisons: pd.DataFrame, agreement: Reliability
) -> Iterator[Picture]:
    """Charts of the tables: enrichment, comparisons, reliability, quality of the registration."""
    everybody = regions[regions["group"] == ALL]
    title = f"Everybody: {atlas.n_people(ALL)} people"
    yield Picture(
        "enrichment", "regions", "Chart of every region's enrichment with its interval; the table has the numbers.",
        "Share of the map over share of the body, with 95 % intervals over people. Grey: 95 % of shuffled maps. "
        "Filled: more than by chance after correction over the regions."
        + (" Diamond: without what neighbours spill over." if everybody["recovery"].notna().any() else ""),
        rendered(plot_enrichment(everybody, title=title), "png"),
    )  # fmt: skip
    order = list(everybody.sort_values("rank_enrichment")["region"])
    for name, rows in comparisons[comparisons["comparison"] != AGERS_ADJUSTED].groupby("comparison", sort=False):
        yield _comparison_picture(str(name), rows, comparisons, order)
    if len(agreement.curve):
        yield Picture(
            "reliability", "reliability", "Curve of the agreement of two atlases by the number of people in each.",
            "Correlation of the regions' enrichments between two atlases that have nobody in common.",
            rendered(plot_reliability(agreement.curve, level=ENOUGH), "png"),
        )  # fmt: skip
    flagged = badly_registered(atlas.cases)
    for name, words in MEASURES.items():
        values = measure(atlas.cases, name)
        if values.notna().any():
            figure = plot_quality(values, flagged, title=words.capitalize(), x=words)
            yield Picture(
                name, "registration", f"Histogram of the {words} of all scans.", f"{words.capitalize()} of all scans.",
                rendered(figure, "png"),
            )  # fmt: skip


def _comparison_picture(name: str, rows: pd.DataFrame, comparisons: pd.DataFrame, order: list[str]) -> Picture:
    section, title, x = {
        SEX: ("sex", "Women against men", "Enrichment, women − men"),
        AGE: ("age", "With age", "Enrichment, change per 10 years of age"),
        AGERS: ("agers", "Accelerated against decelerated agers", "Enrichment, accelerated − decelerated"),
    }[name]
    models = [("as they are", rows)]
    adjusted = comparisons[comparisons["comparison"] == AGERS_ADJUSTED]
    if name == AGERS and len(adjusted):
        models.append(("at equal age and sex", adjusted))
    figure = plot_comparison(models, order, title=title, x=x)
    return Picture(
        f"comparison_{section}", f"groups_{section}", f"{title}: chart of the differences, which the table lists.",
        "Differences with 95 % intervals. Filled: clear after correction over regions and comparisons.",
        rendered(figure, "png"),
    )  # fmt: skip

"""Shards of an atlas put together."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from agezoo.data.atomic import written_atomically
from agezoo.data.datalist import absolute_path
from agezoo.errors import InputError
from agezoo.transforms.body.body_template import read_template
from agezoo.workflows.atlas import Atlas, write_report
from agezoo.workflows.atlas_inputs import PREDICTIONS, TEMPLATE
from agezoo.workflows.atlas_outputs import write_atlas
from agezoo.workflows.atlas_state import AtlasState, read_settings, read_sums, saved_rows


def merge_atlases(shards: Sequence[str | Path], out: str | Path, *, report: bool = True, seed: int = 0) -> Atlas:
    """Add the sums of shards that :func:`agezoo.workflows.atlas.population_atlas` left; the result is as of one run.

    Parameters
    ----------
    shards
        Their folders.
    out
        Another folder, for the whole.
    report
        Write the report.
    seed
        Of the report's resamples.

    Raises
    ------
    InputError
        If shards were made with different settings, one is given twice or is missing, or a scan is in two.
    """
    folders = [absolute_path(folder) for folder in shards]
    out = absolute_path(out)
    settings = _common_settings(folders)
    seen: dict[str, Path] = {}
    for row, folder in _rows(folders):
        if seen.setdefault(row["key"], folder) != folder:
            raise InputError("a scan is in two shards", source=folder, found=row["case"]["subject_id"])
    out.mkdir(parents=True, exist_ok=True)
    template = read_template(folders[0] / TEMPLATE)
    if (out / TEMPLATE).resolve() != (folders[0] / TEMPLATE).resolve():
        template.write(out / TEMPLATE)
    with written_atomically(out / PREDICTIONS) as temporary:
        shutil.copyfile(folders[0] / PREDICTIONS, temporary)
    sums, _ = read_sums(folders[0])
    for folder in folders[1:]:
        sums.merge(read_sums(folder)[0])
    with closing(AtlasState(out, settings, sums, resume=False)) as state:
        for row, _ in _rows(folders):
            state.add(row)
        state.save()
        table = write_atlas(out, template, state.sums, state.rows(), settings)
    page = write_report(out, phantom=bool(settings["phantom"]), seed=seed) if report else None
    return Atlas(out, table, 0, len(table), page, ())


def _rows(folders: Sequence[Path]) -> Iterator[tuple[dict[str, Any], Path]]:
    for folder in folders:
        for row in saved_rows(folder):
            yield row, folder


def _common_settings(folders: Sequence[Path]) -> dict[str, Any]:
    if not folders:
        raise InputError("no shards to merge")
    parts: dict[int, Path] = {}
    first: dict[str, Any] = {}
    n = 0
    for folder in folders:
        settings = read_settings(folder)
        if settings is None:
            raise InputError("no atlas there", source=folder, expected="a folder that agezoo atlas --shard wrote")
        shard = settings.pop("shard")
        if shard is None:
            raise InputError(
                "the atlas is no shard", source=folder, expected="a folder that agezoo atlas --shard wrote"
            )
        first = first or settings
        different = [name for name in {**first, **settings} if first.get(name) != settings.get(name)]
        n = n or int(shard[1])
        if different or shard[1] != n:
            raise InputError(
                "the shards do not belong together",
                source=folder,
                found=f"other {', '.join(different or ['number of shards'])} than in {folders[0]}",
            )
        if shard[0] in parts:
            raise InputError("a shard is given twice", source=folder, found=f"shard {shard[0]} of {n}")
        parts[shard[0]] = folder
    missing = sorted(set(range(1, n + 1)) - set(parts))
    if missing:
        raise InputError("shards are missing", found=", ".join(map(str, missing)), expected=f"all {n}")
    return {**first, "shard": None}

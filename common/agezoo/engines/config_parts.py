"""One part of a bundle's config used by another config, so that no transform is written twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def config_part(
    bundle_root: str | Path,
    file: str | Sequence[str | Path],
    part_id: str,
    settings: Mapping[str, Any] | None = None,
) -> Any:
    """Build one part of a config in the bundle's ``configs`` folder.

    MONAI's own ``%file#id`` macro reads its file relative to the current directory, which breaks as soon as a bundle
    is run from elsewhere; this reads it relative to the bundle.

    Parameters
    ----------
    bundle_root
        Folder of the bundle.
    file
        Name of the config, e.g. ``"train.json"``, or several in the order of merging; a path elsewhere is taken as it
        is.
    part_id
        Id of the part, e.g. ``"preprocessing"`` or ``"train::dataset"``.
    settings
        Ids and values that take the place of the config's own, e.g. the layout that weights were trained with. Ids
        that the config lacks are passed over, because a record may name settings of other parts.
    """
    from monai.bundle import ConfigParser

    names = [file] if isinstance(file, str) else list(file)
    folder = Path(bundle_root) / "configs"
    parser = ConfigParser()
    # An absolute path stays what it is when joined to a folder.
    parser.read_config([str(folder / name) for name in names])
    parser["bundle_root"] = str(bundle_root)
    for name, value in (settings or {}).items():
        if name in parser:
            parser[name] = value
    return parser.get_parsed_content(part_id)

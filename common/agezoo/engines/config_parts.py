"""One part of a bundle's config used by another config, so that no transform is written twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def config_part(bundle_root: str | Path, file: str, part_id: str) -> Any:
    """Build one part of a config in the bundle's ``configs`` folder.

    MONAI's own ``%file#id`` macro reads its file relative to the current directory, which breaks as soon as a bundle
    is run from elsewhere; this reads it relative to the bundle.

    Parameters
    ----------
    bundle_root
        Folder of the bundle.
    file
        Name of the config, e.g. ``"train.json"``.
    part_id
        Id of the part, e.g. ``"preprocessing"`` or ``"train::dataset"``.
    """
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    parser.read_config(str(Path(bundle_root) / "configs" / file))
    parser["bundle_root"] = str(bundle_root)
    return parser.get_parsed_content(part_id)

"""A bundle as one zip in the form of MONAI's model zoo, with this package and chosen weights inside.

Whoever unzips it needs MONAI and the libraries that its metadata name, and nothing of ours.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import agezoo
from agezoo.analysis.calibration import FILE_NAME as CALIBRATION
from agezoo.analysis.calibration import find_calibration
from agezoo.data.atomic import written_atomically
from agezoo.errors import InputError, WeightsError
from agezoo.networks.published import PUBLISHED
from agezoo.networks.weights import WeightsFile, file_sha256, find_weights, load_strictly, recorded_settings
from agezoo.networks.weights_conversion import configured_network
from agezoo.registry import bundle_root, bundle_version

_SHIPPED = ("LICENSE", "large_files.yml", "configs", "docs")
"""What of the bundle's folder goes into the zip; everything else there was written by its users."""

_UNSHIPPED_FOLDERS = {"__pycache__", "tests"}
_EARLIEST = (1980, 1, 1, 0, 0, 0)
"""The first date that a zip can hold: a constant, so that equal content gives an equal file."""


@dataclass(frozen=True)
class PackagedBundle:
    """What was written.

    Attributes
    ----------
    path
        The zip.
    sha256
        Its checksum, also in ``<path>.sha256`` in the form that ``sha256sum --check`` reads.
    weights
        The weight files that went in; the first one is ``models/model.pt``.
    files
        Names inside the zip.
    """

    path: Path
    sha256: str
    weights: tuple[WeightsFile, ...]
    files: tuple[str, ...]


def package_bundle(
    bundle: str, out: str | Path, *, weights: str | Path = "installed", root: str | Path | None = None
) -> PackagedBundle:
    """Write ``<bundle>_v<version>.zip`` and its checksum into `out`.

    In its one folder, called like the bundle, are the configs, the docs, the licence, this package, and the weights:
    the first as ``models/model.pt``, where MONAI's tools look for a bare state dict, the other members of an ensemble
    in ``models/ensemble``, named by the record ``models/model.json``, so that inference asks them all, and the
    calibration file that was fitted for these weights, if there is one. Settings of the layout that the weights were
    trained with become the configs' own. The same content gives the same zip, byte for byte.

    Parameters
    ----------
    bundle
        Name of the bundle.
    out
        Folder of the zip.
    weights
        As for :func:`agezoo.networks.weights.find_weights`: ``"installed"``, ``"phantom"``, ``"published"``, a file or
        a folder.
    root
        Folder of the bundle.

    Raises
    ------
    WeightsError
        If there are no such weights, they are altered, or they do not fit the bundle's network.
    InputError
        If a part of the bundle is missing, or `out` cannot be written.
    """
    root = Path(root) if root else bundle_root(bundle)
    members = find_weights(root, weights)
    settings = _common_settings(members)
    network = configured_network(root, settings)
    for member in members:
        load_strictly(network, member.path)
    content = {
        **_bundle_files(root, settings),
        **_package_files(Path(agezoo.__file__).resolve().parent),
        **_weight_files(bundle, members),
    }
    out = Path(out)
    path = out / f"{bundle}_v{bundle_version(root)}.zip"
    try:
        out.mkdir(parents=True, exist_ok=True)
        with written_atomically(path) as temporary:
            _write_zip(temporary, bundle, content)
        sha256 = file_sha256(path)
        with written_atomically(path.with_name(path.name + ".sha256")) as temporary:
            temporary.write_text(f"{sha256}  {path.name}\n")
    except OSError as error:
        raise InputError(
            "the zip cannot be written",
            source=out,
            found=error.strerror or str(error),
            remedy="make room, or choose another folder with --out",
        ) from None
    return PackagedBundle(path, sha256, tuple(members), tuple(f"{bundle}/{name}" for name in sorted(content)))


def _common_settings(members: Sequence[WeightsFile]) -> dict[str, float | list[float]]:
    settings = [recorded_settings(member) for member in members]
    if any(other != settings[0] for other in settings):
        raise WeightsError(
            "the weights belong to networks of different layouts",
            found="; ".join(f"{member.path.name}: {own}" for member, own in zip(members, settings, strict=True)),
        )
    return settings[0]


def _bundle_files(root: Path, settings: dict[str, float | list[float]]) -> dict[str, Path | bytes]:
    content: dict[str, Path | bytes] = {}
    for name in _SHIPPED:
        part = root / name
        if part.is_dir():
            content |= {f"{name}/{inner}": part / inner for inner in _files_below(part)}
        elif part.is_file():
            content[name] = part
        elif name != "large_files.yml":
            raise InputError("a part of the bundle is missing", source=part)
    for name in ("configs/train.json", "configs/inference.json"):
        content[name] = _with_settings(root / name, settings)
    return content


def _with_settings(config: Path, settings: dict[str, float | list[float]]) -> Path | bytes:
    """The config with settings put in place of its own; the untouched file where they are its own already."""
    document: dict[str, Any] = json.loads(config.read_text(encoding="utf-8"))
    changed = {name: value for name, value in settings.items() if name in document and document[name] != value}
    if not changed:
        return config
    return (json.dumps({**document, **changed}, indent=4, ensure_ascii=False) + "\n").encode()


def _package_files(package: Path) -> dict[str, Path | bytes]:
    return {f"agezoo/{name}": package / name for name in _files_below(package)}


def _files_below(folder: Path) -> Iterable[str]:
    for path in folder.rglob("*"):
        relative = path.relative_to(folder)
        hidden = any(part.startswith(".") or part in _UNSHIPPED_FOLDERS for part in relative.parts)
        if path.is_file() and not hidden and path.suffix != ".pyc":
            yield relative.as_posix()


def _weight_files(bundle: str, members: Sequence[WeightsFile]) -> dict[str, Path | bytes]:
    names = ["models/model.pt", *(f"models/ensemble/member_{number}.pt" for number in range(1, len(members)))]
    content: dict[str, Path | bytes] = {}
    for name, member in zip(names, members, strict=True):
        record = {k: v for k, v in member.record.items() if k not in ("members", "stands_for")}
        record |= {"origin": member.origin, "sha256": member.sha256}
        if name == names[0]:
            record["members"] = [PurePosixPath(other).relative_to("models").as_posix() for other in names[1:]]
        content[name] = member.path
        content[str(PurePosixPath(name).with_suffix(".json"))] = _json_bytes(record)
    calibration = find_calibration(members)
    if calibration is not None:
        content[f"models/{CALIBRATION}"] = calibration.to_json().encode()
    if bundle in PUBLISHED and any("published" in member.origin for member in members):
        content["models/LICENSE.txt"] = PUBLISHED[bundle].licence_text().encode()
    return content


def _json_bytes(document: Any) -> bytes:
    return (json.dumps(document, indent=2, sort_keys=True) + "\n").encode()


def _write_zip(path: Path, folder: str, content: dict[str, Path | bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(content):
            entry = zipfile.ZipInfo(f"{folder}/{name}", _EARLIEST)
            entry.external_attr = 0o100644 << 16
            # The same on every system that packs.
            entry.create_system = 3
            entry.compress_type = zipfile.ZIP_DEFLATED
            source = content[name]
            with archive.open(entry, "w", force_zip64=False) as stream:
                if isinstance(source, bytes):
                    stream.write(source)
                else:
                    with source.open("rb") as given:
                        shutil.copyfileobj(given, stream, 1 << 20)

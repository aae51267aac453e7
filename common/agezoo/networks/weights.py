"""Weight files: where they are, whether they are what they say, and strict loading.

A weight file is a bare state dict (``model.pt``) with a record beside it (``model.json``) that holds its sha256, its
origin and what it was trained on. Files without a record are accepted when a user names them, with origin
``unrecorded``; a file whose checksum differs from its record never is.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from agezoo.errors import WeightsError
from agezoo.networks.age_ensemble import AgeEnsemble
from agezoo.networks.published import BROWSER_ONLY, PUBLISHED
from agezoo.registry import BUNDLES


@dataclass(frozen=True)
class WeightsFile:
    """One state dict on disk and what is recorded of it.

    Attributes
    ----------
    path
        The ``.pt`` file.
    sha256
        Checksum of the file as it is now; equals the record's where there is one.
    origin
        ``published``, ``trained``, ``imported``, ``phantom`` or ``unrecorded``.
    record
        Everything in the record, e.g. ``fold``, ``datalist_sha256``, ``bundle_version``, ``overrides``.
    """

    path: Path
    sha256: str
    origin: str
    record: Mapping[str, Any] = field(default_factory=dict, repr=False)


def file_sha256(path: str | Path) -> str:
    """Checksum of a file as a hex string."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Open a state dict on the CPU without running any code that may hide in it.

    Raises
    ------
    WeightsError
        If the file is missing, cut short, holds anything but finite tensors by name, or is a pickle that wants to run
        code.
    """
    return checked_state_dict(open_safely(path), path)


def open_safely(path: Path) -> Any:
    """What torch.save wrote, on the CPU; a file that wants to run code, or is cut short, is a :class:`WeightsError`."""
    if not path.is_file():
        raise WeightsError("no such weight file", source=path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise WeightsError(
            "the weights cannot be opened safely",
            source=path,
            found=_reason(error),
            expected="a state dict written by torch.save, holding tensors only",
            remedy="fetch the file again; never unpickle a file you do not trust by other means",
        ) from None


def checked_state_dict(content: Any, source: Path) -> dict[str, Tensor]:
    """`content` if it is tensors by name, all of them finite; otherwise a :class:`WeightsError` that names `source`."""
    named = isinstance(content, Mapping) and all(
        isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items()
    )
    if not named or not content:
        raise WeightsError(
            "the file holds something else than a bare state dict",
            source=source,
            found=type(content).__name__ + (f" with keys {list(content)[:4]}" if isinstance(content, Mapping) else ""),
            expected="tensor names mapped to tensors",
        )
    if not all(torch.isfinite(v).all() for v in content.values() if v.is_floating_point()):
        raise WeightsError("the weights hold NaN or infinity", source=source, remedy="train again or use another file")
    return dict(content)


def _reason(error: Exception) -> str:
    """The telling line of torch's message, which begins with advice on how to switch its protection off."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("Trying to load", "Unsupported"))]
    return (telling or lines or [type(error).__name__])[0]


def load_strictly(network: nn.Module, path: str | Path) -> nn.Module:
    """Load a state dict in which every tensor of the network, and no other, is present and of the right shape."""
    return fit_strictly(network, read_state_dict(Path(path)), path)


def fit_strictly(network: nn.Module, state: Mapping[str, Tensor], source: str | Path) -> nn.Module:
    """:func:`load_strictly` for a state dict that is already open and came from `source`."""
    own = network.state_dict()
    missing = sorted(own.keys() - state.keys())
    unknown = sorted(state.keys() - own.keys())
    shapes = sorted(k for k in own.keys() & state.keys() if own[k].shape != state[k].shape)
    if missing or unknown or shapes:
        example = f", e.g. {shapes[0]}: {tuple(state[shapes[0]].shape)} in the file" if shapes else ""
        raise WeightsError(
            "the weights belong to another network layout",
            source=source,
            found=f"{len(missing)} tensors missing, {len(unknown)} unknown, {len(shapes)} of another shape{example}",
            expected=f"the {len(own)} tensors of the configured network",
            remedy="phantom weights need the overlay configs/phantom.json; own weights need the config they were "
            "trained with",
        )
    network.load_state_dict(state, strict=True)
    return network


def save_weights(state: Mapping[str, Tensor], path: str | Path, record: Mapping[str, Any]) -> WeightsFile:
    """Write a bare state dict and its record; a kill in between never leaves a half-written file under its name."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    # Through a stream, because torch.save writes a path's name into the file: equal weights give equal checksums.
    with temporary.open("wb") as stream:
        torch.save({k: v.detach().cpu().clone() for k, v in state.items()}, stream)
    full = {**record, "sha256": file_sha256(temporary)}
    record_tmp = path.with_name(f".{path.stem}.{os.getpid()}.json.tmp")
    record_tmp.write_text(json.dumps(full, indent=2, sort_keys=True) + "\n")
    # Between these two renames the record does not fit the file, which loading reports; it never loads the wrong one.
    temporary.replace(path)
    record_tmp.replace(path.with_suffix(".json"))
    return WeightsFile(path, full["sha256"], str(record.get("origin", "unrecorded")), full)


def describe(path: str | Path) -> WeightsFile:
    """Read a weight file's record and check its checksum.

    Raises
    ------
    WeightsError
        If the file is missing or differs from its record.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError("no such weight file", source=path)
    sha256 = file_sha256(path)
    record_path = path.with_suffix(".json")
    if not record_path.is_file():
        return WeightsFile(path, sha256, "unrecorded")
    try:
        record = json.loads(record_path.read_text())
        recorded, origin = str(record["sha256"]), str(record["origin"])
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError("the record of the weights is damaged", source=record_path, found=repr(error)) from None
    if recorded != sha256:
        raise WeightsError(
            "the weights are not those that were recorded",
            source=path,
            found=f"sha256 {sha256[:16]}...",
            expected=f"sha256 {recorded[:16]}... as in {record_path.name}",
            remedy="fetch or train them again; remove the record only if you changed the file yourself",
        )
    return WeightsFile(path, sha256, origin, record)


def find_weights(bundle_root: str | Path, spec: str | Path | Sequence[str | Path] | None = None) -> list[WeightsFile]:
    """Find the weight files that a prediction shall use and check each against its record.

    Parameters
    ----------
    bundle_root
        Folder of the bundle.
    spec
        ``None`` or ``"installed"``: what is installed in the bundle (``models/model.pt``, else ``models/published``).
        ``"published"``, ``"phantom"``: the authors' weights, once fetched, or the phantom weights of the bundle. A
        file, a list of files, or a folder: its ``fold_*/model.pt`` (a cross-validation), else ``model.pt``, else every
        ``*.pt`` in it. Several files are asked as an ensemble; a ``model.pt`` that is found, not named, brings the
        further ``members`` that its record lists.

    Raises
    ------
    WeightsError
        If there are none, with the ways to get them.
    """
    root = Path(bundle_root)
    if isinstance(spec, (list, tuple)):
        return [describe(p) for p in spec]
    if spec is None or str(spec) == "installed":
        for candidates in ([root / "models" / "model.pt"], sorted((root / "models" / "published").glob("*.pt"))):
            if candidates and all(p.is_file() for p in candidates):
                return [file for p in candidates for file in _with_members(describe(p))]
        raise WeightsError(
            "no weights are installed, and ages are never predicted from random ones",
            source=root / "models",
            remedy=f"{_ways_to_published(root)}train your own (python -m monai.bundle run training, or agezoo "
            "crossval) and pass --weights PATH; or pass --weights phantom to try the pipeline with weights whose ages "
            "mean nothing for real people",
        )
    if str(spec) in ("phantom", "published"):
        folder = root / "models" / str(spec)
    else:
        folder = Path(str(spec))
        if folder.is_file():
            return [describe(folder)]
    for pattern in ("fold_*/model.pt", "model.pt", "*.pt"):
        # A last.pt is the state of an unfinished training, not weights to use.
        found = sorted(p for p in folder.glob(pattern) if p.name != "last.pt")
        if found:
            files = [describe(p) for p in found]
            return _with_members(files[0]) if pattern == "model.pt" else files
    raise WeightsError(
        "no weights there",
        source=folder,
        expected="a .pt file, or a folder with fold_*/model.pt, model.pt or *.pt",
        remedy=_ways_to_published(root).rstrip("; ") or None if str(spec) == "published" else None,
    )


def _with_members(first: WeightsFile) -> list[WeightsFile]:
    """A ``model.pt`` and the other members of the ensemble that its record names, relative to its folder."""
    names = first.record.get("members", [])
    folder, record_path = first.path.parent, first.path.with_suffix(".json")
    if not isinstance(names, list) or not all(
        isinstance(name, str) and (folder / name).resolve().is_relative_to(folder.resolve()) for name in names
    ):
        raise WeightsError("the record of the weights is damaged", source=record_path, found=f"members {names}")
    return [first, *(describe(folder / name) for name in names)]


def _ways_to_published(root: Path) -> str:
    """How the authors' weights are installed, unless this bundle is known to have none."""
    if root.name in BROWSER_ONLY:
        return f"{BROWSER_ONLY[root.name].by_hand()}; "
    if root.name in PUBLISHED or root.name not in BUNDLES:
        name = root.name if root.name in PUBLISHED else next(iter(PUBLISHED))
        return f"agezoo weights fetch {name} installs the published ones; "
    return ""


def recorded_settings(weights: WeightsFile) -> dict[str, float | list[float]]:
    """The settings of the network's layout that weights were trained with, from the record beside them.

    Raises
    ------
    WeightsError
        If one is not a number or a list of numbers: MONAI would run a text that starts with ``$`` as code, and records
        come with weights from elsewhere.
    """
    settings = dict(weights.record.get("overrides", {}))
    for name, value in settings.items():
        if not all(isinstance(each, int | float) for each in (value if isinstance(value, list) else [value])):
            raise WeightsError(
                f"setting {name!r} in the record of the weights is not a number or a list of numbers",
                source=weights.path.with_suffix(".json"),
                found=repr(value),
                remedy="do not use weights whose record you cannot explain",
            )
    return settings


def recorded_number(weights: WeightsFile, name: str, default: float) -> float:
    """One recorded setting that has to be a number; `default` where the record has none.

    Raises
    ------
    WeightsError
        If it is a list, or nothing that :func:`recorded_settings` lets pass.
    """
    value = recorded_settings(weights).get(name, default)
    if isinstance(value, list):
        raise WeightsError(
            f"setting {name!r} in the record of the weights is a list",
            source=weights.path.with_suffix(".json"),
            found=repr(value),
            expected="a number",
        )
    return float(value)


def ensemble_sha256(files: Sequence[WeightsFile]) -> str:
    """One checksum for all: the file's own for a single one, else the sha256 of the members' checksums in order."""
    if len(files) == 1:
        return files[0].sha256
    return hashlib.sha256("\n".join(f.sha256 for f in files).encode()).hexdigest()


def ensemble_origin(files: Sequence[WeightsFile]) -> str:
    """The members' common origin; ``phantom`` as soon as one member is; otherwise their origins joined by ``+``."""
    origins = sorted({f.origin for f in files})
    return "phantom" if "phantom" in origins else "+".join(origins)


def load_ensemble(network: nn.Module, files: Sequence[WeightsFile | str | Path]) -> AgeEnsemble:
    """Copies of `network`, one per weight file, strictly loaded, in evaluation mode."""
    paths = [f.path if isinstance(f, WeightsFile) else Path(f) for f in files]
    return AgeEnsemble([load_strictly(copy.deepcopy(network), path) for path in paths]).eval()

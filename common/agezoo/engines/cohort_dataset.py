"""The rows of a datalist as items that MONAI's engines take."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.transforms import Randomizable, Transform
from monai.utils import convert_to_tensor
from torch.utils.data import Dataset

from agezoo.data.atomic import written_atomically
from agezoo.errors import AgeZooError, user_error
from agezoo.transforms.canvas import CanvasPlacement
from agezoo.version import __version__

logger = logging.getLogger(__name__)


class CohortDataset(Dataset):
    """Reads, preprocesses and augments the images of datalist rows.

    Each item holds ``image`` (float32 tensor), ``label`` (age in years, shape (1,), NaN when unknown), ``sex`` (see
    :func:`sex_one_hot`), ``row`` (index into `data`), ``error`` (empty, or why there is no image) and the short facts
    that preprocessing added.

    Preprocessing is deterministic and may be cached on disk; the cache key is made of the files of the image and of its
    mask (name, size, time of change), of the transforms with their settings and of the package's version, so an edited
    scan or another recipe is never served an old projection.
    Augmentation draws from a generator seeded by (seed, epoch, row): the same run gives the same images however many
    workers there are and also when it was killed and resumed.

    Parameters
    ----------
    data
        Rows as :func:`agezoo.data.datalist_rows` returns them.
    preprocessing
        Deterministic dictionary transform from ``{"image": path}``, and ``"mask"``: path of the label volume where the
        row names one, to at least ``{"image": tensor}``.
    augmentation
        Random dictionary transform on the preprocessed item, or ``None``.
    cache_dir
        Where preprocessed images are kept; ``None`` keeps nothing.
    seed
        Seed of the augmentation.
    on_error
        ``"raise"`` stops at the first unusable image; ``"placeholder"`` gives a blank image of `image_shape` and the
        reason in ``error``, so that one bad case never stops the others.
    image_shape
        Shape of the placeholder.
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        preprocessing: Callable[[dict[str, Any]], dict[str, Any]],
        augmentation: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
        cache_dir: str | Path | None = None,
        seed: int = 0,
        on_error: str = "raise",
        image_shape: Sequence[int] = (1, 224, 224),
    ) -> None:
        if on_error not in ("raise", "placeholder"):
            raise ValueError(f"on_error must be 'raise' or 'placeholder', got {on_error!r}")
        self.data = [dict(row) for row in data]
        self.augmentation = augmentation
        self.seed = seed
        self.on_error = on_error
        self.image_shape = tuple(image_shape)
        # Shared memory, so that DataLoader workers that live on see the epoch change too.
        self._epoch = torch.zeros(1, dtype=torch.int64).share_memory_()
        self._preprocessing = preprocessing
        self._version = transform_version(preprocessing)
        self._cache_dir = None if cache_dir is None else Path(cache_dir)
        if self._cache_dir is not None:
            self._cache_dir.mkdir(parents=True, exist_ok=True)

    def __len__(self) -> int:
        return len(self.data)

    def set_epoch(self, epoch: int) -> None:
        """Tell the dataset which epoch it serves, which decides the augmentation."""
        self._epoch[0] = epoch

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = self.data[index]
        age = row.get("age_years")
        item: dict[str, Any] = {
            "label": torch.tensor([math.nan if age is None else float(age)], dtype=torch.float32),
            "row": index,
            "error": "",
        }
        try:
            if row.get("error"):
                raise AgeZooError(str(row["error"]))
            prepared = self._prepare(row) if self._cache_dir is None else self._cached(row, self._cache_dir)
        except Exception as error:
            if self.on_error == "raise":
                raise
            if not isinstance(error, AgeZooError):
                logger.exception("unexpected failure while reading a case")
            blank = torch.zeros(self.image_shape)
            return {**item, "image": blank, "sex": sex_one_hot(""), "error": _reason(error), **_no_facts()}
        if self.augmentation is not None:
            if isinstance(self.augmentation, Randomizable):
                self.augmentation.set_random_state(seed=_mix(self.seed, int(self._epoch[0]), index))
            prepared = self.augmentation(dict(prepared))
        # Plain tensors: a batch may mix cases with and without meta data, which MONAI cannot collate.
        image = convert_to_tensor(prepared["image"], dtype=torch.float32, track_meta=False)
        facts = _facts(prepared)
        notes = [*str(row.get("reading_notes") or "").split("; "), *facts["reading_notes"].split("; ")]
        facts["reading_notes"] = "; ".join(dict.fromkeys(filter(None, notes)))
        sex = sex_one_hot(str(row.get("sex") or facts["header_sex"]))
        return {**item, **facts, "image": image, "sex": sex}

    def _cached(self, row: Mapping[str, Any], cache_dir: Path) -> dict[str, Any]:
        # MONAI's PersistentDataset is not used: it keeps nothing for a nested Compose, fails for ever on a file that a
        # kill cut short, and hides the user's error.
        kind, mask = image_kind(row), str(row.get("mask") or "")
        version = self._version + (f" {kind}" if kind else "")
        if mask:
            # The labels' names stand in a file beside it.
            version += f" {image_fingerprint([mask, Path(mask).parent / 'labels.json'], '')}"
        path = cache_dir / f"{image_fingerprint(row['image'], version)}.pt"
        if path.is_file():
            try:
                kept: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
                return kept
            except Exception:
                logger.warning("%s: damaged, made again", path)
        prepared = convert_to_tensor(self._prepare(row), convert_numeric=False, track_meta=False)
        with written_atomically(path) as temporary:
            torch.save(prepared, temporary)
        return prepared

    def _prepare(self, row: Mapping[str, Any]) -> dict[str, Any]:
        try:
            mask = {"mask": str(row["mask"])} if row.get("mask") else {}
            return self._preprocessing({"image": row["image"], "modality": image_kind(row), **mask})
        except RuntimeError as error:
            # MONAI wraps what a transform raises; the user's message is inside.
            users = user_error(error)
            if users is None:
                raise
            raise users from None


def sex_one_hot(sex: str) -> torch.Tensor:
    """Sex as networks take it: float32 (2,), female first, then male; half of each where it is not known."""
    return torch.tensor({"F": [1.0, 0.0], "M": [0.0, 1.0]}.get(sex, [0.5, 0.5]))


def image_kind(row: Mapping[str, Any]) -> str:
    """Whether a row's image is a ``"radiograph"`` or ``"vfa"``, as the datalist says; empty where it does not."""
    return str(row.get("modality") or (row.get("covariates") or {}).get("modality") or "")


def transform_version(transform: Callable[..., Any]) -> str:
    """Text that changes when the transforms, their settings or the package's version do."""
    return json.dumps([__version__, _settings(transform)])


def _settings(value: Any) -> Any:
    """A transform's class and what it was told, in plain types; states of chance and the like are left out."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_settings(v) for v in value]
    if isinstance(value, Mapping):
        return {str(k): _settings(v) for k, v in value.items()}
    if isinstance(value, (np.ndarray, np.generic, torch.Tensor)):
        return value.tolist()
    if isinstance(value, Transform):
        return [_name(type(value)), {k: _settings(v) for k, v in sorted(vars(value).items())}]
    if isinstance(value, (Path, torch.dtype, np.dtype)):
        return str(value)
    return _name(value) if hasattr(value, "__qualname__") else _name(type(value))


def _name(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}"


def image_fingerprint(image: str | Path | Sequence[str | Path], version: str) -> str:
    """Checksum of an image's files (names, sizes, times of change) and of the preprocessing's version."""
    parts: list[str] = [version]
    paths = [image] if isinstance(image, (str, Path)) else list(image)
    for path in map(Path, paths):
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for file in files:
            status = file.stat() if file.exists() else None
            parts.append(f"{file}|{status.st_size}|{status.st_mtime_ns}" if status else f"{file}|missing")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _reason(error: BaseException) -> str:
    """The message meant for the user, else what went wrong inside the transforms that MONAI wraps it in."""
    users = user_error(error)
    if users is not None:
        return str(users)
    while error.__cause__ is not None and str(error).startswith("applying transform"):
        error = error.__cause__
    return f"{type(error).__name__}: {error}"


def _mix(*numbers: int) -> int:
    digest = hashlib.sha256(":".join(map(str, numbers)).encode()).digest()
    return int.from_bytes(digest[:4], "little")


def _no_facts() -> dict[str, Any]:
    return _facts({})


def _facts(prepared: Mapping[str, Any]) -> dict[str, Any]:
    """The plain facts that travel with an image; always the same keys, so that batches collate."""
    facts = prepared.get("image_facts") or {}
    extent, placement = facts.get("field_of_view_mm"), facts.get("canvas")
    grid_affine = facts.get("grid_affine")
    return {
        "header_age_years": float(facts.get("age_years", math.nan)),
        "header_sex": str(facts.get("sex", "")),
        "reading_notes": str(prepared.get("reading_notes", "")),
        "field_of_view_mm": torch.as_tensor([math.nan] * 3 if extent is None else extent, dtype=torch.float32),
        "kind": str(facts.get("kind", "")),
        "registration_overlap": float(facts.get("registration_overlap", math.nan)),
        "registration_correlation": float(facts.get("registration_correlation", math.nan)),
        "canvas": torch.as_tensor(CanvasPlacement.unknown() if placement is None else placement, dtype=torch.float32),
        "grid_affine": torch.full((4, 4), math.nan)
        if grid_affine is None
        else torch.as_tensor(grid_affine, dtype=torch.float32),
    }

"""The published brain-age checkpoints, one file for each stage, and the one weights file that the cascade has here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from agezoo.errors import WeightsError
from agezoo.networks.weights import WeightsFile, describe, open_safely, recorded_number, recorded_settings
from agezoo.networks.weights_conversion import bare_state_dict

PUBLISHED_SPACING_MM = 2.0


@dataclass(frozen=True)
class StageFile:
    """A file that holds one stage, or a whole cascade.

    Attributes
    ----------
    file
        Where it is, its checksum and its record, if any.
    state
        Tensors by the network's names.
    stage
        1 or 2; 0 for a cascade of both.
    stem_channels, n_blocks
        Size of the network, told by the tensors' shapes.
    """

    file: WeightsFile
    state: dict[str, Tensor]
    stage: int
    stem_channels: int
    n_blocks: int

    @property
    def size(self) -> str:
        """The network's size in words."""
        return f"{self.stem_channels} stem channels and {self.n_blocks} blocks in {self.file.path.name}"


@dataclass(frozen=True)
class BrainWeights:
    """What one weights file to write shall hold, and its record without the bundle."""

    state: dict[str, Tensor]
    source: str
    record: dict[str, Any]


def brain_weights(paths: Sequence[str | Path]) -> list[BrainWeights]:
    """Put checkpoints of brain-age networks together.

    A file with ``deep_fc`` is a first stage, one with ``fc`` and ``dis_fc`` a second stage, whatever they are called
    and in whatever order they come. A pair makes one cascade; a first stage can be used alone. Files whose record says
    how their network was configured, and whole cascades, stand for themselves, several as an ensemble.

    Raises
    ------
    WeightsError
        If a file cannot be opened safely, differs from its record or is neither stage; if two files are the same
        stage, the second stage comes alone, or the stages are of different sizes.
    """
    files = [_opened(Path(path)) for path in paths]
    parts = [f for f in files if f.stage == 2 or (f.stage == 1 and not f.file.record)]
    if any(f.stage == 2 for f in files):
        # A first stage of one's own may come with somebody's second stage.
        parts = [f for f in files if f.stage]
    made = [_alone(f) for f in files if f not in parts]
    if parts and made:
        raise WeightsError(
            "a stage and whole weights cannot be installed together",
            found=f"{parts[0].file.path.name} and {made[0].source}",
            expected="one first and one second stage, or whole weights, several as an ensemble",
        )
    return made or [_together(parts)]


def _opened(path: Path) -> StageFile:
    file = describe(path)
    state = bare_state_dict(open_safely(path), path)
    heads = {name.split(".")[0] for name in state}
    if heads == {"first_stage", "second_stage"}:
        stage, prefix = 0, "first_stage."
    elif "deep_fc" in heads:
        stage, prefix = 1, ""
    elif {"fc", "dis_fc"} <= heads:
        stage, prefix = 2, ""
    else:
        raise WeightsError(
            "the file holds neither a first nor a second stage, nor a cascade",
            source=path,
            found=f"{len(state)} tensors called {', '.join(sorted(heads)[:6])}",
            expected="deep_fc in a first stage; fc and dis_fc in a second; first_stage and second_stage in a cascade",
        )
    stem = state.get(f"{prefix}pre.0.weight")
    numbers = [re.match(rf"{re.escape(prefix)}block\.(\d+)\.", name) for name in state]
    blocks = {int(number[1]) for number in numbers if number}
    if stem is None or not stem.ndim or not blocks:
        raise WeightsError("the file holds no stem or no blocks", source=path, expected="pre.0.weight and block.0, ...")
    return StageFile(file, state, stage, int(stem.shape[0]), max(blocks) + 1)


def _alone(part: StageFile) -> BrainWeights:
    """Whole weights with their own record; sizes that no record states are told by the shapes."""
    settings = recorded_settings(part.file)
    record = {k: v for k, v in part.file.record.items() if k not in ("sha256", "members", "stands_for")}
    source = {"source": part.file.path.name, "source_sha256": part.file.sha256}
    record = {"origin": "imported", **source, **record, "overrides": {**_settings([part], 1 if part.stage else 2)}}
    record["overrides"].update(settings)
    return BrainWeights(part.state, part.file.path.name, record)


def _together(parts: Sequence[StageFile]) -> BrainWeights:
    """One file from a first stage, or from a first and a second."""
    by_stage = {stage: [part for part in parts if part.stage == stage] for stage in (1, 2)}
    names = {stage: ", ".join(part.file.path.name for part in found) for stage, found in by_stage.items()}
    for stage, word in ((1, "first"), (2, "second")):
        if len(by_stage[stage]) > 1:
            raise WeightsError(
                f"several files hold a {word} stage",
                found=names[stage],
                expected="one first and one second stage, or a first stage alone",
                remedy="import one pair at a time, each into a folder of its own with --out",
            )
    if not by_stage[1]:
        raise WeightsError(
            "the second stage is of no use without the first, whose age it corrects",
            source=names[2],
            remedy="give the first stage's file as well",
        )
    chosen = [*by_stage[1], *by_stage[2]]
    first = chosen[0]
    if any((part.stem_channels, part.n_blocks) != (first.stem_channels, first.n_blocks) for part in chosen):
        raise WeightsError(
            "the two stages are of different sizes", found=", ".join(part.size for part in chosen), expected="one size"
        )
    state = first.state
    if len(chosen) == 2:
        words = ("first_stage", "second_stage")
        state = {f"{w}.{name}": t for w, part in zip(words, chosen, strict=True) for name, t in part.state.items()}
    record = {
        # Ages of phantom weights mean nothing, whatever they are joined with.
        "origin": "phantom" if any(part.file.origin == "phantom" for part in chosen) else "imported",
        "sources": [{"stage": p.stage, "name": p.file.path.name, "sha256": p.file.sha256} for p in chosen],
        "overrides": _settings(chosen, len(chosen)),
    }
    return BrainWeights(state, " and ".join(part.file.path.name for part in chosen), record)


def _settings(parts: Sequence[StageFile], stages: int) -> Mapping[str, float]:
    """Settings of the bundle's config that fit the files; shapes do not tell the grid, so a record may, else 2 mm."""
    spacings = {recorded_number(part.file, "spacing_mm", PUBLISHED_SPACING_MM) for part in parts}
    if len(spacings) > 1:
        raise WeightsError(
            "the two stages were trained on different grids",
            found=" and ".join(f"{spacing:g} mm" for spacing in sorted(spacings)),
            expected="one spacing",
        )
    return {
        "stages": stages,
        "stem_channels": parts[0].stem_channels,
        "n_blocks": parts[0].n_blocks,
        "spacing_mm": spacings.pop(),
    }

"""Which brains a cohort's preparation makes: their BIDS names, and how it is known that one is finished."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from agezoo.data.atomic import written_atomically

SUFFIX = "_space-MNI152_desc-brain_T1w.nii.gz"
RECORDS = "cases"
OVERLAYS = "overlays"

_FOLDERS = re.compile(r"(?<![\w.])(?:[A-Za-z]:)?[/\\](?:[^\s/\\;:,'\"]+[/\\])+")


@dataclass(frozen=True)
class BrainCase:
    """One scan to prepare.

    Attributes
    ----------
    row
        As :func:`agezoo.predict.cases.find_cases` gives it.
    subject, session, run
        BIDS labels without their ``sub-`` and ``ses-``; no session is ``""``. Scans that would share a name are told
        apart by their run, counted from 1.
    source
        The image as the user listed it; never an absolute path.
    fingerprint
        Changes with the source's files and with the recipe.
    """

    row: Mapping[str, Any]
    subject: str
    session: str
    run: int
    source: str
    fingerprint: str

    @property
    def name(self) -> str:
        """``sub-01_ses-2``, the name of the case in tables and pictures."""
        session = f"_ses-{self.session}" if self.session else ""
        return f"sub-{self.subject}{session}" + (f"_run-{self.run}" if self.run > 1 else "")

    @property
    def image(self) -> str:
        """Path of the finished brain below the output folder."""
        session = f"ses-{self.session}/" if self.session else ""
        return f"sub-{self.subject}/{session}anat/{self.name}{SUFFIX}"

    @property
    def sidecar(self) -> str:
        """Path of the brain's JSON file, as BIDS wants one beside each image."""
        return self.image.removesuffix(".nii.gz") + ".json"

    @property
    def overlay(self) -> str:
        """Path of its picture below the output folder."""
        return f"{OVERLAYS}/{self.name}.png"

    @property
    def record(self) -> str:
        """Path of its record below the output folder."""
        return f"{RECORDS}/{self.name}.json"


@dataclass(frozen=True)
class CaseRecord:
    """What became of one scan; kept as JSON as soon as it is finished.

    Attributes
    ----------
    case, subject_id, session, source, image
        Its names; `image` is empty for a failed case.
    brain_state
        How the scan was found: ``"head"``, ``"stripped"``, ``"mni_head"`` or ``"mni_brain"``.
    overlap, correlation
        Dice with the template's brain and correlation with the template inside it; None without a brain.
    qc, qc_reasons
        ``"pass"``, ``"warn"`` or ``"fail"`` and why.
    seconds
        Wall-clock time of reading, registration and writing.
    notes
        What reader and registration repaired or chose.
    error
        Why there is no brain.
    may_pass_later
        The failure need not repeat itself, so the case is tried again next time.
    age_years, sex
        As the image's header tells them, None where it does not.
    fingerprint
        Of source and recipe.
    """

    case: str
    subject_id: str
    session: str
    source: str
    image: str
    fingerprint: str
    brain_state: str = ""
    overlap: float | None = None
    correlation: float | None = None
    qc: str = "fail"
    qc_reasons: str = ""
    seconds: float | None = None
    notes: str = ""
    error: str = ""
    may_pass_later: bool = False
    age_years: float | None = None
    sex: str | None = None

    @property
    def is_finished(self) -> bool:
        """Whether there is a brain."""
        return not self.error

    def save(self, path: Path) -> None:
        """Write the record whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_atomically(path) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> CaseRecord | None:
        """Read a record; None where there is none, or one that cannot be understood."""
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            return cls(**{field.name: document[field.name] for field in fields(cls)})
        except (OSError, ValueError, KeyError, TypeError):
            return None


def brain_cases(rows: Sequence[Mapping[str, Any]], *, recipe: str) -> list[BrainCase]:
    """Name every scan.

    Subjects and sessions of a BIDS dataset keep their labels. Others give labels by leaving out what BIDS does not
    allow in them.

    Parameters
    ----------
    rows
        As :func:`agezoo.predict.cases.find_cases` gives them.
    recipe
        Text that changes with the preprocessing.
    """
    # Here, because a worker needs the rest of this module and not torch.
    from agezoo.engines.cohort_dataset import image_fingerprint

    cases = []
    taken: dict[str, int] = {}
    for row in rows:
        subject = _label(str(row["subject_id"]).removeprefix("sub-")) or "unnamed"
        session = _label(str(row.get("session") or "").removeprefix("ses-"))
        base = BrainCase(row, subject, session, 1, shown_source(row), "")
        # Names that differ in upper and lower case alone are one on some file systems.
        run = taken[base.name.lower()] = taken.get(base.name.lower(), 0) + 1
        named = replace(base, run=run)
        version = json.dumps([recipe, named.name])
        cases.append(replace(named, fingerprint=image_fingerprint(row["image"], version)))
    return cases


def shown_source(row: Mapping[str, Any]) -> str:
    """A row's image as the user listed it; of an absolute path the name alone, for a path may tell who is meant."""
    listed = str(row.get("listed_image") or row["image"])
    return Path(listed).name if Path(listed).is_absolute() else listed


def without_paths(text: str, case: BrainCase) -> str:
    """A message in which the image has its listed name and nothing tells where on this machine it lies."""
    image = case.row["image"]
    places = {image: case.source} if isinstance(image, str) else {Path(image[0]).parent.as_posix(): case.source}
    for place, shown in places.items():
        text = text.replace(place, shown)
    return _FOLDERS.sub("", text)


def _label(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "", text)


def records_below(out: Path) -> Iterator[CaseRecord]:
    """Every record in an output folder."""
    for path in sorted((out / RECORDS).glob("*.json")):
        record = CaseRecord.load(path)
        if record is not None:
            yield record

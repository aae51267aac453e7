"""A cohort of brain scans and a table of people: every scan is looked up by whose it is."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from pydantic import ValidationError

from agezoo.data.bids import PARTICIPANTS, parse_bids_name, participants_file
from agezoo.data.bids_participants import read_participants
from agezoo.data.brain_search import BrainSearch, FoundBrain, find_brains
from agezoo.data.cohort_draft import CohortDraft, stored_image
from agezoo.data.datalist import DatalistRow, absolute_path
from agezoo.data.dicom_headers import list_files
from agezoo.data.ixi import ixi_name, read_ixi
from agezoo.data.nifti import is_nifti
from agezoo.data.people_table import PeopleTable, Person
from agezoo.errors import InputError

_SHOWN_CHOICES = 5
_FIELDS = ("age_years", "sex", "group", "site", "fold", "time_years", "event")


def draft_from_bids(images: Path | None, table: Path | None, *, progress: bool = False) -> CohortDraft:
    """The T1w images of a BIDS dataset with the people of its ``participants.tsv`` (or of `table`) as a draft.

    Raises
    ------
    InputError
        If there is no table, or the folder holds several datasets with one each.
    """
    root = absolute_path(images if images is not None else Path(str(table)).parent)
    search = find_brains(_folder(root), progress=progress)
    people = read_participants(table if table is not None else _only_participants(root, search))
    draft = _draft(search, people)
    shared = Counter(row.subject_id for _, row in draft.rows if (row.subject_id, row.session) not in people.people)
    repeated = sum(count for count in shared.values() if count > 1)
    if repeated:
        draft.notes.append(
            f"{repeated} sessions of people with several take the one age in {PARTICIPANTS}; ages at follow-up belong "
            "into the column age of sub-<label>/sub-<label>_sessions.tsv"
        )
    return draft


def draft_from_ixi(images: Path, table: Path, *, progress: bool = False) -> CohortDraft:
    """Images named as IXI names its files, with the people of IXI's table, as a draft."""
    people = read_ixi(table)
    return _draft(find_brains(_folder(absolute_path(images)), progress=progress), people)


def is_bids_cohort(images: Path) -> bool:
    """Whether a folder can be listed without another table: images with BIDS names and their ``participants.tsv``."""
    if (images / PARTICIPANTS).is_file():
        return True
    named = (parse_bids_name(path) for path in list_files(absolute_path(images)) if is_nifti(path))
    return any(image is not None and image.is_t1 and participants_file(image.dataset) for image in named)


def _folder(root: Path) -> Path:
    if not root.is_dir():
        raise InputError("no such folder of images", source=root)
    return root


def _only_participants(root: Path, search: BrainSearch) -> Path:
    datasets = {brain.bids.dataset for brain in search.brains if brain.bids is not None} | {root}
    tables = sorted({table for dataset in datasets if (table := participants_file(dataset)) is not None})
    if not tables:
        raise InputError(
            f"no {PARTICIPANTS}",
            source=root,
            expected=f"a BIDS dataset with {PARTICIPANTS} at its root",
            remedy="name the table of the people: --table FILE",
        )
    if len(tables) > 1:
        raise InputError(
            "holds several BIDS datasets",
            source=root,
            found=", ".join(str(table.parent) for table in tables[:4]),
            expected=f"one {PARTICIPANTS}",
            remedy="list one dataset at a time",
        )
    return tables[0]


def _draft(search: BrainSearch, people: PeopleTable) -> CohortDraft:
    draft = CohortDraft(left_out=search.left_out, notes=list(people.notes), faults=list(people.faults))
    seen: dict[tuple[str, str | None], FoundBrain] = {}
    choices: list[str] = []
    for brain in search.brains:
        subject, session, site = _whose(brain, people)
        person = None if subject is None else people.person(subject, session)
        if subject is None or person is None:
            draft.left_out[f"image of nobody in {people.path.name}"] += 1
        elif brain.error is not None:
            draft.left_out["study without a usable series"] += 1
            draft.notes.append(f"left out: {brain.error}")
        elif (subject, session) in seen:
            who = f"{subject}, {session}" if session else subject
            draft.faults.append(f"two images of {who}: {seen[subject, session].listed} and {brain.listed}")
        elif person.age_years is None and person.section != "test":
            draft.left_out[person.why_no_age] += 1
        else:
            seen[subject, session] = brain
            choices += [f"{subject}: {note}" for note in brain.notes]
            _add_row(draft, brain, subject, session, site, person)
    draft.notes += choices[:_SHOWN_CHOICES]
    if len(choices) > _SHOWN_CHOICES:
        draft.notes.append(f"and {len(choices) - _SHOWN_CHOICES} more choices among several images")
    without = len({subject for subject, _ in people.people} - {subject for subject, _ in seen})
    if without:
        draft.notes.append(f"{without} people in {people.path.name} have no image here that is listed")
    return draft


def _add_row(
    draft: CohortDraft, brain: FoundBrain, subject: str, session: str | None, site: str | None, person: Person
) -> None:
    values = {name: getattr(person, name) for name in _FIELDS}
    values |= {"image": stored_image([absolute_path(file) for file in brain.files]), "subject_id": subject}
    values |= {"session": session, "site": person.site or site, "covariates": dict(person.covariates)}
    try:
        draft.rows.append((person.section or "training", DatalistRow.model_validate(values)))
    except ValidationError as error:
        draft.faults += [f"{subject}, {detail['loc'][0]}: {detail['msg']}" for detail in error.errors()]


def _whose(brain: FoundBrain, people: PeopleTable) -> tuple[str | None, str | None, str | None]:
    """Subject, session and site that an image's name tells."""
    if brain.bids is not None:
        named = brain.bids.subject, brain.bids.session, None
        if people.person(*named[:2]) is not None:
            return named
    ixi = ixi_name(brain.files[0])
    if ixi is not None and people.person(ixi[0]) is not None:
        return ixi[0], None, ixi[1]
    parts = {*brain.files[0].parts[:-1], *(part.removesuffix(".anat") for part in brain.files[0].parts[:-1])}
    subject = next((part for part in sorted(parts) if part.startswith("sub-") and people.person(part)), None)
    session = next((part for part in sorted(parts) if part.startswith("ses-")), None)
    return subject, session if subject else None, None

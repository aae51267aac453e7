"""Age, sex and diagnosis from the tables of BIDS datasets among the inputs of a preparation."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agezoo.data.bids import parse_bids_name, participants_file
from agezoo.data.bids_participants import read_participants
from agezoo.data.people_table import KNOWN, PeopleTable
from agezoo.errors import InputError

logger = logging.getLogger(__name__)


def with_participants(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows with what the ``participants.tsv`` of their BIDS dataset tells of their people.

    Rows of datalists keep what they have. A table that cannot be understood, or cells of it, are logged and left out: a
    brain can be prepared without knowing how old it is.
    """
    tables: dict[Path, PeopleTable | None] = {}
    result = [dict(row) for row in rows]
    for row in result:
        image = parse_bids_name(Path(row["image"])) if isinstance(row["image"], str) else None
        file = participants_file(image.dataset) if image is not None else None
        if "age_years" in row or image is None or file is None:
            continue
        if file not in tables:
            tables[file] = _read(file)
        table = tables[file]
        person = None if table is None else table.person(image.subject, image.session)
        if person is not None:
            row.update({name: getattr(person, name) for name in KNOWN if getattr(person, name) is not None})
            row["covariates"] = dict(person.covariates)
    return result


def _read(file: Path) -> PeopleTable | None:
    try:
        table = read_participants(file)
    except InputError as error:
        logger.warning("%s: not used: %s", file.name, error.problem)
        return None
    for fault in table.faults:
        logger.warning("%s: %s", file.name, fault)
    return table

"""Age, sex and diagnosis from a BIDS dataset's table of participants."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agezoo.data.bids import is_dataset, participants_file
from agezoo.data.datalist import absolute_path
from agezoo.data.subject_table import read_subject_table

logger = logging.getLogger(__name__)

_FACTS = ("age_years", "sex", "group", "site")


def with_participants(rows: Sequence[Mapping[str, Any]], inputs: Sequence[str | Path]) -> list[dict[str, Any]]:
    """Rows with what the ``participants.tsv`` of BIDS datasets among the inputs tells of their people.

    Rows of datalists keep what they have. Cells that cannot be understood are logged and left empty: a brain can be
    prepared without knowing how old it is.
    """
    result = [dict(row) for row in rows]
    for dataset in (absolute_path(path) for path in inputs if Path(path).is_dir()):
        file = participants_file(dataset) if is_dataset(dataset) else None
        if file is None:
            continue
        table = read_subject_table(file)
        for fault in table.faults:
            logger.warning("%s: %s", file.name, fault)
        people = {(_subject(row), row.get("session")): row for row in table.rows if row.get("subject_id")}
        for row in result:
            image = row["image"] if isinstance(row["image"], str) else row["image"][0]
            if "age_years" in row or not Path(image).is_relative_to(dataset.resolve()):
                continue
            of_session = people.get((row["subject_id"], row.get("session")))
            person = of_session or people.get((row["subject_id"], None))
            if person is not None:
                row.update({name: person[name] for name in _FACTS if person.get(name) is not None})
                row["covariates"] = person["covariates"]
    return result


def _subject(row: Mapping[str, Any]) -> str:
    name = str(row["subject_id"])
    return name if name.startswith("sub-") else f"sub-{name}"

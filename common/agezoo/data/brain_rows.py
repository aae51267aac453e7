"""What to remark on in a datalist of brains: unknown sex, patients among the training rows, sites."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from agezoo.data.datalist import DatalistRow
from agezoo.data.diagnosis import is_control

_MIN_ROWS_PER_SITE = 10
# As for folds: mean ages that differ by more than this share of the ages' standard deviation.
_SITE_AGE_DIFFERENCE_SD = 0.75


def cohort_problems(sections: Mapping[str, Sequence[DatalistRow]]) -> Iterator[tuple[str, str]]:
    """Warnings on a datalist's sections as ``(section, message)``; the sections are named as in the file."""
    for name, rows in sections.items():
        unknown = sum(row.sex is None for row in rows)
        if unknown:
            yield (
                name,
                f"sex is unknown in {unknown} of {len(rows)} rows; the network, which takes it into account, gets half "
                "of each",
            )
    for name in ("training", "validation"):
        patients = Counter(str(row.group) for row in sections[name] if not is_control(row.group))
        if patients:
            groups = ", ".join(f"{group} ({count})" for group, count in sorted(patients.items()))
            yield (
                name,
                f"holds groups that may be patients: {groups}; a model that learned from them takes their ageing for "
                "normal, and their gap means nothing (agezoo datalist --patients-to-test)",
            )
    yield from _site_problems(sections)


def _site_problems(sections: Mapping[str, Sequence[DatalistRow]]) -> Iterator[tuple[str, str]]:
    rows = [row for part in sections.values() for row in part]
    without = sum(row.site is None for row in rows)
    if 0 < without < len(rows):
        yield "datalist", f"site is unknown in {without} of {len(rows)} rows, and known in the others"
    learned = {row.site for name in ("training", "validation") for row in sections[name]}
    new = Counter(row.site for row in sections["test"] if row.site is not None and row.site not in learned)
    if new and learned - {None}:
        sites = ", ".join(f"{site} ({count})" for site, count in sorted(new.items()))
        yield "test", f"holds sites that training does not: {sites}"
    training = [row for row in sections["training"] if row.site is not None and row.age_years is not None]
    ages = np.array([row.age_years for row in training], dtype=float)
    at = np.array([row.site for row in training], dtype=object)
    means = {
        site: float(ages[at == site].mean())
        for site in sorted({str(row.site) for row in training})
        if np.count_nonzero(at == site) >= _MIN_ROWS_PER_SITE
    }
    if len(means) > 1 and max(means.values()) - min(means.values()) > _SITE_AGE_DIFFERENCE_SD * ages.std():
        shown = ", ".join(f"{site} {mean:.1f}" for site, mean in means.items())
        yield "training", f"mean ages differ between sites ({shown} years): a model may learn the scanner for the age"

"""What a bundle's paper reports on telling diagnoses apart by the gap, to stand beside what is measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from agezoo.analysis.binary_label import column_and_value
from agezoo.analysis.discrimination import PLANTED, ScoreResult
from agezoo.analysis.findings import FindingTable


@dataclass(frozen=True)
class PublishedAuc:
    """One published figure.

    Attributes
    ----------
    groups
        Cases and controls as the paper calls them.
    auc
        The figure.
    source
        Where it is reported.
    """

    groups: str
    auc: float
    source: str


_PHANTOM = (
    " These figures come from phantoms or phantom weights: they show only that the analysis finds what was planted, "
    "and nothing about real patients."
)
_CONTROLS = frozenset({"cn", "hc", "nc", "control", "controls", "healthy"})

# Cheng et al. give these in their abstract. Their code takes the AUC of hard labels, which is balanced accuracy.
_BRAIN_TSAN = "Cheng et al., IEEE TMI 2021"
_PUBLISHED: dict[str, dict[str, PublishedAuc]] = {
    "brain_tsan": {
        "ad": PublishedAuc("AD/HC", 0.904, _BRAIN_TSAN),
        "mci": PublishedAuc("MCI/HC", 0.823, _BRAIN_TSAN),
    }
}


def published_auc(label: str, table: pd.DataFrame) -> PublishedAuc | None:
    """The published figure that a label of the plan corresponds to.

    Parameters
    ----------
    label
        ``column=case/control``, e.g. ``diagnosis=AD/CN``; how healthy people are called does not matter.
    table
        Prediction table; all its rows must come from a bundle whose paper has such a figure.
    """
    bundles = set(table["bundle"].dropna()) if "bundle" in table else set()
    if len(bundles) != 1:
        return None
    value = column_and_value(label, table.columns)[1] or ""
    case, _, control = (part.strip().lower() for part in value.partition("/"))
    if control not in _CONTROLS:
        return None
    return _PUBLISHED.get(str(bundles.pop()), {}).get(case)


def published_table(
    published: Mapping[str, PublishedAuc],
    machines: Sequence[Mapping[str, Any]],
    scores: Sequence[ScoreResult],
    *,
    phantom: bool,
) -> Iterator[FindingTable]:
    """What the bundle's paper reports, beside the same kind of figure from the people of the analysis.

    Parameters
    ----------
    published
        Label -> published figure; without any there is no table.
    machines
        Rows of the table ``svm_on_gap``.
    scores
        Of all labels; the planted deviation among them gives the best possible AUROC.
    phantom
        Whether predictions come from phantom weights.
    """
    if not published:
        return
    by_machine = {row["label"]: row for row in machines}
    planted = {result.label: result.auroc for result in scores if result.score == PLANTED}
    rows = []
    for label, found in published.items():
        row: dict[str, Any] = {"label": label, "published_groups": found.groups, "published_auc": found.auc}
        for column in ("balanced_accuracy", "auroc"):
            for name in (column, f"{column}_low", f"{column}_high"):
                row[name] = by_machine.get(label, {}).get(name, float("nan"))
        if label in planted:
            best = planted[label]
            row |= {
                "best_possible_auroc": best.value,
                "best_possible_auroc_low": float("nan") if best.low is None else best.low,
                "best_possible_auroc_high": float("nan") if best.high is None else best.high,
            }
        rows.append(row)
    yield FindingTable(
        "published",
        "Published figures, as context",
        pd.DataFrame(rows),
        f"{next(iter(published.values())).source}: a support vector machine on the gap. The published AUC was taken "
        "from hard labels, which makes it a balanced accuracy: compare it with balanced_accuracy, not with auroc. It "
        "comes from other people, scanners and stages of disease, and is no target."
        + (_PHANTOM if phantom or planted else ""),
    )

"""How well a support vector machine that sees nothing but the gap tells two groups apart.

The classifier is that of the brain_tsan paper (one feature, RBF kernel, C = 10, balanced classes). The paper's AUC was
taken from hard labels, which is balanced accuracy; here the decision score is judged, out of fold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from agezoo.analysis.auroc import Auroc, auroc
from agezoo.errors import InputError

#: More people than this are represented by a stratified random sample: the fit takes quadratic time.
MAX_PEOPLE = 1000

N_FOLDS = 5
N_REPEATS = 5

#: Smaller groups give no cross-validation worth the name.
MIN_PER_GROUP = 2 * N_FOLDS


@dataclass(frozen=True)
class SvmResult:
    """Out-of-fold discrimination.

    Attributes
    ----------
    auroc
        Of the mean decision score of each person over the repeats, with DeLong's interval.
    balanced_accuracy
        Of the hard labels that the mean decision scores give, which is the AUROC of these labels, with its interval.
    mean_of_repeats, sd_of_repeats
        Mean and SD of the AUROCs of the single repeats: what another split would change.
    n_available
        People there were; more than ``auroc`` counts where a sample was taken.
    """

    auroc: Auroc
    balanced_accuracy: Auroc
    mean_of_repeats: float
    sd_of_repeats: float
    n_available: int


def svm_on_gap(label: ArrayLike, gap_years: ArrayLike, *, seed: int = 0) -> SvmResult:
    """Repeated stratified cross-validation of the classifier.

    Parameters
    ----------
    label
        0 or 1, shape ``(n,)``, one person each.
    gap_years
        Complete, shape ``(n,)``; standardised within the training folds.
    seed
        Of the sample and the splits.

    Raises
    ------
    InputError
        If a group has fewer than ``MIN_PER_GROUP`` people.
    """
    from sklearn.model_selection import StratifiedKFold, train_test_split
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    y, gap = np.asarray(label).astype(int), np.asarray(gap_years, dtype=np.float64)[:, None]
    n = len(y)
    if n > MAX_PEOPLE:
        chosen, _ = train_test_split(np.arange(n), train_size=MAX_PEOPLE, stratify=y, random_state=seed)
        y, gap = y[chosen], gap[chosen]
    if min(y.sum(), len(y) - y.sum()) < MIN_PER_GROUP:
        raise InputError(
            "too few people for the cross-validated support vector machine",
            found=f"{int(y.sum())} with and {int(len(y) - y.sum())} without the label",
            expected=f"at least {MIN_PER_GROUP} each",
        )
    scores = np.empty((N_REPEATS, len(y)))
    for repeat in range(N_REPEATS):
        folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=np.random.RandomState([seed, repeat]))
        for train, held_out in folds.split(gap, y):
            machine = make_pipeline(StandardScaler(), SVC(kernel="rbf", C=10.0, class_weight="balanced"))
            scores[repeat, held_out] = machine.fit(gap[train], y[train]).decision_function(gap[held_out])
    single = [auroc(y, row).value for row in scores]
    score = scores.mean(axis=0)
    return SvmResult(
        auroc(y, score), auroc(y, (score > 0).astype(float)), float(np.mean(single)), float(np.std(single, ddof=1)), n
    )

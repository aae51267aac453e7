"""Synthetic cohorts with a known ageing signal, written as real file formats.

Nothing is imported until a name is used, so that the package stays light.
"""

from agezoo.lazy import lazy_names

__getattr__, __all__ = lazy_names(
    __name__,
    {
        "CohortParameters": "ct_cohort_plan",
        "CtCohort": "ct_cohort",
        "PhantomScan": "torso_ct",
        "PhantomSubject": "torso_anatomy",
        "ScanSettings": "torso_ct",
        "ensure_ct_cohort": "ct_cohort",
        "phantom_ct_scan": "ct_cohort",
        "phantom_volume": "torso_ct",
        "plan_ct_cohort": "ct_cohort_plan",
        "write_ct_cohort": "ct_cohort",
    },
)

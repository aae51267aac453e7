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
        "SpineCohort": "spine_cohort",
        "SpineCohortParameters": "spine_plan",
        "SpineSubject": "spine_anatomy",
        "ensure_ct_cohort": "ct_cohort",
        "ensure_spine_cohort": "spine_cohort",
        "expected_hazard_ratio": "spine_follow_up",
        "phantom_ct_scan": "ct_cohort",
        "phantom_volume": "torso_ct",
        "phantom_spine_image": "spine_cohort",
        "plan_ct_cohort": "ct_cohort_plan",
        "plan_spine_cohort": "spine_plan",
        "simulate_follow_up": "spine_follow_up",
        "write_ct_cohort": "ct_cohort",
        "write_spine_cohort": "spine_cohort",
        "ensure_brain_cohort": "brain_cohort",
        "BrainCohortParameters": "brain_plan",
        "plan_brain_cohort": "brain_plan",
        "write_brain_cohort": "brain_cohort",
        "BodyCohortParameters": "body_plan",
        "plan_body_cohort": "body_plan",
        "ensure_body_cohort": "body_cohort",
        "write_body_cohort": "body_cohort",
    },
)

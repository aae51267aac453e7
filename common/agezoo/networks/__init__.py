"""Networks that the bundles' configs name, and the loading of their weights."""

from agezoo.lazy import lazy_names

__getattr__, __all__ = lazy_names(
    __name__,
    {
        "AgeEnsemble": "age_ensemble",
        "StandardisedHead": "standardised_head",
        "SpineAgeNet": "spine_age_net",
        "initialise": "initial_weights",
        "start_spine_age": "initial_ages",
        "find_weights": "weights",
        "load_ensemble": "weights",
        "load_strictly": "weights",
        "ScaleDense": "scale_dense",
        "TSAN": "tsan",
        "brain_age_network": "tsan",
        "fuse": "fused_brain",
        "start_brain_stage": "brain_start",
        "WholeBodyResNet": "whole_body_resnet",
        "start_whole_body": "kinetics_start",
    },
)

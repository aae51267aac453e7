"""Losses that the bundles' configs name."""

from agezoo.lazy import lazy_names

__getattr__, __all__ = lazy_names(
    __name__,
    {
        "BrainAgeLoss": "brain_age",
        "CascadeLoss": "brain_age",
        "GaussianNLLLoss": "gaussian_nll",
        "MeanVarianceLoss": "mean_variance",
        "SorterRanks": "sorter_rank",
        "soft_ranks": "soft_rank",
    },
)

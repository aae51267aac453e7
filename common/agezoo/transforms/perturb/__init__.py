"""What can go wrong with an image before an age is predicted from it, as graded changes of CT, radiograph or T1.

:data:`agezoo.transforms.perturb.catalogue.CATALOGUES` lists them by kind of image with their grades and units and
imports no heavy library; the changes themselves are pure functions in files of their own, those of radiographs in
``radiograph_*.py``, those of heads and brains in ``brain_*.py``.
"""

from __future__ import annotations

from agezoo.lazy import lazy_names

__getattr__, __all__ = lazy_names(
    __name__,
    {
        "CATALOGUES": "catalogue",
        "PERTURBATIONS": "catalogue",
        "Perturbation": "perturbation",
        "chosen_perturbations": "catalogue",
        "PerturbBrain": "brain_transform",
        "PerturbBraind": "brain_transform",
        "PerturbVolume": "volume_transform",
        "PerturbVolumed": "volume_transform",
        "PerturbRadiograph": "radiograph_transform",
        "PerturbRadiographd": "radiograph_transform",
    },
)

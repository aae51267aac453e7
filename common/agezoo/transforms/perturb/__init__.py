"""What can go wrong with a CT before an age is predicted from it, as graded changes of the volume.

:data:`agezoo.transforms.perturb.catalogue.PERTURBATIONS` lists them with their grades and units and imports no heavy
library; the changes themselves are one pure function per file.
"""

from __future__ import annotations

from agezoo.lazy import lazy_names

__getattr__, __all__ = lazy_names(
    __name__,
    {
        "PERTURBATIONS": "catalogue",
        "Perturbation": "catalogue",
        "chosen_perturbations": "catalogue",
        "PerturbVolume": "volume_transform",
        "PerturbVolumed": "volume_transform",
    },
)

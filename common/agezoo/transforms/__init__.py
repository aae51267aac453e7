"""Image transforms in MONAI style, one per file, in array and dictionary form.

Everything public is reachable from here, so that a config can say ``agezoo.transforms.ResampleToGridd``;
MONAI and PyTorch are imported only when the first name is asked for.
"""

from __future__ import annotations

from agezoo.lazy import lazy_names

__getattr__, __all__ = lazy_names(
    __name__,
    {
        "LoadRadiograph": "load_radiograph",
        "LoadRadiographd": "load_radiograph",
        "LoadVolume": "load",
        "LoadVolumed": "load",
        "ResampleToGrid": "resample_grid",
        "ResampleToGridd": "resample_grid",
        "MaskToBody": "body_mask",
        "MaskToBodyd": "body_mask",
        "CentralSlabProjection": "slab_projection",
        "CentralSlabProjectiond": "slab_projection",
        "ScaleToUnit": "unit_scale",
        "ScaleToUnitd": "unit_scale",
        "RandCropResizePaste": "crop_resize_paste",
        "RandCropResizePasted": "crop_resize_paste",
        "GaussianAge": "gaussian_age",
        "GaussianAged": "gaussian_age",
        "EqualiseHistogram": "equalise_histogram",
        "EqualiseHistogramd": "equalise_histogram",
        "SideCrop": "side_crop",
        "SideCropd": "side_crop",
        "FitToCanvas": "canvas",
        "FitToCanvasd": "canvas",
        "CanvasPlacement": "canvas",
        "map_to_original": "canvas",
        "DistributionAge": "distribution_age",
        "DistributionAged": "distribution_age",
        "ct_projection": "ct",
        "display_views": "display",
        "backproject_map": "backproject",
        "BrainToMNI": "brain_to_mni",
        "BrainToMNId": "brain_to_mni",
        "mni_shape": "brain.template",
        "StandardiseBrain": "standardise_brain",
        "StandardiseBraind": "standardise_brain",
        "CascadeAge": "cascade_age",
        "CascadeAged": "cascade_age",
        "LoadBody": "load_body",
        "LoadBodyd": "load_body",
        "KeepRegiond": "keep_region",
        "StandardiseBody": "standardise_body",
        "StandardiseBodyd": "standardise_body",
        "RandRefillBackground": "noise_fill",
        "RandRefillBackgroundd": "noise_fill",
        "RegressedAge": "regressed_age",
        "RegressedAged": "regressed_age",
        "body_shape": "body.body_grid",
    },
)

"""Whether the values of a CT volume can be Hounsfield units."""

from __future__ import annotations

import numpy as np

from agezoo.data.volume import Volume
from agezoo.errors import InputError

# Air is -1000 and fat about -100: a scan of a body in air always goes below this.
_MUST_GO_BELOW_HU = -500.0
_SOFT_TISSUE_HU = (-200.0, 300.0)
_MIN_SOFT_TISSUE_SHARE = 0.005


def check_hounsfield(volume: Volume, *, source: str) -> None:
    """Refuse a volume whose values are not Hounsfield units.

    A model that was trained on Hounsfield units gives a number for anything; this catches normalised images (0 to 1,
    0 to 255), values shifted by 1024 and images clipped to a display window.

    Raises
    ------
    InputError
        If nothing is as dark as air, or almost nothing has the density of soft tissue.
    """
    # Every fourth voxel along each axis shows the same range at a fraction of the time.
    sample = volume.hu[::4, ::4, ::4] if min(volume.shape) >= 16 else volume.hu
    lowest, highest = float(sample.min()), float(sample.max())
    remedy = "give the scan in Hounsfield units, as the scanner or dcm2niix writes it, neither normalised nor windowed"
    if lowest > _MUST_GO_BELOW_HU:
        raise InputError(
            "values do not look like Hounsfield units: there is no air",
            source=source,
            found=f"values from {lowest:g} to {highest:g}",
            expected="air near -1000",
            remedy=remedy,
        )
    soft_tissue = np.mean((sample >= _SOFT_TISSUE_HU[0]) & (sample <= _SOFT_TISSUE_HU[1]))
    if soft_tissue < _MIN_SOFT_TISSUE_SHARE:
        raise InputError(
            "values do not look like Hounsfield units: there is no soft tissue",
            source=source,
            found=f"values from {lowest:g} to {highest:g}, {soft_tissue:.1%} of them between "
            f"{_SOFT_TISSUE_HU[0]:g} and {_SOFT_TISSUE_HU[1]:g}",
            expected=f"at least {_MIN_SOFT_TISSUE_SHARE:.1%}",
            remedy=remedy,
        )

"""Whole bodies, whose background is no blank value but noise: where the body is, and what an empty image is.

The network has never seen a body fade into a grey: what is missing from its input, the air as well as all but one organ
(:class:`agezoo.transforms.KeepRegiond`), is standard normal noise. So a method that takes parts of the image away puts
that noise in their place. A blank of 0 would be the mean brightness of the body, an even tissue where there is none,
and the age of such an image would tell of the strange sight as much as of what is missing. The field is the fixed one
with which the image was made, so that a dimmed image differs from it in the body alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from agezoo.transforms.noise_fill import background_field, body_of


def noise_options(image: np.ndarray | torch.Tensor) -> dict[str, Any]:
    """Options ``body`` and ``blank_value`` of :func:`agezoo.explain.attribution.explain` for a standardised body.

    Parameters
    ----------
    image
        (C, X, Y, Z) as :class:`agezoo.transforms.StandardiseBodyd` makes it.
    """
    return {"body": body_of(image), "blank_value": background_field(image.shape)}

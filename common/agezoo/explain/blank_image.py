"""What stands for "nothing there" when parts of an image are taken away."""

from __future__ import annotations

import numpy as np
import torch

from agezoo.errors import InputError


def as_blank(blank_value: float | np.ndarray | torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """A blank on the image's device that goes together with it: a single number, or an image of its shape.

    Parameters
    ----------
    blank_value
        One value, or an image of shape (C, *spatial) or (1, C, *spatial).
    image
        Shape (1, C, *spatial).

    Returns
    -------
    torch.Tensor
        Without axes, or of the image's shape; its type is the image's.

    Raises
    ------
    InputError
        If the blank has another shape, or is not finite.
    """
    # A copy: fields of noise are kept read-only.
    values = np.array(blank_value.detach().cpu() if isinstance(blank_value, torch.Tensor) else blank_value)
    if values.size == 1:
        values = values.reshape(())
    elif values.shape == tuple(image.shape[1:]):
        values = values[None]
    elif values.shape != tuple(image.shape):
        raise InputError(
            "the blank image does not fit",
            source="blank_value",
            found=f"shape {values.shape}",
            expected=f"one number, or shape {tuple(image.shape[1:])}",
        )
    if not np.isfinite(values).all():
        raise InputError("the blank image holds values that are not finite", source="blank_value")
    return torch.from_numpy(values).to(image)

"""How long a saliency method takes on a network, told before it is run."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from agezoo.explain.age_output import as_age_output
from agezoo.explain.conditioning import first_member
from agezoo.explain.gradient_cams import GRADIENT_CAMS
from agezoo.explain.layer_view import layer_view
from agezoo.explain.network_state import evaluation_mode, find_layer, one_image

STEPS = 32
"""Integration steps and noisy copies that :func:`agezoo.explain.attribution.explain` takes by default."""

# A gradient costs about two more passes.
_WITH_GRADIENT = 3


def expected_seconds(
    network: nn.Module,
    image: torch.Tensor | np.ndarray,
    methods: Sequence[str],
    layer: str | nn.Module | None = None,
    *,
    others: Sequence[torch.Tensor] = (),
) -> dict[str, float]:
    """Seconds that each method will take for one image, from the time of one prediction and the number of passes.

    Parameters
    ----------
    network
        Of an ensemble every member is asked in each pass.
    image
        One image, shape (C, *spatial) or (1, C, *spatial).
    methods
        Names from :data:`agezoo.explain.attribution.METHODS`.
    layer
        Layer of the class-activation methods; None takes the network's own.
    others
        What the network takes besides the image, as in :func:`agezoo.explain.attribution.explain`.
    """
    batch = one_image(image, network)
    ages = as_age_output(first_member(network), None, others)
    asked = as_age_output(network, None, others)
    with evaluation_mode(network), torch.inference_mode():
        maps = layer_view(ages, find_layer(ages.network, layer), batch).maps.shape[1]
        # The first pass of that shape, above, has set up memory and kernels.
        seconds = min(_timed(asked, batch) for _ in range(2))
    return {name: seconds * passes(name, maps=maps, image_shape=tuple(batch.shape[2:])) for name in methods}


def passes(method: str, *, maps: int, image_shape: tuple[int, ...]) -> int:
    """Passes through the network that a method takes for one image, a gradient counted as two more.

    Parameters
    ----------
    method
        Name from :data:`agezoo.explain.attribution.METHODS`.
    maps
        Feature maps of the layer, each of which a Score-CAM tries.
    image_shape
        Spatial shape, over which occlusion moves its window.
    """
    if method.startswith("score_cam"):
        return maps + 2
    if method == "occlusion":
        return 1 + math.prod(
            math.ceil((size - window) / stride) + 1
            for size, window, stride in zip(image_shape, *occlusion_windows(image_shape), strict=True)
        )
    if method in GRADIENT_CAMS:
        # They follow the gradient through the head alone.
        return 1
    gradients = {"integrated_gradients": STEPS, "smooth_grad": STEPS, "guided_backprop": 2, "guided_grad_cam": 2}
    return _WITH_GRADIENT * gradients.get(method, 1)


def occlusion_windows(image_shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Size of the window that occlusion moves over an image, and its steps, both in voxels per axis.

    A seventh of each side. Windows of a plane overlap by half; those of a volume lie side by side, since overlap would
    need eight times as many passes through a network that takes seconds for each.
    """
    window = tuple(max(1, size // 7) for size in image_shape)
    return window, window if len(image_shape) > 2 else tuple(max(1, size // 2) for size in window)


def _timed(network: nn.Module, batch: torch.Tensor) -> float:
    start = time.perf_counter()
    network(batch)
    if batch.device.type == "cuda":
        torch.cuda.synchronize(batch.device)
    return time.perf_counter() - start

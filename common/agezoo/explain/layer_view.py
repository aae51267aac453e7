"""What one layer makes of an image: its feature maps, where their cells lie, and how the age hangs on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from agezoo.errors import InputError
from agezoo.explain.age_output import AgeOutput, as_age_output
from agezoo.explain.cell_grid import CellGrid, follow_cells
from agezoo.explain.conditioning import first_member
from agezoo.explain.network_state import evaluation_mode, find_layer, one_image


@dataclass(frozen=True)
class LayerView:
    """One layer's answer to one image.

    Attributes
    ----------
    maps
        Feature maps, shape (1, K, *cells).
    grid
        Where their cells lie in the image.
    gradients
        Derivative of the age by each cell in years per unit, shape of the maps; None unless asked for.
    """

    maps: torch.Tensor
    grid: CellGrid
    gradients: torch.Tensor | None = None


def layer_view(ages: AgeOutput, layer: nn.Module, image: torch.Tensor, *, gradients: bool = False) -> LayerView:
    """:func:`layer_views` of one layer."""
    (view,) = layer_views(ages, [layer], image, gradients=gradients)
    return view


def layer_views(
    ages: AgeOutput, layers: Sequence[nn.Module], image: torch.Tensor, *, gradients: bool = False
) -> list[LayerView]:
    """Ask a network once and look at some layers; its hooks are removed in every case.

    Only what comes after the layers is remembered for the gradients, so that they cost hardly more time and memory than
    a prediction.

    Parameters
    ----------
    ages
        In evaluation mode.
    layers
        Parts of the network. With gradients, none may feed another, because each is taken as a beginning.
    image
        Shape (1, C, *spatial).
    gradients
        Ask for the derivatives too; not possible inside ``torch.inference_mode``.

    Raises
    ------
    InputError
        If a layer was not used, was used more than once, or has no feature maps of the image's dimensionality.
    """
    watched = [_Watched(image.ndim, gradients) for _ in layers]
    with torch.no_grad(), follow_cells(ages, image) as grid_of:
        # After the hooks that follow the cells, so that the layer's own output has been noted.
        handles = [
            layer.register_forward_hook(partial(watch.keep, grid_of))
            for layer, watch in zip(layers, watched, strict=True)
        ]
        try:
            age_years = ages(image)
        finally:
            for handle in handles:
                handle.remove()
    views = [watch.view() for watch in watched]
    if not gradients:
        return views
    slopes: Sequence[torch.Tensor | None] = [None] * len(views)
    if age_years.requires_grad:
        slopes = torch.autograd.grad(age_years.sum(), [view.maps for view in views], allow_unused=True)
    return [
        LayerView(view.maps.detach(), view.grid, torch.zeros_like(view.maps) if slope is None else slope)
        for view, slope in zip(views, slopes, strict=True)
    ]


class _Watched:
    """What one layer put out."""

    def __init__(self, ndim: int, gradients: bool) -> None:
        self.ndim = ndim
        self.gradients = gradients
        self.seen: list[Any] = []
        self.grids: list[CellGrid] = []

    def keep(
        self, grid_of: Callable[[torch.Tensor], CellGrid], _module: nn.Module, _inputs: Any, output: Any
    ) -> torch.Tensor | None:
        if not isinstance(output, torch.Tensor) or self.seen:
            self.seen.append(output)
            return None
        # Cloned because a following in-place activation would otherwise overwrite what is kept.
        kept = output.detach().clone()
        if kept.ndim == self.ndim:
            self.grids.append(grid_of(output))
        self.seen.append(kept)
        if not self.gradients:
            return None
        kept.requires_grad_()
        torch.set_grad_enabled(True)
        return kept.clone()

    def view(self) -> LayerView:
        if len(self.seen) != 1:
            raise InputError("the layer must be used exactly once per image", found=f"used {len(self.seen)} times")
        if not self.grids:
            (seen,) = self.seen
            raise InputError(
                "the layer does not put out feature maps",
                found=tuple(seen.shape) if isinstance(seen, torch.Tensor) else type(seen).__name__,
                expected=f"(B, maps, {self.ndim - 2} spatial axes)",
                remedy="choose a convolutional layer before the pooling",
            )
        return LayerView(self.seen[0], self.grids[0])


def cam_grid(
    network: nn.Module,
    image: torch.Tensor | np.ndarray,
    layer: str | nn.Module | None = None,
    *,
    others: Sequence[torch.Tensor] = (),
) -> CellGrid:
    """Where the cells of a class-activation map lie: its grid is how coarse such a map is.

    The parameters are those of :func:`agezoo.explain.attribution.explain`; of an ensemble, its first member is asked.
    """
    ages = as_age_output(first_member(network), None, others)
    with evaluation_mode(ages):
        return layer_view(ages, find_layer(ages.network, layer), one_image(image, ages.network)).grid

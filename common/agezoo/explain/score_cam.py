"""Score-CAM for age regression: feature maps weighted by the age that the network reads where they are bright.

Method: Wang et al., Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural Networks, CVPR workshops
2020, arXiv 1910.01279; for CT age Kerber et al., PLOS ONE 2023, 18(11):e0292993.
"""

from __future__ import annotations

import logging
from typing import Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from tqdm import tqdm

from agezoo.errors import InputError
from agezoo.explain.age_output import AgeFunction, AgeOutput, as_age_output
from agezoo.explain.blank_image import as_blank
from agezoo.explain.cell_grid import CellGrid
from agezoo.explain.fast_network import Precision, fast_age_network
from agezoo.explain.layer_view import layer_view
from agezoo.explain.network_state import evaluation_mode, find_layer, one_image

logger = logging.getLogger(__name__)

Weighting = Literal["baseline", "centred", "published"]


def score_cam(
    network: nn.Module,
    image: torch.Tensor | np.ndarray,
    layer: str | nn.Module | None = None,
    *,
    weighting: Weighting = "baseline",
    signed: bool = False,
    blank_value: float | np.ndarray | torch.Tensor = 0.0,
    precision: Precision = "float32",
    max_maps: int | None = None,
    batch_size: int = 8,
    to_age: AgeFunction | None = None,
    progress: bool = False,
) -> np.ndarray:
    """Map of where in one image the predicted age comes from.

    Each feature map of the layer, after ReLU and scaled to 0..1 over the image, dims the image outside its bright
    places; the age predicted for the dimmed image weights the map. The weighted sum is the saliency.

    Parameters
    ----------
    network
        Any 2D or 3D network; its mode, weights and hooks are left as they were.
    image
        One image, shape (C, *spatial) or (1, C, *spatial), as the network takes it.
    layer
        Dotted name or module whose output is weighted; None takes the network's own, see
        :func:`agezoo.explain.network_state.find_layer`. Its cells are spread over the image from where they lie
        (:mod:`agezoo.explain.cell_grid`); the CT paper stretched the maps evenly, which shifts a ResNet's by half a
        cell.
    weighting
        ``"baseline"``: the age of the dimmed image minus the age of a blank image. ``"published"``: the age itself,
        as the CT paper did; since that is nearly the same for every map, the result is close to the plain sum of
        the feature maps. ``"centred"``: the age minus its mean over the maps, which is what a map moves beyond what
        any map moves; the sharpest, and on an untrained network the noisiest.
    signed
        False: 0..1. Baseline and centred maps then show what moves the age from the blank image's towards this
        image's, in whichever direction that is; otherwise a patient younger than the blank image would get an
        empty map. True: -1..1, where positive places make the patient older than the blank image (centred:
        than the mean over the maps) and negative ones younger. The published weighting has no sign.
    blank_value
        What stands for "nothing there": a value of the image, or an image of its shape; dimming fades towards it. 0 is
        the background of most bundles, a field of noise that of whole bodies, see
        :mod:`agezoo.explain.noise_background`.
    precision
        ``"bfloat16"`` computes the dimmed images' convolutions in half the width, about twice as fast on CPUs with
        AVX512-BF16 or AMX and on GPUs; the map stays the same to about 1 % of its range.
    max_maps
        At most so many maps are tried, chosen to lie far from each other; every other map borrows the weight of
        the one whose dimmed image is most like its own. With half of a ResNet-18's 256 maps the map keeps its
        shape (correlation 0.998 and more in ``benchmarks/bench_score_cam.py``). None tries every map that is not
        constant, which is exact.
    batch_size
        Dimmed images per forward pass. More costs memory and on a CPU gains nothing.
    to_age
        From the network's output to ages in years, shape (B,); needed only for outputs that
        :func:`agezoo.explain.age_output.mean_age` does not know.
    progress
        Show a progress bar.

    Returns
    -------
    numpy.ndarray
        float32 of the image's spatial shape; all zero, with a warning in the log, if no map is left to weight.

    Raises
    ------
    InputError
        For an unknown layer, weighting or precision, more than one image, or a predicted age that is not finite.
    """
    if weighting not in ("baseline", "centred", "published"):
        raise InputError("no such weighting", found=weighting, expected="baseline, centred or published")
    if signed and weighting == "published":
        raise InputError("the published weighting has no sign", expected="signed=False, or another weighting")
    if max_maps is not None and max_maps < 1:
        raise InputError("max_maps must be at least 1", found=max_maps)
    if batch_size < 1:
        raise InputError("batch_size must be at least 1", found=batch_size)
    ages = as_age_output(network, to_age)
    target = find_layer(ages.network, layer)
    with evaluation_mode(network), torch.inference_mode():
        batch = one_image(image, network)
        blank = as_blank(blank_value, batch)
        view = layer_view(ages, target, batch)
        maps = functional.relu(view.maps)[0].float()
        # A constant map cannot be scaled to 0..1 and says nothing of where.
        maps = maps[maps.flatten(1).amax(1) > maps.flatten(1).amin(1)]
        if len(maps) == 0:
            logger.warning("every feature map of the layer is constant; the saliency map is empty")
            return np.zeros(batch.shape[2:], dtype=np.float32)
        tried, lender = _choose_maps(maps, batch - blank, view.grid, max_maps)
        predictor = fast_age_network(ages, batch, precision=precision)
        ages_years = _mask_ages(predictor, batch, maps[tried], view.grid, blank, batch_size, progress)[lender]
        # Seen through the same predictor, so that its rounding cancels.
        blank_years, image_years = predictor(torch.cat([blank.expand_as(batch), batch])).double()
        origin = {"baseline": blank_years, "centred": ages_years.mean(), "published": 0.0}[weighting]
        weights = ages_years - origin
        if weighting != "published" and not signed and image_years < blank_years:
            weights = -weights
        # Interpolation is linear: summing before it gives the same as after it, at a fraction of the work.
        summed = torch.tensordot(weights, maps.double(), dims=1)[None, None]
        saliency = view.grid.spread(summed)[0, 0].cpu().numpy()
    if signed:
        return scale_signed(saliency)
    if saliency.max() <= 0:
        # Every dimmed image moved the age away from this image's, which happens with barely trained networks.
        logger.debug("the dimmed images move the age the other way than the whole image; the map is turned")
        saliency = -saliency
    return scale_unsigned(saliency)


def scale_unsigned(saliency: np.ndarray) -> np.ndarray:
    """Negative values set to 0, the rest scaled to 0..1 (float32); a constant map becomes 0."""
    positive = np.maximum(saliency, 0)
    low, high = float(positive.min()), float(positive.max())
    if high <= low:
        return np.zeros(saliency.shape, dtype=np.float32)
    return ((positive - low) / (high - low)).astype(np.float32)


def scale_signed(saliency: np.ndarray) -> np.ndarray:
    """Divided by the largest magnitude, so that 0 stays 0 and the range is within -1..1 (float32)."""
    largest = float(np.abs(saliency).max())
    return (saliency / largest if largest > 0 else saliency).astype(np.float32)


def _choose_maps(
    maps: torch.Tensor, content: torch.Tensor, grid: CellGrid, max_maps: int | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Which maps to try, and for every map the place in that list of the one whose weight it takes.

    Two maps are alike if they leave alike images: their distance is that of the dimmed images at the layer's
    resolution. The choice starts at the strongest map and goes on to whichever map is farthest from all chosen ones
    (times the root of its strength, because a strong map's weight matters more).
    """
    every = torch.arange(len(maps), device=maps.device)
    if max_maps is None or max_maps >= len(maps):
        return every, every
    flat = maps.double().flatten(1)
    low = flat.amin(1, keepdim=True)
    masks = (flat - low) / (flat.amax(1, keepdim=True) - low)
    dimmed = masks * grid.gather(content.abs().mean(1, keepdim=True).double()).flatten()
    strength = flat.sum(1)
    chosen = [int(strength.argmax())]
    nearest = torch.linalg.vector_norm(dimmed - dimmed[chosen[0]], dim=1)
    while len(chosen) < max_maps:
        chosen.append(int((nearest * strength.sqrt()).argmax()))
        nearest = torch.minimum(nearest, torch.linalg.vector_norm(dimmed - dimmed[chosen[-1]], dim=1))
        # Maps that leave the same image have distance 0 from then on; further tries would repeat them.
        if float(nearest.max()) == 0:
            break
    tried = torch.tensor(sorted(chosen), device=maps.device)
    return tried, torch.cdist(dimmed, dimmed[tried]).argmin(1)


def _mask_ages(
    predictor: AgeOutput,
    image: torch.Tensor,
    maps: torch.Tensor,
    grid: CellGrid,
    blank: torch.Tensor,
    batch_size: int,
    progress: bool,
) -> torch.Tensor:
    """Predicted age in years, float64 of shape (K,), of the image dimmed by each of K maps."""
    found = []
    for chunk in tqdm(maps.split(batch_size), desc="Score-CAM", unit="batch", disable=not progress, leave=False):
        masks = grid.spread(chunk[:, None])
        axes = tuple(range(1, masks.ndim))
        low, high = masks.amin(axes, keepdim=True), masks.amax(axes, keepdim=True)
        masks = (masks - low) / (high - low)
        found.append(predictor(blank + masks * (image - blank)).double())
    ages_years = torch.cat(found)
    if not bool(torch.isfinite(ages_years).all()):
        raise InputError("the network gives no finite age for the dimmed image", found="NaN or infinity")
    return ages_years

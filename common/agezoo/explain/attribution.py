"""One call for every way of asking where an age comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import ndimage
from torch import nn

from agezoo.errors import InputError
from agezoo.explain.age_output import AgeFunction, AgeOutput, as_age_output
from agezoo.explain.background import mask_background
from agezoo.explain.captum_methods import CAPTUM_METHODS, captum_map
from agezoo.explain.conditioning import first_member
from agezoo.explain.effort import STEPS
from agezoo.explain.fast_network import Precision
from agezoo.explain.gradient_cams import GRADIENT_CAMS, gradient_cam
from agezoo.explain.layer_view import cam_grid
from agezoo.explain.network_state import method_layer
from agezoo.explain.score_cam import Weighting, scale_signed, scale_unsigned, score_cam
from agezoo.networks.age_ensemble import AgeEnsemble


@dataclass(frozen=True)
class _Options:
    layer: str | nn.Module | None
    signed: bool
    body: np.ndarray | None
    blank_value: float | np.ndarray | torch.Tensor
    mask_outside_patient: bool
    smoothing_sd_voxels: float
    steps: int
    batch_size: int
    precision: Precision
    max_maps: int | None
    seed: int
    progress: bool


_SCORE_CAM_METHODS: dict[str, Weighting] = {
    "score_cam": "baseline",
    "score_cam_centred": "centred",
    "score_cam_published": "published",
}
_OTHER_NAMES = {"guided_gradcam": "guided_grad_cam", "gradcam": "grad_cam", "smoothgrad": "smooth_grad"}
_OTHER_NAMES |= {"grad_cam++": "grad_cam_plus_plus", "gradcam++": "grad_cam_plus_plus"}

METHODS: tuple[str, ...] = (*_SCORE_CAM_METHODS, *GRADIENT_CAMS, *CAPTUM_METHODS)
"""Every method's name."""

LAYER_METHODS: frozenset[str] = frozenset(
    {*_SCORE_CAM_METHODS, *GRADIENT_CAMS, *(name for name, method in CAPTUM_METHODS.items() if method.needs_layer)}
)
"""Methods that look at the feature maps of one layer."""

SIGNED_BY_NATURE: frozenset[str] = frozenset(
    {*GRADIENT_CAMS, *(name for name, method in CAPTUM_METHODS.items() if method.signed)}
)
"""Methods whose map has a sign unless ``signed=False`` asks for none."""

SIGNED_METHODS: frozenset[str] = frozenset({"score_cam", "score_cam_centred", *SIGNED_BY_NATURE})
"""Methods whose map can tell what makes the patient older (positive) from what makes younger (negative)."""


def explain(
    network: nn.Module,
    image: torch.Tensor | np.ndarray,
    method: str = "score_cam",
    *,
    layer: str | nn.Module | Sequence[str | nn.Module] | None = None,
    signed: bool | None = None,
    body: np.ndarray | torch.Tensor | None = None,
    blank_value: float | np.ndarray | torch.Tensor = 0.0,
    mask_outside_patient: bool = True,
    smoothing_sd_voxels: float = 0.0,
    steps: int = STEPS,
    batch_size: int | None = None,
    precision: Precision = "float32",
    max_maps: int | None = None,
    seed: int = 0,
    to_age: AgeFunction | None = None,
    others: Sequence[torch.Tensor] = (),
    progress: bool = False,
) -> np.ndarray:
    """Map in the image's own grid of where the predicted age comes from.

    Parameters
    ----------
    network
        Any 2D or 3D network; left in the mode, with the weights and the hooks it had. Of an
        :class:`~agezoo.networks.age_ensemble.AgeEnsemble` the CAM methods give the mean of the members' maps, each
        scaled to its own largest value, because every member has its own layer; the others explain the mean age.
    image
        One image, shape (C, *spatial) or (1, C, *spatial).
    method
        One of :data:`METHODS`. The Score-CAMs, Grad-CAM, Grad-CAM++ and HiResCAM need nothing else; the others need
        captum.
    layer
        For the CAM methods: dotted name or module; None takes the one that the network's ``cam_layers`` names for the
        method, else its ``cam_layer``, else ``layer3``. Of several layers the mean of their maps is given, each scaled
        to its own largest value: an early layer lends it sharpness, a late one meaning. Of a cascade, the gradient CAMs
        without a named layer add the maps of both stages, see :func:`agezoo.explain.gradient_cams.gradient_cam`; a
        Score-CAM dims the image by the first stage's maps, which is the one that tells people apart, and asks for the
        cascade's age.
    signed
        True: -1..1, positive where the image makes the patient older, negative where younger. False: 0..1; for a
        Score-CAM see there, for the other CAMs the positive part after the map was turned so that its sum is
        positive, and for the rest the magnitude. None: False for the Score-CAMs, else whatever the method has.
    body
        Boolean, the image's spatial shape: where the patient is, for images that do not tell it by their background, as
        whole bodies in noise (:func:`agezoo.explain.noise_background.noise_options`). None finds the patient by
        `blank_value`.
    blank_value
        What stands for "nothing there", a value or an image of the same shape: the baseline of the baseline-subtracted
        Score-CAM, of integrated gradients and of occlusion, and the background for masking.
    mask_outside_patient
        Set the map to 0 outside the `body`, without one where the image shows no patient, see
        :func:`agezoo.explain.background.mask_background`.
    smoothing_sd_voxels
        SD of a Gaussian that smooths the map, for the pixel-wise methods, which are noisy.
    steps
        Integration steps of integrated gradients, noisy copies of SmoothGrad.
    batch_size
        Images per forward pass; bounds the memory. None takes 8, and fewer of images larger than 224 x 224 pixels.
    precision, max_maps
        Faster Score-CAM, see :func:`agezoo.explain.score_cam.score_cam`.
    seed
        For SmoothGrad's noise; the global random state is not touched.
    to_age
        From the network's output to ages in years, shape (B,); None takes the network's own ``age_years`` if it has
        one, else the mean of a point or Gaussian output.
    others
        What the network takes besides the image, each of shape (1, ...), for example the sex, (1, 2); it is held fixed,
        see :func:`agezoo.explain.conditioning.further_inputs`.
    progress
        Show a progress bar where the method takes long.

    Returns
    -------
    numpy.ndarray
        float32 of the image's spatial shape; channels are summed (magnitudes: after summing).

    Raises
    ------
    InputError
        For an unknown method or layer, no layer at all, a sign asked of a method that has none, or a shape that does
        not fit.
    MissingExtraError
        If captum is needed and not installed.
    """
    name = _OTHER_NAMES.get(method, method)
    if name not in METHODS:
        raise InputError("no such saliency method", found=method, expected=", ".join(METHODS))
    if signed and name not in SIGNED_METHODS:
        raise InputError(
            "the method has no sign",
            found=method,
            expected="signed=False, or one of " + ", ".join(sorted(SIGNED_METHODS)),
        )
    if layer is None:
        layer = method_layer(network.network if isinstance(network, AgeOutput) else first_member(network), name)
    layers = [layer] if layer is None or isinstance(layer, (str, nn.Module)) else list(layer)
    if not layers:
        raise InputError("no layer is named", source="layer", expected="one or more layers, or None for the network's")
    options = _Options(
        layer=layers[0],
        signed=name in SIGNED_BY_NATURE if signed is None else signed,
        body=None if body is None else _fitting(body, image),
        blank_value=blank_value,
        mask_outside_patient=mask_outside_patient,
        smoothing_sd_voxels=smoothing_sd_voxels,
        steps=steps,
        batch_size=_affordable_batch(image) if batch_size is None else batch_size,
        precision=precision,
        max_maps=max_maps,
        seed=seed,
        progress=progress,
    )
    if name in LAYER_METHODS and (isinstance(network, AgeEnsemble) or len(layers) > 1):
        # Masked as a whole: a member's largest value, by which its map is scaled, may lie beside the patient.
        apart = [replace(options, layer=one, mask_outside_patient=False) for one in layers]
        members = network.members if isinstance(network, AgeEnsemble) else [network]
        maps = [_one_map(name, as_age_output(net, to_age, others), image, each) for net in members for each in apart]
        return _scaled(_masked(np.mean(maps, axis=0), image, options), options)
    return _one_map(name, as_age_output(network, to_age, others), image, options)


def map_cells(
    network: nn.Module,
    image: torch.Tensor | np.ndarray,
    method: str,
    *,
    layer: str | nn.Module | None = None,
    others: Sequence[torch.Tensor] = (),
) -> tuple[float, ...] | None:
    """Edges in voxels of the cells that :func:`explain`'s map is made of; the parameters are the same.

    Class-activation maps have those of their layer, maps by gradients of the image itself have 1. None where a method
    works by windows.
    """
    name = _OTHER_NAMES.get(method, method)
    if name in _SCORE_CAM_METHODS or name in GRADIENT_CAMS:
        layer = method_layer(first_member(network), name) if layer is None else layer
        return cam_grid(network, image, layer, others=others).steps
    return None if name == "occlusion" else (1.0,) * (np.ndim(image) - 2)


def _affordable_batch(image: torch.Tensor | np.ndarray) -> int:
    return min(8, max(1, 8 * 224 * 224 // int(np.prod(image.shape))))


def _one_map(name: str, ages: AgeOutput, image: torch.Tensor | np.ndarray, options: _Options) -> np.ndarray:
    if name in _SCORE_CAM_METHODS:
        values = score_cam(
            ages,
            image,
            options.layer,
            weighting=_SCORE_CAM_METHODS[name],
            signed=options.signed,
            blank_value=options.blank_value,
            precision=options.precision,
            max_maps=options.max_maps,
            batch_size=options.batch_size,
            progress=options.progress,
        )
    elif name in GRADIENT_CAMS:
        values = gradient_cam(name, ages, image, options.layer)
        values = values if options.signed else _turned_to_positive(values)
    else:
        values = captum_map(
            name,
            ages,
            image,
            options.layer,
            blank_value=options.blank_value,
            steps=options.steps,
            batch_size=options.batch_size,
            seed=options.seed,
            to_age=None,
        )
        if not options.signed:
            values = _turned_to_positive(values) if CAPTUM_METHODS[name].needs_layer else np.abs(values)
    if options.smoothing_sd_voxels > 0:
        values = ndimage.gaussian_filter(values, options.smoothing_sd_voxels)
    return _scaled(_masked(values, image, options), options)


def _masked(values: np.ndarray, image: torch.Tensor | np.ndarray, options: _Options) -> np.ndarray:
    if not options.mask_outside_patient:
        return values
    if options.body is not None:
        return np.where(options.body, values, 0)
    return mask_background(
        values,
        _channels(image, values.ndim),
        background_value=_channels(options.blank_value, values.ndim),
    )


def _channels(image: float | torch.Tensor | np.ndarray, spatial_dims: int) -> np.ndarray:
    array = np.asarray(image.detach().cpu() if isinstance(image, torch.Tensor) else image)
    return array if array.ndim == 0 else array.reshape(-1, *array.shape[-spatial_dims:])


def _fitting(body: torch.Tensor | np.ndarray, image: torch.Tensor | np.ndarray) -> np.ndarray:
    inside = np.asarray(body.detach().cpu() if isinstance(body, torch.Tensor) else body, dtype=bool)
    if inside.shape != tuple(image.shape)[-inside.ndim :] or inside.ndim not in (
        np.ndim(image) - 1,
        np.ndim(image) - 2,
    ):
        raise InputError("body and image differ in shape", found=inside.shape, expected=tuple(image.shape))
    return inside


def _scaled(values: np.ndarray, options: _Options) -> np.ndarray:
    return scale_signed(values) if options.signed else scale_unsigned(values)


def _turned_to_positive(values: np.ndarray) -> np.ndarray:
    return -values if values.sum() < 0 else values

"""Affine and deformable registration of a body to a template by elastix, and what is carried along it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from agezoo.transforms.body.body_template import CoarseBody, contrast_of
from agezoo.transforms.brain.head_grid import blurred_to
from agezoo.transforms.brain.input_state import dice
from agezoo.transforms.brain.itk_images import image_of, load_itk
from agezoo.transforms.brain.registration import Warp, _set_clock, _stage, _warp

logger = logging.getLogger(__name__)

# The metric looks at the body and this much around it, where the skin ends.
RING_MM = 18.0
# Distance of the control points: organs move by themselves, but not every lobe of fat.
CONTROL_POINTS_MM = 48.0
AFFINE_ITERATIONS = 150
SPLINE_ITERATIONS = 200
SAMPLES = 4000
# Details that each stage looks at, coarse to fine.
_AFFINE_LEVELS_MM = (24.0, 12.0)
_SPLINE_LEVELS_MM = (24.0, 12.0, 6.0)
# Millimetres by which the start is moved aside, and elastix's longest step, one attempt after the other. By itself it
# takes the voxels' size, and larger voxels' larger steps lead it astray. It sets its steps by the slope that it finds;
# at the very optimum there is none, and it may run away. Steps of 6 mm did so for one phantom body in six; steps of
# 2 mm for none, with thin organs laid as well or better, and turns of 10 degrees were found with either.
_ATTEMPTS = ((0.0, 2.0), (12.0, 1.0))
# Room around the template's grid for a body that the start leaves beside it.
_MARGIN_MM = 60.0
# Lengths of a trunk in parts of the template's, and how far along the body it is looked for.
_LENGTHS = np.geomspace(0.82, 1.22, 13)
_SEARCH_MM = 260.0
_LEAST_COMMON_SHARE = 0.6


@dataclass(frozen=True, eq=False)
class BodyWarp:
    """Where the template's points lie in a patient.

    Attributes
    ----------
    warp
        elastix's part, from millimetres along the template's array to the same of the body laid near it.
    to_patient
        From there to the patient's RAS mm (4, 4).
    """

    warp: Warp
    to_patient: np.ndarray

    def points_mm(self, template: CoarseBody) -> np.ndarray:
        """The patient's RAS mm at every voxel of the template, float32 (3, X, Y, Z)."""
        near = self.warp.on_grid(template.shape, template.spacing_mm)
        turned = np.tensordot(self.to_patient[:3, :3], near, axes=1) + self.to_patient[:3, 3][:, None, None, None]
        return turned.astype(np.float32)

    def as_arrays(self) -> dict[str, np.ndarray]:
        """For ``numpy.savez``."""
        names = ("matrix", "offset_mm", "coefficients", "origin_mm", "spacing_mm")
        kept = {name: np.asarray(getattr(self.warp, name)) for name in names}
        # A micrometre is far below what a registration knows.
        kept["coefficients"] = kept["coefficients"].astype(np.float32)
        return {**kept, "to_patient": self.to_patient}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> BodyWarp:
        """Inverse of :meth:`as_arrays`."""
        parts = {name: np.asarray(arrays[name], dtype=float) for name in arrays if name != "to_patient"}
        return cls(Warp(**parts), np.asarray(arrays["to_patient"], dtype=float))


@dataclass(frozen=True)
class RegistrationQuality:
    """How well a body lies on the template.

    Attributes
    ----------
    correlation
        Pearson, of the contrast (see :attr:`CoarseBody.contrast`) inside the template's body.
    overlap
        Dice of the body masks where both fields of view reach.
    """

    correlation: float
    overlap: float


def register_body(body: CoarseBody, template: CoarseBody) -> BodyWarp:
    """Register a body to a template.

    The start comes from the bodies' outlines: profiles of area, width and water along the body give length and place
    along it, the outline's centre and width the rest. An affine and a B-spline stage follow on one image of water
    against fat by normalised correlation; a result that fits worse than the start is not taken. With the same input the
    result is the same on every machine, see :func:`agezoo.transforms.brain.itk_images.load_itk`.

    Parameters
    ----------
    body, template
        With voxels of one size.

    Raises
    ------
    MissingExtraError
        If itk-elastix is not installed.
    """
    start = starting_place(body, template)
    at_start = unmoved(body, start)
    least = registration_quality(body, template, at_start.points_mm(template)).correlation
    for aside_mm, step_mm in _ATTEMPTS:
        moved = start.copy()
        moved[:3, 3] += aside_mm
        try:
            warp = _placed(_registered(body, template, moved, step_mm), moved, body)
        except RuntimeError:
            # elastix gives up where too little of the two bodies lies on each other.
            logger.debug("elastix gave up", exc_info=True)
            continue
        if registration_quality(body, template, warp.points_mm(template)).correlation >= least:
            return warp
    return at_start


def _registered(body: CoarseBody, template: CoarseBody, start: np.ndarray, step_mm: float) -> Warp:
    """What elastix finds from a start."""
    itk = load_itk("Registration to a template of the body")
    spacing_mm = template.spacing_mm
    margin = int(np.ceil(_MARGIN_MM / spacing_mm))
    near, valid = _laid_near(body, start, template, margin)
    known = template.contrast if body.fat is not None else contrast_of(template.water, None, template.mask)
    region = ndimage.distance_transform_edt(~template.mask, sampling=spacing_mm) <= RING_MM
    fixed = image_of(known, spacing_mm)
    moving = image_of(near, spacing_mm, -margin * spacing_mm)
    parameters = itk.ParameterObject.New()
    parameters.AddParameterMap(_affine_stage(spacing_mm, step_mm))
    parameters.AddParameterMap(_spline_stage(spacing_mm, step_mm))
    elastix = itk.ElastixRegistrationMethod[type(fixed), type(moving)].New()
    elastix.SetFixedImage(fixed)
    elastix.SetMovingImage(moving)
    elastix.SetFixedMask(image_of(region.astype(np.uint8), spacing_mm))
    if not valid.all():
        elastix.SetMovingMask(image_of(valid.astype(np.uint8), spacing_mm, -margin * spacing_mm))
    elastix.SetParameterObject(parameters)
    _set_clock(elastix, moving)
    elastix.SetLogToConsole(False)
    elastix.SetNumberOfThreads(1)
    elastix.Update()
    return _warp(elastix.GetTransformParameterObject())


def _nothing() -> Warp:
    """The warp that moves nothing."""
    return Warp(np.eye(3), np.zeros(3), np.zeros((3, 4, 4, 4)), np.zeros(3), np.ones(3))


def _placed(warp: Warp, start: np.ndarray, body: CoarseBody) -> BodyWarp:
    to_index = np.diag([1 / body.spacing_mm] * 3 + [1.0])
    return BodyWarp(warp, body.affine @ to_index @ start)


def unmoved(body: CoarseBody, start: np.ndarray | None = None) -> BodyWarp:
    """The warp of a body that is the template itself, or that lies on it by a start (4, 4) alone."""
    return _placed(_nothing(), np.eye(4) if start is None else start, body)


def registration_quality(body: CoarseBody, template: CoarseBody, points_mm: np.ndarray) -> RegistrationQuality:
    """Judge a registration by :meth:`BodyWarp.points_mm`."""
    within = inside(body.shape, body.affine, points_mm)
    mask = carried(body.mask.astype(np.float32), body.affine, points_mm) > 0.5
    known = template.contrast if body.fat is not None else contrast_of(template.water, None, template.mask)
    compared = template.mask & within
    pair = carried(body.contrast, body.affine, points_mm)[compared].astype(float), known[compared].astype(float)
    varied = compared.any() and all(values.std() > 0 for values in pair)
    return RegistrationQuality(
        correlation=float(np.corrcoef(*pair)[0, 1]) if varied else 0.0,
        overlap=dice(mask[within], template.mask[within]) if mask[within].any() else 0.0,
    )


def carried(values: np.ndarray, affine: np.ndarray, points_mm: np.ndarray, *, order: int = 1) -> np.ndarray:
    """Values of a patient's volume at points (3, ...) in RAS mm; 0 outside. `order` 0 for labels.

    A volume whose voxels are finer than the points should be blurred before, see
    :func:`agezoo.transforms.brain.head_grid.blurred_to`.
    """
    return ndimage.map_coordinates(values, _index(affine, points_mm), order=order, mode="constant", prefilter=False)


def carried_map(values: np.ndarray, affine: np.ndarray, points_mm: np.ndarray, spacing_mm: float) -> np.ndarray:
    """A patient's map at the template's voxels, blurred to their size first; float32."""
    return carried(blurred_to(values, affine, spacing_mm), affine, points_mm)


def inside(shape: tuple[int, ...], affine: np.ndarray, points_mm: np.ndarray) -> np.ndarray:
    """Whether points (3, ...) in RAS mm lie within a volume's voxels."""
    index = _index(affine, points_mm)
    last = np.asarray(shape, dtype=np.float32).reshape(3, *[1] * (index.ndim - 1)) - 1
    return np.asarray(((index >= -0.5) & (index <= last + 0.5)).all(axis=0))


def starting_place(body: CoarseBody, template: CoarseBody) -> np.ndarray:
    """Affine (4, 4) from millimetres along the template's array to millimetres along the body's, without rotation."""
    scale_z, shift_z = _along_the_body(_profiles(body), _profiles(template), template.spacing_mm)
    z_template = np.arange(template.shape[2]) * template.spacing_mm
    z_body = scale_z * z_template + shift_z
    own = np.rint(z_body / body.spacing_mm).astype(int)
    common: np.ndarray = np.asarray((own >= 0) & (own < body.shape[2]))
    common[common] &= np.asarray(body.mask.any(axis=(0, 1)))[own[common]]
    common &= np.asarray(template.mask.any(axis=(0, 1)))
    start = np.diag([1.0, 1.0, scale_z, 1.0])
    start[2, 3] = shift_z
    if not common.any():
        return start
    for axis in range(2):
        centre, width = _outline(template.mask[..., common], axis, template.spacing_mm)
        own_centre, own_width = _outline(body.mask[..., own[common]], axis, body.spacing_mm)
        scale = own_width / width if width > 0 and own_width > 0 else 1.0
        start[axis, axis], start[axis, 3] = scale, own_centre - scale * centre
    return start


def _along_the_body(body: np.ndarray, template: np.ndarray, spacing_mm: float) -> tuple[float, float]:
    """Length in parts of the template's and shift in mm at which the profiles (kinds, Z) agree most."""
    z_template = np.arange(template.shape[1]) * spacing_mm
    z_body = np.arange(body.shape[1]) * spacing_mm
    middle_template, middle_body = z_template.mean(), z_body.mean()
    best, found = -np.inf, (1.0, middle_body - middle_template)
    least = _LEAST_COMMON_SHARE * min(len(z_template), len(z_body))
    n_steps = int(_SEARCH_MM / (2 * spacing_mm))
    for scale in _LENGTHS:
        for step in range(-n_steps, n_steps + 1):
            shift = middle_body - scale * middle_template + step * 2 * spacing_mm
            z = scale * z_template + shift
            common = (z >= 0) & (z <= z_body[-1])
            if common.sum() < max(least, 3):
                continue
            pairs = [(np.interp(z[common], z_body, own), one[common]) for own, one in zip(body, template, strict=True)]
            agreements = [np.corrcoef(pair)[0, 1] for pair in pairs if all(values.std() > 0 for values in pair)]
            # Of two lengths that agree as well, the one nearer to the template's.
            score = (np.mean(agreements) if agreements else -1.0) - 0.2 * abs(np.log(scale))
            if score > best:
                best, found = score, (float(scale), float(shift))
    return found


def _profiles(body: CoarseBody) -> np.ndarray:
    """Area, width from left to right, and watery share of every axial slice, (3, Z)."""
    area = body.mask.sum(axis=(0, 1)).astype(float)
    width = body.mask.any(axis=1).sum(axis=0).astype(float)
    watery = (body.water > 0.5) & body.mask
    return np.stack([area, width, watery.sum(axis=(0, 1)) / np.maximum(area, 1)])


def _outline(mask: np.ndarray, axis: int, spacing_mm: float) -> tuple[float, float]:
    """Centre and SD of a body's voxels along one axis, in mm."""
    counts = mask.sum(axis=tuple(other for other in range(3) if other != axis)).astype(float)
    place = np.arange(len(counts)) * spacing_mm
    centre = float((counts * place).sum() / counts.sum())
    return centre, float(np.sqrt((counts * (place - centre) ** 2).sum() / counts.sum()))


def _laid_near(body: CoarseBody, start: np.ndarray, template: CoarseBody, margin: int) -> tuple[np.ndarray, np.ndarray]:
    """The body's contrast on the template's grid with `margin` voxels more on each side, and where it is known."""
    shape = tuple(size + 2 * margin for size in template.shape)
    to_mm = np.diag([template.spacing_mm] * 3 + [1.0])
    to_mm[:3, 3] = -margin * template.spacing_mm
    to_index = np.diag([1 / body.spacing_mm] * 3 + [1.0]) @ start @ to_mm
    near = ndimage.affine_transform(body.contrast, to_index[:3, :3], to_index[:3, 3], shape, order=1)
    ones = np.ones(body.shape, dtype=np.float32)
    valid = ndimage.affine_transform(ones, to_index[:3, :3], to_index[:3, 3], shape, order=1) > 0.5
    # Beside the body there is nothing but air; only above and below it the scan does not know.
    known = valid.any(axis=(0, 1))
    return near, np.broadcast_to(known, shape).copy()


def _index(affine: np.ndarray, points_mm: np.ndarray) -> np.ndarray:
    inverse = np.linalg.inv(affine).astype(np.float32)
    shift: Any = inverse[:3, 3].reshape(3, *[1] * (points_mm.ndim - 1))
    result: np.ndarray = np.tensordot(inverse[:3, :3], points_mm, axes=1) + shift
    return result


def _affine_stage(spacing_mm: float, step_mm: float) -> dict[str, list[str]]:
    return _stage(
        "AffineTransform",
        **_pyramid(_AFFINE_LEVELS_MM, spacing_mm),
        MaximumNumberOfIterations=[str(AFFINE_ITERATIONS)],
        NumberOfSpatialSamples=[str(SAMPLES)],
        MaximumStepLength=[str(step_mm)],
    )


def _spline_stage(spacing_mm: float, step_mm: float) -> dict[str, list[str]]:
    coarsening = np.repeat(np.asarray(_SPLINE_LEVELS_MM) / _SPLINE_LEVELS_MM[-1], 3) ** 0.7
    return _stage(
        "BSplineTransform",
        **_pyramid(_SPLINE_LEVELS_MM, spacing_mm),
        MaximumNumberOfIterations=[str(SPLINE_ITERATIONS)],
        FinalGridSpacingInPhysicalUnits=[str(CONTROL_POINTS_MM)] * 3,
        GridSpacingSchedule=[f"{factor:.3f}" for factor in coarsening],
        NumberOfSpatialSamples=[str(SAMPLES)],
        MaximumStepLength=[str(step_mm)],
    )


def _pyramid(levels_mm: tuple[float, ...], spacing_mm: float) -> dict[str, list[str]]:
    """Levels of elastix's image pyramid by the size of their details, whatever the voxels' size is."""
    factors = [max(1, round(level / spacing_mm)) for level in levels_mm]
    return {
        "NumberOfResolutions": [str(len(levels_mm))],
        "ImagePyramidSchedule": [str(factor) for factor in factors for _ in range(3)],
    }

"""Affine and deformable registration of a head to the template by elastix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from agezoo.transforms.brain.itk_images import image_of, load_itk
from agezoo.transforms.brain.template import Template

# The metric looks at the brain and this much around it, where the template is as dark as fluid and skull.
RING_MM = 4.0
# Distance of the control points: wide enough to keep the widths of sulci and ventricles, which tell age.
CONTROL_POINTS_MM = 25.0
AFFINE_ITERATIONS = 100
SPLINE_ITERATIONS = 150
SAMPLES = 3000
SEED = 121212
# The field is computed on every second voxel of the grid and interpolated, far below its own scale.
_FIELD_STEP = 2


@dataclass(frozen=True, eq=False)
class Warp:
    """A map from the template's voxels (in mm along the axes of its array) to the same world of the moving image.

    Parameters
    ----------
    matrix, offset_mm
        The affine part: x -> matrix @ x + offset_mm.
    coefficients
        (3, n0, n1, n2) cubic B-spline coefficients of the displacement in mm, added after the affine part.
    origin_mm, spacing_mm
        First control point and distance of the control points, (3,) each.
    """

    matrix: np.ndarray
    offset_mm: np.ndarray
    coefficients: np.ndarray
    origin_mm: np.ndarray
    spacing_mm: np.ndarray

    def __call__(self, points_mm: np.ndarray) -> np.ndarray:
        """Map points (3, ...)."""
        shape = points_mm.shape
        points = self.matrix @ points_mm.reshape(3, -1) + self.offset_mm[:, None]
        index = (points - self.origin_mm[:, None]) / self.spacing_mm[:, None]
        moved = [
            point + ndimage.map_coordinates(axis, index, order=3, prefilter=False, mode="constant")
            for point, axis in zip(points, self.coefficients, strict=True)
        ]
        return np.stack(moved).reshape(shape)

    def on_grid(self, shape: tuple[int, ...], spacing_mm: float) -> np.ndarray:
        """Where each voxel of the template's grid goes, (3, X, Y, Z) in mm, float32."""
        coarse_shape = [size // _FIELD_STEP + 2 for size in shape]
        coarse = self(np.indices(coarse_shape) * float(spacing_mm * _FIELD_STEP))
        return np.stack(
            [
                ndimage.affine_transform(
                    axis.astype(np.float32), np.full(3, 1 / _FIELD_STEP), output_shape=shape, order=1
                )
                for axis in coarse
            ]
        )


def register(moving: np.ndarray, margin: int, brain: Template, *, valid: np.ndarray | None = None) -> Warp:
    """Register a head to the template.

    Parameters
    ----------
    moving
        Head already moved near the template (X, Y, Z): on the template's grid with `margin` voxels more on each side.
    margin
        Voxels.
    brain
        The template; its mask, a little widened, is where the images are compared.
    valid
        bool like `moving`: False where the scan's field of view ends. None if it covers everything.
    """
    itk = load_itk("Registration to MNI152")
    spacing_mm = brain.spacing_mm
    fixed = image_of(brain.t1, spacing_mm)
    region = ndimage.distance_transform_edt(~brain.mask, sampling=spacing_mm) <= RING_MM
    head = image_of(moving.astype(np.float32), spacing_mm, -margin * spacing_mm)
    parameters = itk.ParameterObject.New()
    parameters.AddParameterMap(_affine_stage())
    parameters.AddParameterMap(_spline_stage())
    elastix = itk.ElastixRegistrationMethod[type(fixed), type(head)].New()
    elastix.SetFixedImage(fixed)
    elastix.SetMovingImage(head)
    elastix.SetFixedMask(image_of(region.astype(np.uint8), spacing_mm))
    if valid is not None and not valid.all():
        elastix.SetMovingMask(image_of(valid.astype(np.uint8), spacing_mm, -margin * spacing_mm))
    elastix.SetParameterObject(parameters)
    _set_clock(elastix, head)
    elastix.SetLogToConsole(False)
    elastix.SetNumberOfThreads(1)
    elastix.Update()
    return _warp(elastix.GetTransformParameterObject())


def _set_clock(elastix: Any, image: Any) -> None:
    """Bring elastix's count of changes past that of ITK's other libraries.

    The elastix wheel counts on its own. Images made after other filters have run look forever changed to it, and it
    smooths them anew in every iteration, which takes twenty times as long.
    """
    while elastix.GetMTime() <= image.GetMTime():
        elastix.Modified()


def _affine_stage() -> dict[str, list[str]]:
    return _stage(
        "AffineTransform",
        NumberOfResolutions=["2"],
        ImagePyramidSchedule=["4"] * 3 + ["2"] * 3,
        MaximumNumberOfIterations=[str(AFFINE_ITERATIONS)],
    )


def _spline_stage() -> dict[str, list[str]]:
    return _stage(
        "BSplineTransform",
        NumberOfResolutions=["2"],
        ImagePyramidSchedule=["4"] * 3 + ["2"] * 3,
        MaximumNumberOfIterations=[str(SPLINE_ITERATIONS)],
        FinalGridSpacingInPhysicalUnits=[str(CONTROL_POINTS_MM)] * 3,
        GridSpacingSchedule=["1.6"] * 3 + ["1.0"] * 3,
    )


def _stage(transform: str, **more: list[str]) -> dict[str, list[str]]:
    return {
        "FixedInternalImagePixelType": ["float"],
        "MovingInternalImagePixelType": ["float"],
        "FixedImageDimension": ["3"],
        "MovingImageDimension": ["3"],
        "UseDirectionCosines": ["true"],
        "Registration": ["MultiResolutionRegistration"],
        "FixedImagePyramid": ["FixedSmoothingImagePyramid"],
        "MovingImagePyramid": ["MovingSmoothingImagePyramid"],
        "Interpolator": ["LinearInterpolator"],
        "ResampleInterpolator": ["FinalLinearInterpolator"],
        "Resampler": ["DefaultResampler"],
        "WriteResultImage": ["false"],
        "Transform": [transform],
        "HowToCombineTransforms": ["Compose"],
        "AutomaticTransformInitialization": ["false"],
        "AutomaticScalesEstimation": ["true"],
        "Metric": ["AdvancedNormalizedCorrelation"],
        "ErodeMask": ["false"],
        "ImageSampler": ["RandomCoordinate"],
        "NumberOfSpatialSamples": [str(SAMPLES)],
        "NewSamplesEveryIteration": ["true"],
        "MaximumNumberOfSamplingAttempts": ["8"],
        "RequiredRatioOfValidSamples": ["0.05"],
        "RandomSeed": [str(SEED)],
        "Optimizer": ["AdaptiveStochasticGradientDescent"],
        # Estimates the step size from the displacements it causes: many times quicker for splines.
        "ASGDParameterEstimationMethod": ["DisplacementDistribution"],
        **more,
    }


def _warp(result: Any) -> Warp:
    affine, spline = (dict(result.GetParameterMap(stage)) for stage in range(2))
    numbers = np.array(affine["TransformParameters"], dtype=float)
    matrix, shift = numbers[:9].reshape(3, 3), numbers[9:]
    centre = np.array(affine["CenterOfRotationPoint"], dtype=float)
    size = [int(n) for n in spline["GridSize"]]
    # elastix lists the first axis fastest.
    coefficients = np.array(spline["TransformParameters"], dtype=float).reshape(3, *size[::-1]).transpose(0, 3, 2, 1)
    return Warp(
        matrix,
        shift + centre - matrix @ centre,
        np.ascontiguousarray(coefficients),
        np.array(spline["GridOrigin"], dtype=float),
        np.array(spline["GridSpacing"], dtype=float),
    )

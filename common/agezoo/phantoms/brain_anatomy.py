"""The brain that every brain phantom is made from: the MNI152 template, its tissues and the regions that age."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from agezoo.errors import MissingExtraError

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

UNCHANGED, CEREBRUM, VENTRICLE, HIPPOCAMPUS_LEFT, HIPPOCAMPUS_RIGHT, DEEP_GREY = range(6)
"""Values of :attr:`BrainAnatomy.region`."""

DETAIL_SCALE = 200.0
"""Stored detail = 128 + this x (the template's intensity that its tissues do not explain)."""
DISTANCE_SCALE = 8.0
"""Stored distance = 128 + this x (mm outside the template's brain)."""

# The hippocampus of either side as a chain of spheres in MNI coordinates (mm; x as for the right side): centre, radius.
_HIPPOCAMPUS_MM = (
    ((24.0, -11.0, -21.0), 6.5),
    ((27.0, -16.0, -19.0), 6.2),
    ((29.0, -25.0, -13.0), 5.5),
    ((27.0, -33.0, -6.0), 5.0),
    ((22.0, -37.0, 0.0), 4.0),
)


@dataclass(frozen=True)
class BrainAnatomy:
    """The template at 1 mm as bytes, cropped to the brain with a margin.

    Attributes
    ----------
    grey, white
        Tissue fractions, 255 = all.
    detail
        What the tissues do not explain of the template's intensity; see :data:`DETAIL_SCALE`.
    distance
        Distance from the brain's surface, negative inside; see :data:`DISTANCE_SCALE`.
    near_ventricle
        255 at the lateral ventricles' wall, falling off over some 10 mm; largest at the horns' caps.
    region
        What a voxel belongs to; the ventricles' and hippocampi's values extend a little beyond them, so that they hold
        also where the tissue fractions are mixed.
    origin_mm
        RAS+ position of voxel (0, 0, 0) in MNI space; the axes run right, anterior, superior.
    """

    grey: Bytes
    white: Bytes
    detail: Bytes
    distance: Bytes
    near_ventricle: Bytes
    region: Bytes
    origin_mm: tuple[float, float, float]

    def pull(self, volume: Bytes, points: Floats, *, order: int = 1, outside: int = 0) -> Floats:
        """Values of one of the volumes at MNI positions (3, ...) in mm."""
        out: Floats = ndimage.map_coordinates(
            volume, points, output=np.float32, order=order, mode="constant", cval=outside
        )
        return out

    def index(self, points_mm: Floats) -> Floats:
        """Voxel coordinates of MNI positions (3, ...)."""
        origin = np.asarray(self.origin_mm, np.float32).reshape(3, *[1] * (points_mm.ndim - 1))
        return points_mm - origin


@lru_cache(maxsize=1)
def brain_anatomy() -> BrainAnatomy:
    """The template that nilearn's wheel carries (ICBM 152 nonlinear symmetric 2009a), made ready once per process.

    Raises
    ------
    MissingExtraError
        nilearn is not installed.
    """
    try:
        from nilearn import datasets
    except ImportError as error:
        raise MissingExtraError("nilearn", "brain", "the brain phantom") from error
    template = datasets.load_mni152_template(resolution=1)
    x_min, y_min, z_min = (int(value) for value in template.affine[:3, 3])
    low, high = np.array([-84, -120, -72]), np.array([84, 88, 88])
    crop = tuple(slice(a - b, c + 1 - b) for a, b, c in zip(low, (x_min, y_min, z_min), high, strict=True))
    t1 = np.asarray(template.dataobj, np.float32)[crop]
    grey = np.asarray(datasets.load_mni152_gm_template(resolution=1).dataobj, np.float32)[crop]
    white = np.asarray(datasets.load_mni152_wm_template(resolution=1).dataobj, np.float32)[crop]
    mask = ndimage.binary_fill_holes(ndimage.binary_closing(t1 > 0, iterations=3))
    fluid = np.clip(mask - grey - white, 0.0, 1.0).astype(np.float32)
    outside_mm = ndimage.distance_transform_edt(~mask)
    distance_mm = np.where(mask, 0.5 - ndimage.distance_transform_edt(mask), outside_mm - 0.5).astype(np.float32)
    axes = [np.arange(a, c + 1, dtype=np.float32) for a, c in zip(low, high, strict=True)]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    ventricles = _ventricles(fluid, x, y, z)
    return BrainAnatomy(
        grey=_bytes(grey * 255),
        white=_bytes(white * 255),
        detail=_bytes(128 + DETAIL_SCALE * _detail(t1, grey, white, fluid, distance_mm)),
        distance=_bytes(128 + DISTANCE_SCALE * distance_mm),
        near_ventricle=_bytes(255 * _near_ventricle(ventricles, x, y)),
        region=_regions(mask, ventricles, grey, white, x, y, z),
        origin_mm=(float(low[0]), float(low[1]), float(low[2])),
    )


def _bytes(values: Floats) -> Bytes:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _detail(t1: Floats, grey: Floats, white: Floats, fluid: Floats, distance_mm: Floats) -> Floats:
    """Left-over of the template's intensity after its tissues; none at the surface, where the template is cut off."""
    inside = distance_mm < 0
    tissues = np.stack([grey[inside], white[inside], fluid[inside]])
    # Normal equations by hand: their result does not depend on the number of threads.
    moments = np.array([[float((a * b).sum(dtype=np.float64)) for b in tissues] for a in tissues])
    right = np.array([float((a * t1[inside]).sum(dtype=np.float64)) for a in tissues])
    weights = np.linalg.solve(moments, right)
    fitted = weights[0] * grey + weights[1] * white + weights[2] * fluid
    shown: Floats = np.clip((-0.5 - distance_mm) / 2.0, 0.0, 1.0) * (t1 - fitted)
    return shown


def _ventricles(fluid: Floats, x: Floats, y: Floats, z: Floats) -> NDArray[np.bool_]:
    """Lateral ventricles with the third: the fluid that hangs together between the frontal lobes."""
    found = (fluid > 0.5) & (np.abs(x) < 42) & (y > -75) & (y < 40) & (z > -22) & (z < 34)
    parts, count = ndimage.label(found)
    bodies = (np.abs(x) < 20) & (np.abs(y - 10) < 18) & (np.abs(z - 14) < 8)
    largest = 1 + int(np.argmax(np.bincount(parts[np.broadcast_to(bodies, parts.shape)], minlength=count + 1)[1:]))
    joined: NDArray[np.bool_] = parts == largest
    return joined


def _near_ventricle(ventricles: NDArray[np.bool_], x: Floats, y: Floats) -> Floats:
    lateral = ventricles & (np.abs(x) > 3)
    # Nothing is near beyond some 24 mm; the distance is computed in that box alone.
    box = tuple(
        slice(max(0, part.start - 24), part.stop + 24) for part in ndimage.find_objects(lateral.astype(np.uint8))[0]
    )
    near = np.zeros(lateral.shape, np.float32)
    near[box] = np.exp(-((ndimage.distance_transform_edt(~lateral[box]) / 7.0) ** 2))
    horns = np.exp(-(((y - 28) / 16) ** 2)) + np.exp(-(((y + 52) / 18) ** 2))
    near *= (0.45 + 0.55 * np.minimum(horns, 1.0)).astype(np.float32)
    return near


def _regions(
    mask: NDArray[np.bool_],
    ventricles: NDArray[np.bool_],
    grey: Floats,
    white: Floats,
    x: Floats,
    y: Floats,
    z: Floats,
) -> Bytes:
    across = np.abs(x)
    # The tentorium as a roof that falls to the sides, the back and the front; below it lies what does not age here.
    tentorium = -1.0 - 0.6 * np.minimum(across, 38) - 0.35 * np.maximum(0, -60 - y) - 0.3 * np.maximum(0, y + 50)
    below = ((y < -30) & (z < tentorium)) | ((y < -38) & (z < -30)) | ((across < 30) & (y < -30) & (z < -35))
    stem = (across < 16) & (y > -48) & (y < -8) & (z < -8)
    deep = (x / 34) ** 2 + ((y + 3) / 30) ** 2 + ((z - 6) / 20) ** 2 < 1
    region = np.full(mask.shape, CEREBRUM, np.uint8)
    region[np.broadcast_to(deep, mask.shape)] = DEEP_GREY
    region[np.broadcast_to(below | stem, mask.shape)] = UNCHANGED
    spheres = _chain(x, y, z)
    # The side of the chain's left is that of negative x (RAS+).
    left = np.broadcast_to(x < 0, mask.shape)
    region[spheres & left] = HIPPOCAMPUS_LEFT
    region[spheres & ~left] = HIPPOCAMPUS_RIGHT
    # White matter stops the reach of the ventricles' value; two voxels cover the mixed rim.
    region[ndimage.binary_dilation(ventricles, iterations=3)] = VENTRICLE
    return region


def _chain(x: Floats, y: Floats, z: Floats) -> NDArray[np.bool_]:
    inside = np.zeros(np.broadcast_shapes(x.shape, y.shape, z.shape), bool)
    at_y, at_z = (y > -50) & (y < 0), (z > -35) & (z < 15)
    rows, columns = np.flatnonzero(at_y.ravel()), np.flatnonzero(at_z.ravel())
    box = (slice(None), slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    near_y, near_z = y[:, box[1]], z[:, :, box[2]]
    for (a, radius_a), (b, radius_b) in pairwise(_HIPPOCAMPUS_MM):
        for share in np.linspace(0.0, 1.0, 8):
            cx, cy, cz = ((1 - share) * p + share * q for p, q in zip(a, b, strict=True))
            radius = (1 - share) * radius_a + share * radius_b
            inside[box] |= (np.abs(x) - cx) ** 2 + (near_y - cy) ** 2 + (near_z - cz) ** 2 < radius**2
    return inside

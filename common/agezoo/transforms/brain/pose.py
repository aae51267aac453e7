"""Where the brain lies in a head: a search over all places and many attitudes that needs no starting point."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage, optimize
from scipy.spatial.transform import Rotation

from agezoo.transforms.brain.head_grid import blurred_to, sampled
from agezoo.transforms.brain.template import template

SEARCH_MM = 10.0
REFINE_MM = 6.0
# Ring around the brain that belongs to the pattern: fluid and skull are dark there, and so is the template.
RING_MM = 8.0
# Attitudes in degrees about the axes right, front and head (nodding, leaning, turning), and sizes of the brain in
# parts of the template's, which is larger than most.
PITCH, ROLL, YAW = (-40.0, -20.0, 0.0, 20.0, 40.0), (-20.0, 0.0, 20.0), (-20.0, 0.0, 20.0)
SCALES = (0.86, 0.96)
# A head that its header places the right way up finds the pattern better than this; else all attitudes are tried.
LIKENESS_OF_A_HEAD = 0.5


@dataclass(frozen=True, eq=False)
class Pose:
    """How the template must be moved to lie on the brain.

    Parameters
    ----------
    matrix
        Template's RAS mm to the scan's RAS mm (4, 4): rotation, one scale, translation.
    likeness
        Correlation of the template with the scan inside the brain and the ring around it.
    turned
        True if the orientation in the scan's header does not fit and another one does.
    """

    matrix: np.ndarray
    likeness: float
    turned: bool = False


def find_pose(voxels: np.ndarray, affine: np.ndarray) -> Pose:
    """Find the brain in a scan.

    The template is laid over the scan in every place (by Fourier correlation) and a set of attitudes and sizes; the
    best fit is refined by a local search. Neck, an off-centre scan and a nodding head do not mislead it, since only
    the surroundings of the brain are compared.

    Parameters
    ----------
    voxels
        Scan (X, Y, Z), blurred to voxels of 2 to 3 mm.
    affine
        Its voxel index to RAS mm (4, 4).
    """
    search = _Search(voxels, affine)
    found = search.best(_upright())
    turned = False
    if found.likeness < LIKENESS_OF_A_HEAD:
        other = search.best(_any_way_up())
        # A header is believed unless another attitude fits clearly better.
        if other.likeness > found.likeness + 0.1:
            found, turned = other, True
    refined = _refine(voxels, affine, found.matrix)
    return Pose(refined.matrix, refined.likeness, turned)


def _upright() -> list[np.ndarray]:
    return [
        Rotation.from_euler("xyz", (pitch, roll, yaw), degrees=True).as_matrix() * scale
        for pitch, roll, yaw, scale in itertools.product(PITCH, ROLL, YAW, SCALES)
    ]


def _any_way_up() -> list[np.ndarray]:
    nods = [Rotation.from_euler("x", pitch, degrees=True).as_matrix() for pitch in (-25.0, 0.0, 25.0)]
    quarters = Rotation.create_group("O").as_matrix()
    return [quarter @ nod * scale for quarter, nod, scale in itertools.product(quarters, nods, SCALES)]


class _Search:
    """Masked normalised cross-correlation of the turned template with one scan, over all translations."""

    def __init__(self, voxels: np.ndarray, affine: np.ndarray) -> None:
        from agezoo.transforms.brain.head_grid import world_grid

        self.affine, shape = world_grid(voxels.shape, affine, SEARCH_MM)
        coarse = _tamed(sampled(blurred_to(voxels, affine, SEARCH_MM), affine, self.affine, shape))
        self.pattern, self.weight, self.pattern_affine = _pattern(SEARCH_MM)
        # Half a diagonal of the template: the box that holds it in every attitude.
        self.box = 2 * int(np.ceil(0.55 * np.linalg.norm(self.pattern.shape))) + 1
        self.full = [fft.next_fast_len(size + self.box, real=True) for size in shape]
        self.valid = [size + self.box - 1 for size in shape]
        self.image = fft.rfftn(coarse, self.full)
        self.squared = fft.rfftn(coarse**2, self.full)

    def best(self, matrices: Iterable[np.ndarray]) -> Pose:
        poses = [self._best_place(matrix) for matrix in matrices]
        return max(poses, key=lambda pose: pose.likeness)

    def _best_place(self, matrix: np.ndarray) -> Pose:
        pattern, weight, centre = self._turned(matrix)
        total = weight.sum()
        pattern = np.where(weight > 0, pattern - (weight * pattern).sum() / total, 0) * weight
        spread = np.sqrt((pattern**2).sum())
        # Correlation is convolution with the mirrored pattern.
        of_pattern, of_weight = (fft.rfftn(array[::-1, ::-1, ::-1], self.full) for array in (pattern, weight))
        match, sums, squares = (
            fft.irfftn(product, self.full)[tuple(slice(0, n) for n in self.valid)]
            for product in (self.image * of_pattern, self.image * of_weight, self.squared * of_weight)
        )
        variance = squares - sums**2 / total
        # Places that the brain covers only by a corner have no say.
        likely = variance > 0.05 * variance.max()
        likeness = np.where(likely, match / (spread * np.sqrt(np.where(likely, variance, 1))), -1)
        place = np.unravel_index(int(np.argmax(likeness)), likeness.shape)
        # The box's first voxel lies at this index of the scan's coarse grid.
        index = np.array(place) - (self.box - 1) + (self.box - 1) / 2
        result = np.eye(4)
        result[:3, :3] = matrix
        result[:3, 3] = self.affine[:3, :3] @ index + self.affine[:3, 3] - matrix @ centre
        return Pose(result, float(likeness[place]))

    def _turned(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Template and weight in a cube of the scan's coarse voxels, and the template's point at its middle."""
        middle = (np.array(self.pattern.shape) - 1) / 2
        centre = self.pattern_affine[:3, :3] @ middle + self.pattern_affine[:3, 3]
        to_template = np.linalg.inv(matrix) @ self.affine[:3, :3]
        to_index = np.linalg.inv(self.pattern_affine[:3, :3]) @ to_template
        offset = middle - to_index @ np.full(3, (self.box - 1) / 2)
        pattern, weight = (
            ndimage.affine_transform(array, to_index, offset, (self.box,) * 3, order=1)
            for array in (self.pattern, self.weight)
        )
        return pattern, np.where(weight > 0.5, np.float32(1), np.float32(0)), centre


def _refine(voxels: np.ndarray, affine: np.ndarray, start: np.ndarray) -> Pose:
    """Climb to the best rotation, translation and scale near `start`."""
    pattern, weight, pattern_affine = _pattern(REFINE_MM)
    image = _tamed(blurred_to(voxels, affine, REFINE_MM))
    inside = weight > 0.5
    indices = np.argwhere(inside).T
    points = pattern_affine[:3, :3] @ indices + pattern_affine[:3, 3:]
    middle = points.mean(axis=1, keepdims=True)
    wanted = pattern[inside] - pattern[inside].mean()
    wanted /= np.linalg.norm(wanted)
    to_index = np.linalg.inv(affine)

    def matrix_of(step: np.ndarray) -> np.ndarray:
        turn = np.eye(4)
        turn[:3, :3] = Rotation.from_rotvec(step[:3] / 10).as_matrix() * np.exp(step[6] / 10)
        turn[:3, 3] = (middle - turn[:3, :3] @ middle)[:, 0] + step[3:6] * 10
        return start @ turn

    def unlikeness(step: np.ndarray) -> float:
        matrix = to_index @ matrix_of(step)
        values = ndimage.map_coordinates(image, matrix[:3, :3] @ points + matrix[:3, 3:], order=1)
        values = values - values.mean()
        norm = np.linalg.norm(values)
        return -float(values @ wanted) / float(norm) if norm > 0 else 0.0

    found = optimize.minimize(
        unlikeness, np.zeros(7), method="Powell", options={"xtol": 0.02, "ftol": 1e-4, "maxfev": 600}
    )
    return Pose(matrix_of(found.x), -float(found.fun))


def _pattern(spacing_mm: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The template, 1 in the brain and its ring (0 outside), and the affine, with a margin for the ring."""
    brain = template(spacing_mm)
    margin = int(np.ceil(RING_MM / spacing_mm)) + 1
    t1, mask = (np.pad(array.astype(np.float32), margin) for array in (brain.t1, brain.mask))
    affine = brain.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ np.full(3, margin)
    distance_mm = ndimage.distance_transform_edt(mask < 0.5, sampling=spacing_mm)
    return t1, (distance_mm <= RING_MM).astype(np.float32), affine


def _tamed(image: np.ndarray) -> np.ndarray:
    """Air at 0, and fat no brighter than white matter."""
    low, high = np.percentile(image, (1, 99))
    tissue = image[image > low + 0.15 * (high - low)]
    bright = np.percentile(tissue, 90) if tissue.size else high
    return np.clip((image - low) / max(float(bright - low), 1e-12), 0, 1).astype(np.float32)

"""How a T1 scanner shows a head: contrast, bias field, noise, resolution, pose and storage, drawn per scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from agezoo.phantoms.brain_splines import smooth_noise

Floats = NDArray[np.float32]

_GRIDS_MM = {
    "site_a": ((1.0, 1.0), (0.9, 1.2), (0.7, 2.0), (1.2, 1.2), (1.3, 1.3)),
    "site_b": ((1.0, 1.5), (1.5, 1.5), (1.0, 3.0), (1.2, 2.0)),
}
"""Voxel size within the slices, and the slices' thickness."""

_QUICK_GRIDS_MM = ((2.0, 2.5), (2.5, 2.5), (2.0, 3.0))
_ORIENTATIONS = ("RAS", "LAS", "LPS", "PSR", "ASR", "LIA")


@dataclass(frozen=True)
class BrainScanSettings:
    """How one scan is taken and stored.

    Attributes
    ----------
    session
        ``"ses-1"`` or ``"ses-2"``.
    site
        ``"site_a"`` or ``"site_b"``.
    fluid, grey
        Brightness of fluid and grey matter as shares of white matter's.
    noise
        SD of the noise in either channel, as a share of white matter's brightness.
    bias
        Depth of the bias field: SD of its logarithm over the head.
    white_stored
        Stored value of white matter.
    voxel_mm
        Voxel size along the head's right-left, posterior-anterior and inferior-superior axes.
    orientation
        Directions of the stored axes, as in nibabel.
    rotation_deg, shift_mm
        Pose of the head: about the right-left, posterior-anterior and inferior-superior axes, and along them.
    oblique_deg
        How the scan's axes are turned against the scanner's.
    field_of_view_mm, centre_mm
        Extent of the scan along its axes before they are put in their stored order, and its middle.
    quick
        Coarse.
    seed
        Of noise and bias field.
    """

    session: str
    site: str
    fluid: float
    grey: float
    noise: float
    bias: float
    white_stored: float
    voxel_mm: tuple[float, float, float]
    orientation: str
    rotation_deg: tuple[float, float, float]
    shift_mm: tuple[float, float, float]
    oblique_deg: tuple[float, float, float]
    field_of_view_mm: tuple[float, float, float]
    centre_mm: tuple[float, float, float]
    quick: bool
    seed: tuple[int, ...]


def draw_settings(rng: np.random.Generator, *, session: str, site: str, quick: bool) -> BrainScanSettings:
    """Draw how a scan is taken.

    ``site_a`` has one newer scanner: finer voxels, more contrast, little noise. ``site_b`` has an older one, with
    flatter contrast, more noise, a deeper bias field and often thick slices.
    """
    a = site == "site_a"
    fluid = float(np.clip(rng.normal(0.17 if a else 0.22, 0.015), 0.1, 0.3))
    grey = float(np.clip(rng.normal(0.66 if a else 0.715, 0.012), 0.55, 0.8))
    grids = _QUICK_GRIDS_MM if quick else _GRIDS_MM[site]
    in_plane, slices = grids[int(rng.integers(len(grids)))]
    # Sagittal slices are the usual ones, then axial, then coronal.
    through = int(rng.choice(3, p=[0.6, 0.1, 0.3]))
    voxel_mm = [slices if axis == through else in_plane for axis in range(3)]
    turn = np.clip(rng.normal(0.0, (5.0, 3.0, 4.0)), -10.0, 10.0)
    shift = np.clip(rng.normal(0.0, (4.0, 7.0, 7.0)), -15.0, 15.0)
    tilted = rng.random() < 0.3
    oblique = rng.normal(0.0, (6.0, 1.5, 1.5)) * tilted
    extent = rng.uniform((178.0, 232.0, 215.0), (194.0, 250.0, 245.0))
    # The technologist sets the upper edge a little above the vertex, and lets the neck end where it may.
    above_vertex_mm = float(rng.uniform(4.0, 20.0))
    centre = shift + rng.normal((0.0, 13.0, 0.0), (2.0, 3.0, 1.0))
    centre[2] += 112.0 + above_vertex_mm - extent[2] / 2
    return BrainScanSettings(
        session=session,
        site=site,
        fluid=fluid,
        grey=grey,
        noise=float(rng.uniform(0.018, 0.03) if a else rng.uniform(0.03, 0.05)),
        bias=float(rng.uniform(0.04, 0.10) if a else rng.uniform(0.08, 0.20)),
        white_stored=float(np.exp(rng.normal(6.2 if a else 5.6, 0.7))),
        voxel_mm=(voxel_mm[0], voxel_mm[1], voxel_mm[2]),
        orientation=str(rng.choice(_ORIENTATIONS, p=[0.4, 0.2, 0.1, 0.2, 0.05, 0.05])),
        rotation_deg=(float(turn[0]), float(turn[1]), float(turn[2])),
        shift_mm=(float(shift[0]), float(shift[1]), float(shift[2])),
        oblique_deg=(float(oblique[0]), float(oblique[1]), float(oblique[2])),
        field_of_view_mm=(float(extent[0]), float(extent[1]), float(extent[2])),
        centre_mm=(float(centre[0]), float(centre[1]), float(centre[2])),
        quick=quick,
        seed=(int(rng.integers(1 << 30)), int(rng.integers(1 << 30))),
    )


def bias_field(rng: np.random.Generator, shape: tuple[int, int, int], spacing_mm: NDArray[np.float64]) -> Floats:
    """A smooth field whose logarithm has mean 0 and SD 1 (the logarithm is returned)."""
    field = smooth_noise(rng, shape, tuple(float(step) for step in spacing_mm), 90.0)
    field -= field.mean(dtype=np.float64)
    scaled: Floats = (field / max(1e-6, float(field.std(dtype=np.float64)))).astype(np.float32)
    return scaled


def magnitude(signal: Floats, noise: float, rng: np.random.Generator) -> Floats:
    """Magnitude of a complex signal with noise in both channels (Rician)."""
    real = signal + np.float32(noise) * rng.standard_normal(signal.shape, np.float32)
    imaginary = np.float32(noise) * rng.standard_normal(signal.shape, np.float32)
    found: Floats = np.sqrt(real**2 + imaginary**2)
    return found


def rotation(degrees: tuple[float, float, float]) -> NDArray[np.float64]:
    """Rotation matrix about the right-left, posterior-anterior and inferior-superior axes, in that order."""
    a, b, c = np.radians(degrees)
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    turned: NDArray[np.float64] = about_z @ about_y @ about_x
    return turned


def blurred(volume: Floats, sd_voxels: float) -> Floats:
    """Gaussian blur, the same in all directions."""
    out: Floats = ndimage.gaussian_filter(volume, sd_voxels, mode="nearest", truncate=3.0)
    return out

"""One CT scan of one phantom person, in memory."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from agezoo.phantoms.torso_anatomy import PhantomSubject, Torso
from agezoo.phantoms.torso_girdles import draw_girdles
from agezoo.phantoms.torso_grid import TorsoGrid
from agezoo.phantoms.torso_organs import Enhancement, draw_organs
from agezoo.phantoms.torso_scanner import KERNELS, acquire, draw_couch
from agezoo.phantoms.torso_spine import draw_spine
from agezoo.phantoms.torso_vessels import draw_arteries, draw_lung_vessels, draw_veins_and_airways
from agezoo.phantoms.torso_wall import diaphragm_mm, draw_wall_and_lungs

PHASES = {
    "none": Enhancement(42, 42, 45, 58, 48, 33, 40, 38),
    "arterial": Enhancement(270, 110, 105, 72, 100, 150, 95, 70),
    "portal": Enhancement(145, 150, 108, 112, 118, 180, 100, 80),
}
"""Contrast phases by name."""

FINEST_SLICE_MM = 1.7
VOXEL_BUDGET = 7.6e6


@dataclass(frozen=True)
class ScanSettings:
    """How one scan of a phantom person was acquired.

    Attributes
    ----------
    session
        ``'first'`` or ``'repeat'``.
    site
        Scanner: ``'scanner_a'`` or ``'scanner_b'``.
    study_date
        Day of the scan.
    slice_thickness_mm
        Thickness of and distance between slices.
    fov_room_mm
        Room in the square field of view beyond the smallest that holds the body.
    matrix
        Rows and columns; 0 chooses the largest multiple of 16 up to 256 that keeps the scan near 15 MB.
    kernel, noise_hu, offset_hu
        Name of a kernel of `torso_scanner.KERNELS`, noise of the standard kernel, calibration error.
    contrast
        Name of a phase of `PHASES`.
    shift_mm, rotation_deg
        Patient off the isocentre (left, back) and rolled.
    breath_mm
        Height of the diaphragm relative to the nominal adult.
    coverage_mm
        Lower and upper end of the scan in the nominal adult; the defaults reach from the upper thigh to the shoulders.
    couch_gap_mm
        Mattress and air between the back and the couch.
    origin_mm
        Added to every position in the header.
    descending
        Slices are numbered from head to foot.
    seed
        Entropy of noise and of what differs between visits (gas, urine).
    """

    session: str = "first"
    site: str = "scanner_a"
    study_date: date = date(2020, 1, 1)
    slice_thickness_mm: float = 5.0
    fov_room_mm: float = 10.0
    matrix: int = 0
    kernel: str = "STANDARD40"
    noise_hu: float = 11.0
    offset_hu: float = 0.0
    contrast: str = "none"
    shift_mm: tuple[float, float] = (0.0, 0.0)
    rotation_deg: float = 0.0
    breath_mm: float = 0.0
    coverage_mm: tuple[float, float] = (-205.0, 478.0)
    couch_gap_mm: float = 10.0
    origin_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    descending: bool = False
    seed: int = 0


@dataclass(frozen=True)
class PhantomScan:
    """Voxels of one phantom scan.

    Attributes
    ----------
    hu
        int16, axes Left, Anterior, Superior (axis codes LAS).
    labels
        uint8 of the same shape; values as in `torso_labels.LABELS`.
    affine
        4 x 4, voxel index to RAS+ mm (nibabel's convention), for both arrays.
    """

    hu: np.ndarray
    labels: np.ndarray
    affine: np.ndarray
    subject: PhantomSubject
    settings: ScanSettings


def phantom_volume(subject: PhantomSubject, settings: ScanSettings | None = None) -> PhantomScan:
    """Draw one scan of a phantom person.

    Parameters
    ----------
    subject
        The person. Anatomy and ageing signs follow from the subject alone, so scans of one subject show one body.
    settings
        How it was scanned; default: one plain scan.

    Returns
    -------
    PhantomScan
    """
    settings = settings or ScanSettings()
    torso = Torso(subject)
    grid = _grid(torso, settings)
    phase = _phase(subject, settings)
    diaphragm = diaphragm_mm(grid, torso, settings.breath_mm)
    draw_wall_and_lungs(grid, torso, diaphragm=diaphragm, blood_hu=phase.vein)
    draw_organs(grid, torso, diaphragm=diaphragm, phase=phase, filling_seed=settings.seed)
    draw_lung_vessels(grid, torso, blood_hu=phase.vein)
    draw_veins_and_airways(grid, torso, vein_hu=phase.vein)
    draw_girdles(grid, torso)
    _draw_thin_structures(grid, torso, blood_hu=phase.artery)
    wide = 205.0 if settings.site == "scanner_a" else 230.0
    curvature = 5.5e-4 if settings.site == "scanner_a" else 3.2e-4
    back = _lowest_point_mm(grid, torso, curvature) + settings.couch_gap_mm
    draw_couch(grid, top_mm=back, half_width_mm=wide, curvature_per_mm=curvature)
    rng = np.random.default_rng([*subject.seed, settings.seed, 1])
    hu = acquire(
        grid, kernel=KERNELS[settings.kernel], noise_hu=settings.noise_hu, offset_hu=settings.offset_hu, rng=rng
    )
    # Slices, rows (to the back), columns (to the left) become Left, Anterior, Superior.
    affine = np.diag([-grid.pixel_mm, grid.pixel_mm, grid.slice_mm, 1.0])
    affine[:3, 3] = [
        -(grid.x_mm[0] + settings.origin_mm[0]),
        -(grid.y_mm[-1] + settings.origin_mm[1]),
        grid.z_mm[0] + settings.origin_mm[2],
    ]
    return PhantomScan(
        hu=np.ascontiguousarray(hu[:, ::-1, :].transpose(2, 1, 0)),
        labels=np.ascontiguousarray(grid.labels[:, ::-1, :].transpose(2, 1, 0)),
        affine=affine,
        subject=subject,
        settings=settings,
    )


def _grid(torso: Torso, settings: ScanSettings) -> TorsoGrid:
    low, high = (float(v) for v in torso.z_mm(np.array(settings.coverage_mm)))
    count = int((high - low) / settings.slice_thickness_mm) + 1
    z = low + settings.slice_thickness_mm * np.arange(count)
    fov = min(fitting_fov_mm(torso, z) + settings.fov_room_mm, 500.0)
    matrix = settings.matrix or int(np.clip(np.sqrt(VOXEL_BUDGET / count) // 16 * 16, 128, 256))
    pixel = fov / matrix
    centres = (np.arange(matrix) - (matrix - 1) / 2) * pixel
    return TorsoGrid(
        x_mm=centres,
        y_mm=centres,
        z_mm=z,
        shift_mm=settings.shift_mm,
        rotation_rad=float(np.deg2rad(settings.rotation_deg)),
    )


def _lowest_point_mm(grid: TorsoGrid, torso: Torso, curvature_per_mm: float) -> float:
    """Scanner y at which the middle of a couch of that curvature would just touch the skin."""
    skin, _, _ = torso.contours_mm(grid.z_mm[:: max(len(grid.z_mm) // 40, 1)])
    angle = np.arange(skin.shape[1]) * (2 * np.pi / skin.shape[1]) + grid.rotation_rad
    x = skin * np.cos(angle) + grid.shift_mm[0]
    y = skin * np.sin(angle) + grid.shift_mm[1]
    return float(np.max(y + curvature_per_mm * x**2))


def fitting_fov_mm(torso: Torso, z_mm: np.ndarray) -> float:
    """Smallest field of view (mm, multiple of 5, within 380 and 500) that holds the trunk with 12 mm at each side."""
    skin, _, _ = torso.contours_mm(z_mm)
    cosine = np.abs(np.cos(np.arange(skin.shape[1]) * (2 * np.pi / skin.shape[1])))
    width = 2.0 * float((skin * cosine[None]).max()) + 24.0
    return float(np.clip(np.ceil(width / 5.0) * 5.0, 380.0, 500.0))


def _phase(subject: PhantomSubject, settings: ScanSettings) -> Enhancement:
    phase = PHASES[settings.contrast]
    rng = np.random.default_rng([*subject.seed, settings.seed, 2])
    factor = float(np.exp(0.10 * rng.standard_normal())) if settings.contrast != "none" else 1.0
    native = PHASES["none"]
    values = [
        before + (after - before) * factor
        for before, after in zip(vars(native).values(), vars(phase).values(), strict=True)
    ]
    enhanced = Enhancement(*values)
    # Fatty livers are common at every age.
    steatosis = 22.0 * float(np.clip(subject.rng("liver").standard_normal() - 0.4, 0.0, 2.0))
    return Enhancement(**{**vars(enhanced), "liver": enhanced.liver - steatosis})


def _draw_thin_structures(grid: TorsoGrid, torso: Torso, *, blood_hu: float) -> None:
    """Draw spine and arteries on thin slices and average them into the scan's slices."""
    finest = max(FINEST_SLICE_MM, 0.5 * grid.pixel_mm)
    factor = int(np.ceil(grid.slice_mm / finest)) | 1
    reach = 70.0 * torso.girth
    low = np.array([-reach, -100.0, grid.z_mm[0] - grid.slice_mm])
    high = np.array([reach, 108.0, grid.z_mm[-1] + grid.slice_mm])
    box = grid.box(low, high)
    if box is None:
        return
    fine = grid.refined(box, factor)
    draw_arteries(fine, torso, blood_hu=blood_hu)
    draw_spine(fine, torso)
    grid.merge(fine, box, factor)

"""Millimetres per pixel of a projection image, from the several fields in which DICOM keeps them."""

from __future__ import annotations

from pydicom.dataset import Dataset

from agezoo.data.dicom_elements import number_of, numbers_of, texts_of

# Detectors have 0.1 to 0.2 mm, reduced copies and DXA up to about 2 mm.
_PLAUSIBLE_MM = (0.01, 5.0)
_PLAUSIBLE_MAGNIFICATION = (1.0, 3.0)


def projection_spacing_mm(dataset: Dataset) -> tuple[tuple[float, float] | None, tuple[str, ...]]:
    """Spacing (between rows, between columns) in mm at the patient as far as the header knows it, and notes.

    PixelSpacing that differs from ImagerPixelSpacing has been calibrated and is taken as it is. Otherwise both are
    distances on the detector, which the body's distance from it magnifies: they are divided by
    EstimatedRadiographicMagnificationFactor where there is one (DICOM PS3.3 C.8.11.7 and 10.7.1.3). Film scanners state
    NominalScannedPixelSpacing. Impossible values such as ``0\\0`` count as unknown, with a note.
    """
    notes: list[str] = []
    pixel, imager, scanned = (
        _plausible(dataset, keyword, notes)
        for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
    )
    spacing = pixel or imager or scanned
    is_on_detector = imager is not None and (pixel is None or pixel == imager)
    if spacing is not None and is_on_detector and not texts_of(dataset, "PixelSpacingCalibrationType"):
        factor = number_of(dataset, "EstimatedRadiographicMagnificationFactor")
        if factor is not None and _PLAUSIBLE_MAGNIFICATION[0] <= factor <= _PLAUSIBLE_MAGNIFICATION[1]:
            spacing = (spacing[0] / factor, spacing[1] / factor)
    if spacing is not None and not 0.99 < spacing[0] / spacing[1] < 1.01:
        notes.append(f"pixels are not square: {spacing[0]:.3g} mm high, {spacing[1]:.3g} mm wide")
    return spacing, tuple(notes)


def _plausible(dataset: Dataset, keyword: str, notes: list[str]) -> tuple[float, float] | None:
    if not texts_of(dataset, keyword):
        return None
    values = numbers_of(dataset, keyword, 2)
    low, high = _PLAUSIBLE_MM
    if values is None or not all(low <= value <= high for value in values):
        notes.append(f"{keyword} is impossible and was not used")
        return None
    return values[0], values[1]

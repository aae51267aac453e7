"""Write a phantom CT scan as a DICOM series."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage

from agezoo.phantoms.phantom_identity import describe_slices, phantom_header, phantom_uid
from agezoo.phantoms.slice_encoder import SliceEncoder
from agezoo.phantoms.torso_ct import PhantomScan

_MODELS = {"scanner_a": "Phantom A", "scanner_b": "Phantom B"}
# The two scanners store HU differently, as real ones do: unsigned with an offset, and signed without.
_RESCALE = {"scanner_a": (0, -1024), "scanner_b": (1, 0)}


def write_ct_series(scan: PhantomScan, folder: Path) -> int:
    """Write one CT Image Storage file per slice.

    Parameters
    ----------
    scan
        The scan.
    folder
        Folder of the series; it is created and must not hold other files.

    Returns
    -------
    int
        Bytes written.

    Notes
    -----
    The same scan gives the same bytes: UIDs follow from the subject's seed, the session and the site. When
    `ScanSettings.descending` is set the files are numbered from head to foot.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = scan.settings
    slices = scan.hu.shape[2]
    signed, intercept = _RESCALE[settings.site]
    stored = (scan.hu - np.int16(intercept)).astype(np.int16 if signed else np.uint16)
    # Left, Anterior, Superior back to slices of rows (towards the back) and columns (towards the left).
    stored = np.ascontiguousarray(stored[:, ::-1, :].transpose(2, 1, 0))
    names = (*scan.subject.seed, scan.subject.subject_id, settings.session, settings.site)
    template = _header(scan, names, signed=signed, intercept=intercept)
    step = scan.affine[2, 2]
    left_mm = -scan.affine[0, 3]
    # The first row is the most anterior one: in DICOM's axes (left, back, head) the smallest y.
    top_mm = -(scan.affine[1, 3] + scan.affine[1, 1] * (scan.hu.shape[1] - 1))
    encode = SliceEncoder(template, series_uid=phantom_uid(*names, "series"))
    total = 0
    for number in range(slices):
        index = slices - 1 - number if settings.descending else number
        z_mm = float(scan.affine[2, 3] + step * index)
        content = encode(number + 1, (left_mm, top_mm, z_mm), stored[index].tobytes())
        (folder / f"IM{number + 1:04d}.dcm").write_bytes(content)
        total += len(content)
    return total


def _header(scan: PhantomScan, names: tuple[object, ...], *, signed: int, intercept: int) -> Dataset:
    settings = scan.settings
    data = phantom_header(CTImageStorage, scan.subject, settings.study_date, site=settings.site, names=names)
    data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    data.StudyTime = data.SeriesTime = data.AcquisitionTime = data.ContentTime = "120000"
    data.Modality = "CT"
    data.StudyDescription = "Phantom thorax abdomen pelvis"
    data.SeriesDescription = f"PHANTOM {settings.slice_thickness_mm:g} mm {settings.kernel}"
    data.ManufacturerModelName = _MODELS[settings.site]
    if settings.contrast != "none":
        data.ContrastBolusAgent = "PHANTOM AGENT"
    data.BodyPartExamined = "CHESTABDPELVIS"
    data.SliceThickness = settings.slice_thickness_mm
    data.KVP = 120
    data.DataCollectionDiameter = 500
    data.SpacingBetweenSlices = settings.slice_thickness_mm
    data.ProtocolName = f"PHANTOM {settings.contrast.upper()}"
    data.ReconstructionDiameter = round(abs(scan.affine[0, 0]) * scan.hu.shape[0], 3)
    data.GantryDetectorTilt = 0
    data.TableHeight = 150
    data.ExposureTime = 500
    data.XRayTubeCurrent = round(2.0e4 / settings.noise_hu**2)
    data.ConvolutionKernel = settings.kernel
    data.SeriesNumber = 2
    describe_slices(data, scan.hu.shape[:2], round(float(scan.affine[1, 1]), 10), names=names)
    data.PixelRepresentation = signed
    data.WindowCenter, data.WindowWidth = 40, 400
    data.RescaleIntercept = intercept
    data.RescaleSlope = 1
    data.RescaleType = "HU"
    return data

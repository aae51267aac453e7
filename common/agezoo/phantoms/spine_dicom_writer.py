"""Write a phantom spine image as one DICOM file."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from agezoo.phantoms.phantom_identity import phantom_header
from agezoo.phantoms.spine_plan import PlannedSpineImage
from agezoo.phantoms.spine_storage import StoredPixels

_CLASSES = {
    "CR": ComputedRadiographyImageStorage,
    "DX": DigitalXRayImageStorageForPresentation,
    "OT": SecondaryCaptureImageStorage,
}
_MODELS = {"scanner_a": "Phantom A", "scanner_b": "Phantom B", "dxa": "PHANTOM DXA"}


def spine_dicom(image: PlannedSpineImage, pixels: StoredPixels) -> bytes:
    """Return the whole file.

    Parameters
    ----------
    image
        Who, and how.
    pixels
        The values to store.

    Notes
    -----
    The same image gives the same bytes: UIDs follow from the person's seed, the session and the site.
    """
    modality = _modality(image)
    data = _person_and_study(image, modality)
    _acquisition(data, image, modality)
    _pixel_module(data, image, pixels)
    if image.settings.storage.compressed:
        data.compress(
            RLELossless, np.ascontiguousarray(pixels.values), encoding_plugin="pydicom", generate_instance_uid=False
        )
    buffer = BytesIO()
    dcmwrite(buffer, data, enforce_file_format=True)
    return buffer.getvalue()


def _modality(image: PlannedSpineImage) -> str:
    kind = image.settings.storage.kind
    return "OT" if kind == "secondary_capture" else "CR" if kind.startswith("cr_") else "DX"


def _person_and_study(image: PlannedSpineImage, modality: str) -> Dataset:
    subject, settings = image.subject, image.settings
    names = (*subject.seed, subject.subject_id, settings.session, settings.site)
    data = phantom_header(_CLASSES[modality], subject, settings.study_date, site=settings.site, names=names)
    data.StudyTime = data.SeriesTime = data.AcquisitionTime = data.ContentTime = "100000"
    data.Modality = modality
    data.ManufacturerModelName = _MODELS[settings.site]
    data.SeriesNumber = 1
    return data


def _acquisition(data: Dataset, image: PlannedSpineImage, modality: str) -> None:
    """What the device says of the projection."""
    view = image.settings.view
    # The detector stands at the side that the beam leaves; facing left, that is the patient's left side here.
    facing = ["P", "F"] if view.faces_right is False else ["A", "F"]
    if modality == "OT":
        data.ImageType = ["DERIVED", "SECONDARY"]
        data.ConversionType = "WSD"
        data.StudyDescription = "DXA vertebral fracture assessment"
        data.SeriesDescription = "VFA lateral"
        data.BodyPartExamined = "SPINE"
        data.PatientOrientation = facing
        data.PixelSpacing = [view.pixel_mm] * 2
        return
    data.ImageType = ["ORIGINAL", "PRIMARY"]
    data.StudyDescription = "Thoracolumbar spine"
    data.SeriesDescription = "SPINE LATERAL"
    data.ProtocolName = "WHOLE SPINE LAT"
    data.BodyPartExamined = ("SPINE", "LSPINE", "TSPINE")[image.subject.seed[-1] % 3]
    data.ViewPosition = "RL" if view.faces_right else "LL"
    data.PatientOrientation = facing
    data.KVP = 85
    data.ExposureTime = 120
    data.DistanceSourceToDetector = 1500
    spacing = image.settings.storage.spacing
    if spacing != 2:
        data.ImagerPixelSpacing = [view.pixel_mm] * 2
    if spacing != 1:
        data.PixelSpacing = [view.pixel_mm] * 2
    if modality == "CR":
        data.PlateType = "PHANTOM"
        return
    data.PresentationIntentType = "FOR PRESENTATION"
    data.PixelIntensityRelationship = "LOG"
    data.PixelIntensityRelationshipSign = 1
    data.ImageLaterality = "U"
    data.DetectorType = "DIRECT"
    data.LossyImageCompression = "00"


def _pixel_module(data: Dataset, image: PlannedSpineImage, pixels: StoredPixels) -> None:
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME1" if pixels.inverted else "MONOCHROME2"
    data.Rows, data.Columns = pixels.values.shape
    data.BitsAllocated = 8 * pixels.values.dtype.itemsize
    data.BitsStored = pixels.bits_stored
    data.HighBit = pixels.bits_stored - 1
    data.PixelRepresentation = 0
    if data.Modality == "DX":
        data.PresentationLUTShape = "INVERSE" if pixels.inverted else "IDENTITY"
        data.RescaleIntercept, data.RescaleSlope, data.RescaleType = 0, 1, "US"
    if pixels.window is not None:
        data.WindowCenter, data.WindowWidth = pixels.window
    if pixels.lut is not None:
        table = Dataset()
        table.add_new(0x00283002, "US", [len(pixels.lut), 0, pixels.lut_bits])
        table.LUTExplanation = "PHANTOM NORMAL"
        table.add_new(0x00283006, "OW", pixels.lut.astype("<u2").tobytes())
        data.VOILUTSequence = [table]
    values = pixels.values.astype(pixels.values.dtype.newbyteorder("<"), copy=False).tobytes()
    data.PixelData = values + b"\0" * (len(values) % 2)
    data["PixelData"].VR = "OB" if data.BitsAllocated == 8 else "OW"

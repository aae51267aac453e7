"""Enhanced multi-frame objects, seen as one plain data set per frame."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset

# Functional group -> the elements inside it that a single-frame image holds at its top level.
_FUNCTIONAL_GROUPS = {
    "PlanePositionSequence": ("ImagePositionPatient",),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness"),
    "PixelValueTransformationSequence": ("RescaleIntercept", "RescaleSlope", "RescaleType"),
    "CTReconstructionSequence": ("ConvolutionKernel",),
    "CTImageFrameTypeSequence": (("FrameType", "ImageType"),),
    "MRImageFrameTypeSequence": (("FrameType", "ImageType"), "AcquisitionContrast"),
    "MREchoSequence": (("EffectiveEchoTime", "EchoTime"),),
    "MRTimingAndRelatedParametersSequence": ("RepetitionTime",),
    "MRModifierSequence": (("InversionTimes", "InversionTime"),),
    "FrameContentSequence": (("FrameAcquisitionNumber", "AcquisitionNumber"),),
}


def frame_datasets(dataset: Dataset) -> Iterator[Dataset]:
    """One header per frame; a single-frame image yields itself.

    Values that hold for all frames come from the shared functional groups, those of one frame from its own
    (DICOM PS3.3 C.7.6.16). A multi-frame image without functional groups yields frames without positions.
    """
    n_frames = int(dataset.get("NumberOfFrames") or 1)
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    if n_frames == 1 and not shared and not per_frame:
        yield dataset
        return
    common = Dataset()
    for keyword in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        if keyword in dataset:
            del dataset[keyword]
    common.update(dataset)
    for group in shared:
        _copy_groups(group, common)
    for index in range(n_frames):
        image = Dataset()
        image.update(common)
        if index < len(per_frame):
            _copy_groups(per_frame[index], image)
        yield image


def _copy_groups(group: Dataset, image: Dataset) -> None:
    for sequence_keyword, elements in _FUNCTIONAL_GROUPS.items():
        for item in (group.get(sequence_keyword) or [])[:1]:
            for element in elements:
                source, target = element if isinstance(element, tuple) else (element, element)
                if item.get(source) is not None:
                    setattr(image, target, item.get(source))

"""What kind of image an MR series is, and which of a study is read."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid

from agezoo.data.dicom_multiframe import frame_datasets
from agezoo.data.mr_sequence import T1, UNKNOWN, sequence_of
from agezoo.data.read import discover_studies, read_volume


def header(description: str = "", **elements) -> Dataset:
    image = Dataset()
    image.SeriesDescription = description
    for keyword, value in elements.items():
        setattr(image, keyword, value)
    return image


@pytest.mark.parametrize(
    "description",
    [
        "t1_mprage_sag_p2_iso",
        "MPRAGE",
        "MP-RAGE repeat",
        "MP_RAGE_1mm",
        "Sag 3D FSPGR BRAVO",
        "IR-SPGR",
        "T1W_3D_TFE SENSE",
        "sT13DTFE",
        "3D T1",
        "Ax T1 FLAIR",
        "t1_mp2rage_sag_UNI_Images",
        "T1 TSE cor",
    ],
)
def test_t1_weighted_series_are_known_by_the_usual_names(description):
    assert sequence_of(header(description)).kind == T1


@pytest.mark.parametrize(
    ("description", "kind"),
    [
        ("t2_tse_tra", "T2-weighted"),
        ("T2W_TSE", "T2-weighted"),
        ("t2_spc_sag", "T2-weighted"),
        ("T2 FLAIR", "FLAIR"),
        ("t2_tirm_tra_dark-fluid", "FLAIR"),
        ("PD_T2", "T2-weighted"),
        ("pd_tse", "proton density"),
        ("ep2d_diff_3scan_trace_ADC", "diffusion-weighted"),
        ("DTI 64 dir", "diffusion-weighted"),
        ("rest bold", "functional"),
        ("SWI_Images", "susceptibility-weighted"),
        ("TOF 3D", "an angiography"),
        ("pcasl perf", "perfusion"),
        ("gre_field_mapping", "a parameter map"),
        ("T1 map", "a parameter map"),
        ("t1_mp2rage_sag_T1_Images", "a parameter map"),
        ("t1_mp2rage_sag_INV2", "one of MP2RAGE's inversion images"),
        ("t1_mprage MPR cor", "a reformat"),
        ("AAHead_Scout", "a localiser"),
        ("3-plane loc", "a reference scan"),
        ("STIR cor", "STIR"),
    ],
)
def test_other_series_are_named_for_what_they_are(description, kind):
    assert sequence_of(header(description)).kind == kind


@pytest.mark.parametrize(
    ("scanning", "repetition_ms", "echo_ms", "inversion_ms", "kind"),
    [
        (["GR", "IR"], 2300, 2.98, 900, T1),
        ("GR", 8.1, 3.7, None, T1),
        ("GR", 25, 4, None, T1),
        (["SE"], 600, 12, None, T1),
        (["SE"], 4000, 95, None, "T2-weighted"),
        (["SE", "IR"], 9000, 120, 2500, "FLAIR"),
        (["SE"], 3000, 15, None, "proton density"),
        ("GR", 700, 20, None, UNKNOWN),
        (["EP"], 3000, 30, None, "echo-planar"),
        ("GR", None, 3, None, UNKNOWN),
        ("", 8.1, 3.7, None, T1),
    ],
)
def test_without_a_telling_name_the_timing_decides(scanning, repetition_ms, echo_ms, inversion_ms, kind):
    image = header("sag 3D", ScanningSequence=scanning, EchoTime=echo_ms)
    if repetition_ms is not None:
        image.RepetitionTime = repetition_ms
    if inversion_ms is not None:
        image.InversionTime = inversion_ms
    assert sequence_of(image).kind == kind


def test_phase_images_and_reformats_are_known_by_their_image_type():
    assert sequence_of(header("t1_mprage", ImageType=["ORIGINAL", "PRIMARY", "P", "ND"])).kind == "a phase image"
    assert sequence_of(header("t1_mprage", ImageType=["DERIVED", "SECONDARY", "MPR"])).kind == "a reformat"
    assert sequence_of(header("t1_mprage", ImageType=["ORIGINAL", "PRIMARY", "M", "ND", "NORM"])).kind == T1


@pytest.mark.parametrize(
    ("description", "agent", "expected"),
    [
        ("t1 mprage", "", False),
        ("t1 mprage +C", "", True),
        ("t1 mprage post GD", "", True),
        ("t1 mprage KM", "", True),
        ("t1 mprage ohne KM", "", False),
        ("t1 mprage pre gad", "", False),
        ("t1 mprage", "Gadovist", True),
        ("t1 mprage", "NONE", False),
    ],
)
def test_a_contrast_agent_is_recognised(description, agent, expected):
    assert sequence_of(header(description, ContrastBolusAgent=agent)).has_agent is expected


def test_an_enhanced_object_tells_its_timing_in_functional_groups():
    image, shared = header("SAG", Modality="MR", NumberOfFrames=1), Dataset()
    for keyword, element, value in (
        ("MRTimingAndRelatedParametersSequence", "RepetitionTime", 2300.0),
        ("MREchoSequence", "EffectiveEchoTime", 2.9),
        ("MRModifierSequence", "InversionTimes", [900.0]),
        ("MRImageFrameTypeSequence", "AcquisitionContrast", "UNKNOWN"),
    ):
        item = Dataset()
        setattr(item, element, value)
        setattr(shared, keyword, Sequence([item]))
    image.SharedFunctionalGroupsSequence = Sequence([shared])
    (frame,) = frame_datasets(image)
    sequence = sequence_of(frame)
    assert (sequence.repetition_ms, sequence.echo_ms, sequence.inversion_ms) == (2300, 2.9, 900)
    assert sequence.kind == T1


def test_words_of_a_header_are_not_shown():
    assert "SECRET" not in repr(sequence_of(header("t1 mprage SECRET")))


@pytest.fixture
def study(tmp_path, make_slices, write_slices):
    """Write series of one MR study, each given by its description and other header values; the study as found."""

    def write(*series, contrast: str = "T1"):
        for number, one in enumerate(series):
            one = dict(one)
            n_slices, step_mm, pixel_mm = one.pop("n", 40), one.pop("step_mm", 3.0), one.pop("pixel_mm", 1.0)
            hu = np.full((12, 10, n_slices), number, np.int16)
            plain = dict.fromkeys(("RescaleSlope", "RescaleIntercept", "RescaleType", "ConvolutionKernel"))
            values = {"Modality": "MR", "StudyInstanceUID": "1.1", "SeriesNumber": number + 1, **plain, **one}
            spacing = (pixel_mm, pixel_mm, step_mm)
            slices = make_slices(hu=hu, spacing_mm=spacing, intercept=0, SeriesInstanceUID=generate_uid(), **values)
            write_slices(tmp_path / f"series{number}", slices)
        (found,) = discover_studies(tmp_path, modality="MR", contrast=contrast)
        return found

    return write


def described(description: str, **values) -> dict:
    return {"SeriesDescription": description, **values}


@pytest.mark.parametrize(
    ("series", "chosen"),
    [
        ([described("T2", n=60), described("MPRAGE")], 1),
        ([described("MPRAGE +C"), described("MPRAGE")], 1),
        ([described("MPRAGE", ImageType=["DERIVED", "PRIMARY"]), described("T1 SPGR")], 1),
        ([described("MPRAGE", step_mm=3.4), described("MPRAGE", step_mm=2.6, n=44)], 1),
        ([described("T1 se"), described("T1 TFE", MRAcquisitionType="3D")], 1),
        ([described("MPRAGE"), described("MPRAGE repeat")], 0),
        ([described("Sag"), described("MPRAGE")], 1),
        ([described("MPRAGE", n=20), described("MPRAGE")], 1),
    ],
)
def test_the_t1_weighted_volume_is_chosen_by_the_rule(study, series, chosen):
    found = study(*series)
    assert found.error is None
    assert found.folder.name == f"series{chosen}"


def test_a_study_without_one_lists_what_it_holds(study):
    found = study(
        described("T2 tse"),
        described("T1 tse", n=22, step_mm=6.0),
        described("DWI b1000"),
        described("MPRAGE slab", n=20),
    )
    assert (
        "no T1-weighted volume found; found: 1 series T1-weighted (only 57 mm of the head), "
        "1 series T1-weighted (slices 6.0 mm apart), 1 series T2-weighted, 1 series diffusion-weighted" in found.error
    )
    assert "slices at most 3.5 mm apart" in found.error


def test_a_series_that_tells_nothing_is_read_with_a_note_when_it_is_all_there_is(study):
    found = study(described(""), described("T2"))
    assert found.folder.name == "series0"
    assert "nothing in the header tells that the series is T1-weighted" in found.facts.notes


def test_a_contrast_agent_is_noted(study):
    assert any("a contrast agent was given" in note for note in study(described("MPRAGE +C")).facts.notes)


def test_a_folder_read_without_asking_for_t1_prefers_it_and_otherwise_says_what_it_read(study, tmp_path):
    study(described("T2 tse", n=60), described("MPRAGE"), contrast="")
    volume = read_volume(tmp_path, modality="MR")
    assert volume.hu.max() == 1
    assert volume.shape[2] == 40
    assert volume.hu.min() == 1


def test_only_another_weighting_is_read_with_a_note_unless_t1_is_demanded(study, tmp_path):
    assert "no T1-weighted volume found" in study(described("T2 tse")).error
    assert "the series is T2-weighted, not T1-weighted" in read_volume(tmp_path, modality="MR").facts.notes

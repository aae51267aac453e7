"""What a header says decides: kind of image, what is turned away and why, millimetres, the person's facts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from agezoo.data.radiograph import read_radiograph
from agezoo.data.radiograph_words import kind_of, part_of, plain_words, views_of
from agezoo.errors import InputError
from radiograph_files import radiograph_dataset, spine_image, write_radiograph

SILENT = {"BodyPartExamined": None, "ViewPosition": None}


def said(**header):
    ds = Dataset()
    for keyword, value in header.items():
        setattr(ds, keyword, value)
    return ds


def coded(meaning):
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "1", "SCT", meaning
    return Sequence([item])


def refuse(path, match, **header):
    file = write_radiograph(path / "image.dcm", **header)
    with pytest.raises(InputError, match=match) as caught:
        read_radiograph(file)
    message = str(caught.value)
    assert message.startswith(f"{file}: ")
    assert "found: " in message
    assert "expected: " in message
    assert "what to do: " in message
    assert "SECRET" not in message.upper()
    return message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("L-Spine_LAT", "l spine lat"),
        ("LumbarSpineLat", "lumbar spine lat"),
        ("WS a.p.", "ws ap"),
        ("Spine A/P", "spine ap"),
        ("Wirbelsäule, seitl. (Fuß)", "wirbelsaule seitl fuss"),
        ("APPLE map", "apple map"),
    ],
)
def test_descriptions_in_any_spelling_come_into_one_form(text, words):
    assert plain_words(text) == words


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ({"Modality": "CR"}, None),
        ({"Modality": "DX", "Manufacturer": "SIEMENS", "SeriesDescription": "LUMBAR SPINE LAT"}, None),
        ({"Modality": "MG", "Manufacturer": "GE MEDICAL SYSTEMS"}, None),
        ({"Modality": "OT", "SeriesDescription": "VFA Lateral"}, "vfa"),
        ({"Modality": "SC", "StudyDescription": "IVA spine"}, "vfa"),
        ({"Modality": "OT", "ProtocolName": "LVA"}, "vfa"),
        ({"Modality": "DX", "SeriesDescription": "Vertebral Fracture-Assessment"}, "vfa"),
        ({"Modality": "OT", "Manufacturer": "HOLOGIC, Inc."}, "vfa"),
        ({"Modality": "DX", "Manufacturer": "GE Healthcare", "ManufacturerModelName": "Lunar iDXA"}, "vfa"),
        ({"Modality": "OT", "StudyDescription": "DXA bone density"}, "vfa"),
        ({"Modality": "BMD"}, "vfa"),
        ({"Modality": "CR", "SeriesDescription": "ADVFACE"}, None),
    ],
)
def test_kind_is_inferred_from_the_header(header, kind):
    found = kind_of(said(**header))
    assert (found.meaning if found else None) == kind


@pytest.mark.parametrize(
    ("header", "views"),
    [
        ({"ViewPosition": "LL"}, ["lateral"]),
        ({"ViewPosition": "RL"}, ["lateral"]),
        ({"ViewPosition": "LATERAL"}, ["lateral"]),
        ({"ViewPosition": "AP"}, ["frontal"]),
        ({"ViewPosition": "PA"}, ["frontal"]),
        ({"ViewPosition": "LPO"}, ["oblique"]),
        ({"ViewPosition": "LLD"}, []),
        ({"ViewCodeSequence": coded("postero-anterior")}, ["frontal"]),
        ({"ViewCodeSequence": coded("antero-posterior oblique")}, ["oblique"]),
        ({"ViewCodeSequence": coded("left lateral")}, ["lateral"]),
        ({"PatientOrientation": ["L", "F"]}, ["frontal"]),
        ({"PatientOrientation": ["A", "F"]}, ["lateral"]),
        ({"PatientOrientation": ["PL", "FR"]}, ["lateral"]),
        ({"PatientOrientation": ["F", "R"]}, ["frontal"]),
        ({"PatientOrientation": ["A", "R"]}, []),
        ({"PatientOrientation": ["X", "Y"]}, []),
        ({"SeriesDescription": "L Spine frontal"}, ["frontal"]),
        ({"SeriesDescription": "LSPINE AP/LAT"}, []),
        ({"SeriesDescription": "PAtient posture"}, []),
        ({"SeriesDescription": "LWS seitl.", "StudyDescription": "LWS a.p."}, ["lateral", "frontal"]),
        ({"StudyDescription": "XR SPINE, PA & lateral"}, []),
    ],
)
def test_views_are_told_by_whole_words_and_orientation(header, views):
    assert [found.meaning for found in views_of(said(**header))] == views


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ({}, None),
        ({"BodyPartExamined": "LSPINE"}, "spine"),
        ({"BodyPartExamined": "TSPINE"}, "spine"),
        ({"BodyPartExamined": "SPINE"}, "spine"),
        ({"BodyPartExamined": "CSPINE"}, "neck or sacrum"),
        ({"BodyPartExamined": "SSPINE"}, "neck or sacrum"),
        ({"BodyPartExamined": "CHEST"}, "chest"),
        ({"BodyPartExamined": "CHEST", "SeriesDescription": "Thoracic spine lateral"}, "spine"),
        ({"BodyPartExamined": "SPINE", "SeriesDescription": "CHEST lat"}, "spine"),
        ({"BodyPartExamined": "ABDOMEN", "StudyDescription": "Lumbar spine 2 views"}, "spine"),
        ({"SeriesDescription": "Left Hip", "StudyDescription": "DXA spine and hip"}, "hip"),
        ({"SeriesDescription": "C-Spine"}, "neck or sacrum"),
        ({"SeriesDescription": "cervical, thoracic and lumbar spine"}, "spine"),
        ({"SeriesDescription": "T-L Spine"}, "spine"),
        ({"SeriesDescription": "LWS seitl"}, "spine"),
        ({"SeriesDescription": "Halswirbelsäule"}, "neck or sacrum"),
        ({"SeriesDescription": "rachis lombaire"}, "spine"),
        ({"SeriesDescription": "Whole Body"}, "whole body"),
        ({"SeriesDescription": "C-Arm image"}, None),
        ({"ProtocolName": "KNEE"}, "knee"),
        ({"StudyDescription": "SKULL"}, "skull"),
        ({"AnatomicRegionSequence": coded("Pelvis")}, "pelvis"),
        ({"AnatomicRegionSequence": coded("Lumbar spine")}, "spine"),
        ({"SeriesDescription": "VFA"}, "spine"),
        ({"SeriesDescription": "Shipping chestnut"}, None),
    ],
)
def test_the_part_of_the_body_is_told_by_whole_words_and_spine_words_win(header, part):
    found = part_of(said(**header))
    assert (found.meaning if found else None) == part


@pytest.mark.parametrize("asked", ["", "vfa", "VFA"])
def test_a_vfa_header_makes_a_vfa_image(tmp_path, asked):
    radiograph = read_radiograph(
        write_radiograph(tmp_path / "a.dcm", Modality="OT", Manufacturer="Hologic", **SILENT), kind=asked
    )
    assert radiograph.kind == "vfa"
    assert not [note for note in radiograph.facts.notes if "asked" in note]


def test_an_explicit_kind_wins_and_a_contradiction_is_noted(tmp_path):
    vfa = write_radiograph(tmp_path / "a.dcm", SeriesDescription="VFA lateral")
    radiograph = read_radiograph(vfa, kind="radiograph")
    assert radiograph.kind == "radiograph"
    assert radiograph.facts.notes == ("taken as a radiograph as asked, but SeriesDescription says 'vfa'",)
    plain = read_radiograph(write_radiograph(tmp_path / "b.dcm"), kind="vfa")
    assert plain.kind == "vfa"
    assert plain.facts.notes == ("taken as a vfa as asked, but Modality says 'CR'",)
    unclear = write_radiograph(tmp_path / "c.dcm", Modality="OT")
    assert read_radiograph(unclear, kind="vfa").facts.notes == ()
    assert read_radiograph(unclear).facts.notes == ("modality OT without a sign of DXA: taken as a radiograph",)


def test_an_unknown_kind_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(InputError, match="no such kind of image; found: xray; expected: radiograph or vfa"):
        read_radiograph(tmp_path / "absent.dcm", kind="xray")


@pytest.mark.parametrize(
    ("header", "match"),
    [
        ({"ViewPosition": "AP"}, "is a frontal view.*ViewPosition says 'ap'"),
        ({"ViewPosition": None, "SeriesDescription": "LSPINE PA"}, "is a frontal view.*SeriesDescription says 'pa'"),
        ({"ViewPosition": "", "PatientOrientation": ["L", "F"]}, "is a frontal view.*PatientOrientation"),
        ({"ViewPosition": "RAO"}, "is an oblique view"),
        ({"BodyPartExamined": "CHEST"}, "another part of the body.*BodyPartExamined says 'chest'"),
        ({"BodyPartExamined": "CSPINE"}, "another part of the body.*'cspine'"),
        ({"Modality": "CT"}, "is no projection image.*modality CT"),
        ({"Modality": "MR", "BodyPartExamined": "LSPINE"}, "is no projection image.*modality MR"),
        ({"Modality": "MG"}, "is no projection image.*modality MG"),
        ({"Modality": "OT", "ImagePositionPatient": [0, 0, 1]}, "is no projection image.*with a slice position"),
    ],
)
def test_what_is_no_lateral_spine_is_turned_away_with_its_reason(tmp_path, header, match):
    refuse(tmp_path, match, **header)


def test_a_name_in_a_description_is_not_repeated(tmp_path):
    assert "Secret" not in refuse(tmp_path, "knee", BodyPartExamined="", SeriesDescription="Secret^Person knee")


def test_other_parts_and_views_pass_when_asked_for_but_slices_never(tmp_path):
    chest = write_radiograph(tmp_path / "a.dcm", BodyPartExamined="CHEST", ViewPosition="PA")
    assert read_radiograph(chest, any_body_part=True).facts.notes == ()
    with pytest.raises(InputError, match="no projection"):
        read_radiograph(write_radiograph(tmp_path / "b.dcm", Modality="CT"), any_body_part=True)


def test_several_frames_are_refused(tmp_path):
    frames = np.concatenate([spine_image(), spine_image(seed=1)])
    ds = radiograph_dataset(frames)
    ds.Rows, ds.NumberOfFrames = 240, 2
    ds.save_as(tmp_path / "cine.dcm", enforce_file_format=True)
    with pytest.raises(InputError, match=r"cine\.dcm: holds more than one image; found: 2 frames; expected: one"):
        read_radiograph(tmp_path / "cine.dcm")


def test_what_the_header_leaves_open_is_noted(tmp_path):
    notes = read_radiograph(write_radiograph(tmp_path / "a.dcm", **SILENT)).facts.notes
    assert notes == (
        "the header names no part of the body: taken as spine",
        "the header does not name the view: taken as lateral",
    )


def test_a_later_field_that_contradicts_the_view_is_noted(tmp_path):
    notes = read_radiograph(write_radiograph(tmp_path / "a.dcm", SeriesDescription="LSPINE AP")).facts.notes
    assert notes == ("ViewPosition says 'll', but SeriesDescription says 'ap': taken as lateral",)


def test_an_image_on_its_side_or_head_is_noted_and_not_turned(tmp_path):
    path = write_radiograph(tmp_path / "a.dcm", PatientOrientation=["F", "A"])
    radiograph = read_radiograph(path)
    assert radiograph.facts.notes == (
        "PatientOrientation says that rows do not run from head to foot; the image was not turned",
    )
    assert radiograph.pixels.shape == (240, 180)
    assert not read_radiograph(write_radiograph(tmp_path / "b.dcm", PatientOrientation=["P", "F"])).facts.notes


@pytest.mark.parametrize(
    ("header", "spacing_mm", "note"),
    [
        ({}, (0.2, 0.2), ""),
        ({"ImagerPixelSpacing": None}, None, ""),
        ({"PixelSpacing": [0.15, 0.15]}, (0.15, 0.15), ""),
        ({"PixelSpacing": [0.15, 0.15], "EstimatedRadiographicMagnificationFactor": 1.25}, (0.15, 0.15), ""),
        ({"EstimatedRadiographicMagnificationFactor": 1.25}, (0.16, 0.16), ""),
        ({"PixelSpacing": [0.2, 0.2], "EstimatedRadiographicMagnificationFactor": 1.25}, (0.16, 0.16), ""),
        (
            {
                "PixelSpacing": [0.2, 0.2],
                "PixelSpacingCalibrationType": "FIDUCIAL",
                "EstimatedRadiographicMagnificationFactor": 1.25,
            },
            (0.2, 0.2),
            "",
        ),
        ({"EstimatedRadiographicMagnificationFactor": 0}, (0.2, 0.2), ""),
        ({"PixelSpacing": [0, 0]}, (0.2, 0.2), "PixelSpacing is impossible and was not used"),
        ({"ImagerPixelSpacing": [0, 0]}, None, "ImagerPixelSpacing is impossible and was not used"),
        ({"ImagerPixelSpacing": [-1, 1]}, None, "ImagerPixelSpacing is impossible and was not used"),
        ({"ImagerPixelSpacing": [200, 200]}, None, "ImagerPixelSpacing is impossible and was not used"),
        ({"ImagerPixelSpacing": None, "NominalScannedPixelSpacing": [0.1, 0.1]}, (0.1, 0.1), ""),
        ({"PixelSpacing": [0.6, 1.2]}, (0.6, 1.2), "pixels are not square: 0.6 mm high, 1.2 mm wide"),
    ],
)
def test_millimetres_come_from_the_field_that_speaks_of_the_patient(tmp_path, header, spacing_mm, note):
    radiograph = read_radiograph(write_radiograph(tmp_path / "a.dcm", **header))
    assert radiograph.spacing_mm == (None if spacing_mm is None else pytest.approx(spacing_mm))
    assert "; ".join(radiograph.facts.notes) == note


def test_facts_are_the_persons_age_and_sex_and_nothing_that_names_her(tmp_path):
    facts = read_radiograph(write_radiograph(tmp_path / "a.dcm")).facts
    assert facts.age_years == pytest.approx(70.0)
    assert (facts.sex, facts.modality, facts.manufacturer, facts.n_slices) == ("F", "CR", "MAKER", 1)
    assert facts.slice_thickness_mm is None
    assert "SECRET" not in repr(facts).upper()
    unknown = read_radiograph(write_radiograph(tmp_path / "b.dcm", PatientBirthDate="")).facts
    assert unknown.age_years is None
    assert not math.isnan(facts.age_years)

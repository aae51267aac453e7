"""From a folder of radiographs and a table, or from headers alone, to a datalist, and what its check finds."""

from __future__ import annotations

import json

import numpy as np
import pytest
from datalist_cases import write_empty_nifti, write_table
from PIL import Image

from agezoo.data.datalist import datalist_rows, load_datalist
from agezoo.data.datalist_build import build_datalist
from agezoo.data.datalist_check import check_datalist
from agezoo.data.image_search import find_scans, image_stem
from agezoo.errors import InputError
from radiograph_files import spine_image, write_radiograph


def write_png(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(spine_image(bits=8, seed=seed).astype(np.uint8)).save(path)
    return path


def build(folder, rows=None, **options):
    if rows is not None:
        options["table"] = write_table(folder / "table.csv", rows)
    options = {"folds": 0, **options}
    return build_datalist(bundle="spine_age", images=folder, out=folder.parent / "list.json", **options)


@pytest.mark.parametrize(
    ("name", "stem"), [("a.dcm", "a"), ("a.b.png", "a.b"), ("1.2.840.10008", "1.2.840.10008"), ("IM1", "IM1")]
)
def test_the_numbers_of_a_uid_are_no_suffix(tmp_path, name, stem):
    assert image_stem(tmp_path / name) == stem


def test_pictures_are_images_of_the_radiograph_reader_alone(tmp_path):
    write_png(tmp_path / "a.png")
    write_radiograph(tmp_path / "b.dcm")
    found = find_scans(tmp_path, modality="CR", reader="radiograph")
    assert [(scan.names, scan.kind, scan.error) for scan in found] == [(("a",), "", None), (("b",), "radiograph", None)]
    assert [scan.files[0].name for scan in find_scans(tmp_path, modality="CR")] != ["a.png"]


def test_a_table_names_images_and_its_modality_is_kept_as_covariate(tmp_path):
    images = tmp_path / "images"
    rows = []
    for index, kind in enumerate(["radiograph", "VFA", ""]):
        write_png(images / f"{index}.png", seed=index)
        rows.append({"image": f"{index}.png", "subject_id": f"s{index}", "age": 60, "sex": "F", "Modality": kind})
    datalist = build(images, rows).datalist
    assert [row.covariates for row in datalist.training] == [{"modality": "radiograph"}, {"modality": "vfa"}, {}]
    plain = datalist_rows(tmp_path / "list.json", "training")
    assert [row["covariates"]["modality"] for row in plain] == ["radiograph", "vfa", ""]


def test_an_unknown_kind_in_the_table_is_a_fault(tmp_path):
    write_png(tmp_path / "images" / "a.png")
    rows = [{"image": "a.png", "subject_id": "s", "age": 60, "modality": "MRI"}]
    with pytest.raises(InputError, match="modality is 'mri', expected radiograph or vfa"):
        build(tmp_path / "images", rows)


def test_a_subject_is_matched_to_the_lateral_image_and_the_header_fills_kind_age_and_sex(tmp_path):
    images = tmp_path / "images"
    write_radiograph(images / "P1" / "IM1", ViewPosition="AP")
    write_radiograph(images / "P1" / "IM2")
    write_radiograph(images / "P2.dcm", spine_image(seed=2), Modality="OT", Manufacturer="Hologic", PatientSex="M")
    datalist = load_datalist(build(images, [{"subject_id": "P1"}, {"subject_id": "P2"}]).path)
    assert [row.image for row in datalist.training] == ["images/P1/IM2", "images/P2.dcm"]
    assert [row.covariates["modality"] for row in datalist.training] == ["radiograph", "vfa"]
    assert [row.age_years for row in datalist.training] == pytest.approx([70, 70])
    assert [row.sex for row in datalist.training] == ["F", "M"]


def test_a_subject_with_nothing_but_a_frontal_view_is_a_fault_with_the_reason(tmp_path):
    write_radiograph(tmp_path / "images" / "P1.dcm", ViewPosition="AP")
    with pytest.raises(InputError, match=r"line 2: P1\.dcm: .*is a frontal view"):
        build(tmp_path / "images", [{"subject_id": "P1", "age": 60}])


def test_a_named_image_takes_its_age_from_the_header(tmp_path):
    write_radiograph(tmp_path / "images" / "a.dcm")
    datalist = build(tmp_path / "images", [{"image": "a.dcm", "subject_id": "s"}]).datalist
    assert datalist.training[0].age_years == pytest.approx(70)


def test_headers_alone_make_a_datalist_and_what_is_left_out_is_counted(tmp_path):
    images = tmp_path / "images"
    write_radiograph(images / "a.dcm")
    write_radiograph(images / "b.dcm", spine_image(seed=1), Modality="OT", SeriesDescription="VFA")
    write_radiograph(images / "c.dcm", ViewPosition="PA")
    write_radiograph(images / "d.dcm", ViewPosition="AP")
    write_radiograph(images / "e.dcm", spine_image(seed=3), PatientBirthDate="", PatientID="OTHER")
    write_png(images / "f.png")
    write_empty_nifti(images / "g.nii.gz")
    report = build(images)
    assert [(row.subject_id, row.session, row.covariates) for row in report.datalist.training] == [
        ("sub-0001", "ses-1", {"modality": "radiograph"}),
        ("sub-0001", "ses-2", {"modality": "vfa"}),
    ]
    assert report.left_out == {
        "image that is a frontal view": 2,
        "no age in the header": 1,
        "PNG, JPEG or TIFF file, which does not tell the age": 1,
        "image that is a volume, not a radiograph": 1,
    }


def test_pictures_without_a_table_tell_no_age(tmp_path):
    write_png(tmp_path / "images" / "a.png")
    with pytest.raises(InputError, match="PNG, JPEG or TIFF files do not tell the age"):
        build(tmp_path / "images")


def checked(folder, rows, **options):
    path = folder / "list.json"
    rows = [{"subject_id": f"s{index}", "age_years": 70, "fold": index % 2, **row} for index, row in enumerate(rows)]
    path.write_text(json.dumps({"bundle": "spine_age", "training": rows, "folds": 2}))
    faults = check_datalist(path, **options)
    return [str(fault) for fault in faults if "too few to train" not in fault.message]


def test_the_check_tells_unknown_kinds_unusable_images_and_ages_outside_the_range(tmp_path):
    for index, header in enumerate([{}, {"ViewPosition": "AP"}, {"Manufacturer": "Lunar", "Modality": "OT"}, {}]):
        write_radiograph(tmp_path / f"{index}.dcm", spine_image(seed=index), **header)
    write_png(tmp_path / "4.png", seed=4)
    (tmp_path / "5.png").write_bytes(b"no picture")
    faults = checked(
        tmp_path,
        [
            {"image": "0.dcm", "covariates": {"modality": "radiograph"}},
            {"image": "1.dcm"},
            {"image": "2.dcm", "covariates": {"modality": "radiograph"}},
            {"image": "3.dcm", "covariates": {"modality": "CT"}, "age_years": 35},
            {"image": "4.png", "covariates": {"modality": "vfa"}},
            {"image": "5.png"},
        ],
    )
    assert faults == [
        "training[1] (subject s1): 1.dcm is a frontal view (ViewPosition says 'ap')",
        "training[2] (subject s2): modality is radiograph here; taken as a radiograph as asked, but Manufacturer says "
        "'lunar'",
        "training[3] (subject s3): age 35 is outside the 40 to 99 years of spine_age",
        "training[3] (subject s3): modality is 'CT', expected radiograph or vfa",
        "training[3] (subject s3): age is 35 here and 70.0 in the DICOM header",
        "training[5] (subject s5): 5.png is no picture that can be read",
    ]


def test_without_headers_files_stay_closed_and_the_kind_is_still_checked(tmp_path):
    write_radiograph(tmp_path / "0.dcm", ViewPosition="AP")
    write_png(tmp_path / "1.png")
    rows = [{"image": "0.dcm"}, {"image": "1.png", "covariates": {"modality": 2}}]
    assert checked(tmp_path, rows, headers=False) == [
        "training[1] (subject s1): modality is 2, expected radiograph or vfa"
    ]


def test_a_folder_with_one_lateral_image_is_an_image_of_a_datalist(tmp_path):
    write_radiograph(tmp_path / "study" / "ap.dcm", ViewPosition="AP")
    write_radiograph(tmp_path / "study" / "lat.dcm")
    assert checked(tmp_path, [{"image": "study", "fold": None}])[1:] == []
    assert load_datalist(tmp_path / "list.json").training[0].image == "study"

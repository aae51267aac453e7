"""Borders, collimation and shutters are cut away, and what was cut away is known."""

from __future__ import annotations

import numpy as np
import pytest

from agezoo.data.radiograph import read_radiograph
from agezoo.data.radiograph_area import picture_area
from radiograph_files import spine_image, write_radiograph

IMAGE = spine_image()


def framed(value, top=40, bottom=25, left=30, right=50, noise=0.0):
    frame = np.full((240 + top + bottom, 180 + left + right), float(value))
    frame += noise * np.random.default_rng(3).standard_normal(frame.shape)
    frame[top : top + 240, left : left + 180] = IMAGE
    return np.clip(np.rint(frame), 0, 4095).astype(np.uint16)


def read(path, pixels, **header):
    return read_radiograph(write_radiograph(path / "image.dcm", pixels, **header))


@pytest.mark.parametrize(("value", "noise"), [(0, 0), (4095, 0), (3900, 15), (2600, 0)])
def test_black_white_grey_and_unexposed_strips_are_cut_off_at_straight_edges(tmp_path, value, noise):
    radiograph = read(tmp_path, framed(value, noise=noise))
    assert radiograph.area == (40, 30, 240, 180)
    assert radiograph.stored_shape == (305, 260)
    np.testing.assert_array_equal(radiograph.pixels, IMAGE - IMAGE.min())


def test_a_white_strip_inside_a_black_frame_goes_as_well(tmp_path):
    frame = np.zeros((300, 260), np.uint16)
    frame[20:280, 20:250] = 4095
    frame[30:270, 50:230] = IMAGE
    assert read(tmp_path, frame).area == (30, 50, 240, 180)


def test_letters_in_a_border_do_not_keep_it(tmp_path):
    frame = framed(0)
    frame[12:20, 40:80] = 4095
    assert read(tmp_path, frame).area == (40, 30, 240, 180)


def test_air_beside_the_body_ends_at_a_curve_and_is_kept(tmp_path):
    """Air is as flat and as dark as a border: 39 columns of it are nothing else."""
    y, x = np.mgrid[0:240, 0:180]
    air = x > 140 - 40 * ((y - 120) / 120.0) ** 2
    image = np.where(air, 0, IMAGE).astype(np.uint16)
    assert not image[:, 141:].any()
    assert read(tmp_path, image).area == (0, 0, 240, 180)


def test_a_white_strip_beside_air_goes_and_the_air_stays(tmp_path):
    y, x = np.mgrid[0:240, 0:200]
    image = np.zeros((240, 200), np.uint16)
    image[:, :180] = np.where(x[:, :180] > 140 - 40 * ((y[:, :180] - 120) / 120.0) ** 2, 0, IMAGE)
    image[:, 188:] = 4000
    assert read(tmp_path, image).area == (0, 0, 240, 188)


def test_an_image_without_a_border_keeps_all_of_it():
    assert picture_area(IMAGE.astype(np.float32)).slices == (slice(0, 240), slice(0, 180))


def test_a_map_of_the_kept_area_goes_back_to_its_place_in_the_stored_image(tmp_path):
    radiograph = read(tmp_path, framed(0))
    brightest = np.unravel_index(radiograph.pixels.argmax(), radiograph.pixels.shape)
    mark = np.zeros(radiograph.pixels.shape, np.float32)
    mark[brightest] = 1
    stored = radiograph.to_stored(mark, fill=-1)
    assert stored.shape == (305, 260)
    assert np.argwhere(stored == 1).tolist() == [[40 + brightest[0], 30 + brightest[1]]]
    assert (stored == -1).sum() == 305 * 260 - 240 * 180
    with pytest.raises(ValueError, match="kept area's shape"):
        radiograph.to_stored(mark[1:])


@pytest.mark.parametrize("module", ["Shutter", "Collimator"])
def test_rectangular_shutters_count_rows_and_columns_from_one(tmp_path, module):
    """The edges themselves are covered (DICOM PS3.3 C.7.6.11): open are rows 21 to 199 and columns 11 to 169."""
    edges = {
        f"{module}Shape": "RECTANGULAR",
        f"{module}UpperHorizontalEdge": 20,
        f"{module}LowerHorizontalEdge": 200,
        f"{module}LeftVerticalEdge": 10,
        f"{module}RightVerticalEdge": 170,
    }
    radiograph = read(tmp_path, IMAGE, **edges)
    assert radiograph.area == (20, 10, 179, 159)
    kept = IMAGE[20:199, 10:169].astype(np.float32)
    np.testing.assert_array_equal(radiograph.pixels, kept - kept.min())


def test_a_shutter_just_outside_the_image_covers_nothing(tmp_path):
    edges = {"ShutterUpperHorizontalEdge": 0, "ShutterLowerHorizontalEdge": 241}
    edges |= {"ShutterLeftVerticalEdge": 0, "ShutterRightVerticalEdge": 181}
    assert read(tmp_path, IMAGE, ShutterShape="RECTANGULAR", **edges).area == (0, 0, 240, 180)


def test_a_circular_shutter_leaves_its_square_with_dark_corners(tmp_path):
    header = {"ShutterShape": "CIRCULAR", "CenterOfCircularShutter": [120, 90], "RadiusOfCircularShutter": 75}
    radiograph = read(tmp_path, np.maximum(IMAGE, 800), **header)
    top, left, rows, columns = radiograph.area
    assert (top, left, rows, columns) == (44, 14, 151, 151)
    corner_and_centre = radiograph.pixels[0, 0], radiograph.pixels[75, 75]
    assert corner_and_centre[0] == 0
    assert corner_and_centre[1] > 0


def test_a_polygonal_shutter_covers_what_is_outside_of_it(tmp_path):
    vertices = [20, 20, 20, 160, 220, 160, 220, 20]
    area = read(tmp_path, IMAGE, ShutterShape="POLYGONAL", VerticesOfThePolygonalShutter=vertices).area
    np.testing.assert_allclose(area, (19, 19, 201, 141), atol=1)


def test_two_shutters_leave_what_is_inside_both(tmp_path):
    header = {
        "ShutterShape": ["RECTANGULAR", "CIRCULAR"],
        "ShutterUpperHorizontalEdge": 0,
        "ShutterLowerHorizontalEdge": 241,
        "ShutterLeftVerticalEdge": 15,
        "ShutterRightVerticalEdge": 181,
        "CenterOfCircularShutter": [120, 90],
        "RadiusOfCircularShutter": 100,
    }
    assert read(tmp_path, IMAGE, **header).area == (19, 15, 201, 165)


@pytest.mark.parametrize(
    "header",
    [
        {
            "CollimatorShape": "RECTANGULAR",
            "CollimatorLeftVerticalEdge": -184,
            "CollimatorRightVerticalEdge": 184,
            "CollimatorUpperHorizontalEdge": 907,
            "CollimatorLowerHorizontalEdge": 1299,
        },
        {"CollimatorShape": "RECTANGULAR"},
        {"ShutterShape": "CIRCULAR", "CenterOfCircularShutter": [120, 90], "RadiusOfCircularShutter": 5},
        {"ShutterShape": "POLYGONAL", "VerticesOfThePolygonalShutter": [1, 1, 5, 5]},
        {"ShutterShape": "BITMAP"},
    ],
    ids=lambda header: next(iter(header.values())),
)
def test_shutters_that_fit_no_image_are_not_used(tmp_path, header):
    assert read(tmp_path, IMAGE, **header).area == (0, 0, 240, 180)

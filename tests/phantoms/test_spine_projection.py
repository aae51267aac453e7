"""The projection shows the signs where the labels say, and the detector keeps them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agezoo.phantoms.spine_anatomy import Pose, SpineSubject, subject_signs
from agezoo.phantoms.spine_detector import DxaScan, Exposure, dxa_display, radiograph_display
from agezoo.phantoms.spine_labels import LABELS, VERTEBRAL_COLUMN
from agezoo.phantoms.spine_projection import Projection, View, project_spine
from agezoo.phantoms.spine_soft_tissue import Breath
from agezoo.phantoms.spine_storage import Storage, store_picture

PIXEL_MM = 0.9
VIEW = View(
    rows=520, columns=260, pixel_mm=PIXEL_MM, sacrum_from_bottom_mm=55, spine_from_front_mm=130, faces_right=False
)
EXPOSURE = Exposure(
    quanta=1e6,
    scatter_share=0.3,
    blur_mm=0.2,
    latitude=0.6,
    sharpening=0.5,
    black=0.01,
    white=0.998,
    collimation_mm=(0.0, 0.0, 0.0, 0.0),
    shutter=False,
    marker=None,
)
SCAN = DxaScan(noise=0.03, blur_mm=0.9, tissue_left=0.08, contrast=0.45, base=0.23)


def project(age_years: float, **view: object) -> Projection:
    subject = SpineSubject("PHANTOM-S0001", (0, 3), "F", age_years, 0.0, stature=1.05, fatness=0.0)
    pose, breath = Pose(tilt_deg=2.0, bend_deg=0.0, turn_mm=5.0, obliquity=0.4), Breath(dome_mm=0.0, gas_seed=1)
    return project_spine(subject, subject_signs(subject), pose, breath, replace(VIEW, **view))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def young() -> Projection:
    return project(42.0)


@pytest.fixture(scope="module")
def old() -> Projection:
    return project(88.0)


def mean_where(picture: np.ndarray, projection: Projection, *names: str) -> float:
    return float(picture[np.isin(projection.labels, [LABELS[name] for name in names])].mean())


def test_labels_hold_what_they_are_named_after(young: Projection, old: Projection) -> None:
    for projection in (young, old):
        assert mean_where(projection.bone, projection, "vertebral_bodies") > 2 * mean_where(
            projection.bone, projection, "discs"
        )
        assert set(np.unique(projection.labels)) <= set(LABELS.values())
    assert mean_where(old.bone, old, "aorta_calcification") > 0.1
    assert set(VERTEBRAL_COLUMN) < set(LABELS)


def test_age_shows_in_bone_plaques_and_osteophytes(young: Projection, old: Projection) -> None:
    assert mean_where(old.bone, old, "vertebral_bodies") < 0.75 * mean_where(young.bone, young, "vertebral_bodies")
    for name in ("aorta_calcification", "osteophytes"):
        area = [np.count_nonzero(projection.labels == LABELS[name]) for projection in (young, old)]
        assert area[1] > 3 * area[0] + 100
    area = [np.count_nonzero(projection.labels == LABELS["discs"]) for projection in (young, old)]
    assert area[1] < 0.8 * area[0]


def test_lungs_are_lucent_and_the_room_is_air(young: Projection) -> None:
    rows = young.tissue.shape[0]
    front = young.tissue[:, 20:60]
    assert front[int(0.2 * rows) : int(0.3 * rows)].mean() < 0.7 * front[int(0.6 * rows) : int(0.8 * rows)].mean()
    assert young.tissue[int(0.6 * rows), -1] == 0.0


def test_facing_the_other_way_mirrors_the_image(young: Projection) -> None:
    other = project(42.0, faces_right=True)
    assert np.array_equal(other.labels, young.labels[:, ::-1])
    assert np.array_equal(other.bone, young.bone[:, ::-1])


def test_radiograph_and_dxa_show_bone_bright(young: Projection) -> None:
    radiograph = radiograph_display(young, EXPOSURE, PIXEL_MM, seed=1)
    dxa = dxa_display(young, SCAN, PIXEL_MM, seed=1)
    for picture in (radiograph, dxa):
        assert picture.dtype == np.float32
        assert 0.0 <= picture.min() < picture.max() <= 1.0
        # Below the diaphragm, where the background is even.
        lumbar = Projection(*(part[300:] for part in (young.bone, young.tissue, young.labels)))
        bodies, discs = (mean_where(picture[300:], lumbar, name) for name in ("vertebral_bodies", "discs"))
        assert bodies > discs + 0.05
    # DXA is the darker picture, and two energies leave little of the soft tissue.
    assert mean_where(dxa, young, "vertebral_bodies") < mean_where(radiograph, young, "vertebral_bodies") - 0.1


def test_borders_and_lead_are_where_they_were_put(young: Projection) -> None:
    exposure = replace(EXPOSURE, collimation_mm=(18.0, 0.0, 0.0, 9.0), marker=("L", 0.2, 0.1))
    picture = radiograph_display(young, exposure, PIXEL_MM, seed=1)
    assert (picture[:19] == np.float32(0.97)).all()
    assert (picture[:, -9:] == np.float32(0.97)).all()
    assert (radiograph_display(young, replace(exposure, shutter=True), PIXEL_MM, seed=1)[:19] == 0).all()
    stem = picture[106:116, 25:27]
    assert stem.mean() > picture[106:116, 32:40].mean() + 0.15


@pytest.mark.parametrize("kind", ["cr_10_bit", "dx_12_bit", "dx_lut", "dx_inverted", "cr_8_bit", "secondary_capture"])
def test_stored_values_give_the_picture_back(kind: str) -> None:
    picture = np.linspace(0.0, 1.0, 256, dtype=np.float32).reshape(16, 16)
    pixels = store_picture(picture, Storage(kind=kind, gamma=1.2, compressed=False, spacing=0))
    values = pixels.values.astype(np.float64)
    assert values.max() < 2**pixels.bits_stored
    if pixels.lut is not None:
        shown = pixels.lut[pixels.values] / (2**pixels.lut_bits - 1)
    elif pixels.window is not None:
        # The linear window function of DICOM PS3.3, C.11.2.1.2.1.
        centre, width = pixels.window
        shown = np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)
    else:
        shown = values / 255
    shown = 1 - shown if pixels.inverted else shown
    assert np.abs(shown - picture**1.2).max() < 1.2 / min(2**pixels.bits_stored, 4096)

"""Rows as items: what is cached, what chance does, and what happens to a case that cannot be read."""

from __future__ import annotations

import logging
import math
import os
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import DataLoader, MetaTensor, decollate_batch
from monai.transforms import Compose, Lambdad, RandGaussianNoised
from tiny_training import SHAPE, ReadNumbersd, preprocessing, write_cohort

from agezoo import transforms
from agezoo.engines import CohortDataset
from agezoo.engines.cohort_dataset import image_fingerprint, transform_version
from agezoo.errors import InputError


@pytest.fixture
def rows(tmp_path: Path) -> list[dict[str, Any]]:
    return write_cohort(tmp_path / "cohort", 6)


def reader_in(dataset: CohortDataset) -> ReadNumbersd:
    """The reading step, which counts."""
    step = dataset._preprocessing.flatten().transforms[0]  # type: ignore[attr-defined]
    assert isinstance(step, ReadNumbersd)
    return step


def noise() -> Compose:
    return Compose([RandGaussianNoised("image", prob=1.0, std=0.5)])


def images(loader: DataLoader) -> torch.Tensor:
    return torch.cat([batch["image"] for batch in loader])


def test_an_item_holds_image_label_row_and_facts(rows: list[dict[str, Any]]) -> None:
    item = CohortDataset(rows, preprocessing())[2]
    expected = np.loadtxt(rows[2]["image"]).reshape(SHAPE) / 2
    assert item["image"].numpy() == pytest.approx(expected, abs=1e-6)
    assert item["image"].dtype is torch.float32
    assert item["label"].tolist() == [pytest.approx(rows[2]["age_years"], abs=1e-4)]
    assert (item["row"], item["error"], item["header_age_years"], item["header_sex"]) == (2, "", 77.5, "F")
    assert item["field_of_view_mm"].tolist() == [300.0, 200.0, 400.0]


def test_where_the_grid_lies_in_the_patient_travels_along_and_is_nan_where_unknown(rows: list[dict[str, Any]]) -> None:
    affine = np.diag([-2.5, 2.5, 3.0, 1.0]).astype(np.float32)

    def placed(data: dict[str, Any]) -> dict[str, Any]:
        known = {"grid_affine": affine} if data["image"] == rows[0]["image"] else {}
        return {"image": torch.zeros(1, 4, 4, 4), "image_facts": known}

    loader = DataLoader(CohortDataset(rows[:2], placed), batch_size=2)
    known, unknown = decollate_batch(next(iter(loader)))
    np.testing.assert_array_equal(known["grid_affine"], affine)
    assert unknown["grid_affine"].shape == (4, 4)
    assert torch.isnan(unknown["grid_affine"]).all()


def test_unknown_age_is_nan_and_never_zero(rows: list[dict[str, Any]]) -> None:
    dataset = CohortDataset([{"image": rows[0]["image"]}, {**rows[0], "age_years": None}], preprocessing())
    assert all(math.isnan(float(dataset[i]["label"])) for i in range(2))


def test_the_image_is_a_plain_tensor(rows: list[dict[str, Any]]) -> None:
    """A batch may mix good cases and placeholders, and MONAI cannot collate tensors with and without meta data."""
    with_meta = Compose([ReadNumbersd(), Lambdad("image", MetaTensor)])
    assert type(CohortDataset(rows, with_meta)[0]["image"]) is torch.Tensor


def test_cached_equals_uncached(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    plain = CohortDataset(rows, preprocessing())
    for _ in range(2):
        cached = CohortDataset(rows, preprocessing(), cache_dir=tmp_path / "cache")
        for i in range(len(rows)):
            one, two = plain[i], cached[i]
            assert one.keys() == two.keys()
            for name in one:
                if isinstance(one[name], str):
                    assert one[name] == two[name], name
                else:
                    a, b = (torch.as_tensor(item[name], dtype=torch.float64) for item in (one, two))
                    assert torch.equal(a.nan_to_num(-1e9), b.nan_to_num(-1e9)), name


def test_each_image_is_read_once_even_behind_nested_transforms(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    """MONAI's PersistentDataset takes a nested Compose for a random step and keeps nothing."""
    first = CohortDataset(rows, preprocessing(), noise(), cache_dir=tmp_path / "cache")
    second = CohortDataset(rows[::-1], preprocessing(), cache_dir=tmp_path / "cache")
    for _ in range(2):
        assert len([first[i] for i in range(len(rows))]) == len([second[i] for i in range(len(rows))]) == 6
    assert reader_in(first).count == 6
    assert reader_in(second).count == 0


def test_augmentation_is_not_cached(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    dataset = CohortDataset(rows, preprocessing(), noise(), cache_dir=tmp_path / "cache")
    dataset.set_epoch(1)
    first = dataset[0]["image"]
    dataset.set_epoch(2)
    assert not torch.equal(dataset[0]["image"], first)
    plain = CohortDataset(rows, preprocessing())[0]["image"]
    assert torch.equal(CohortDataset(rows, preprocessing(), cache_dir=tmp_path / "cache")[0]["image"], plain)


def test_an_edited_file_is_read_again(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    dataset = CohortDataset(rows, preprocessing(), cache_dir=tmp_path / "cache")
    dataset[0]
    path = Path(rows[0]["image"])
    size, time = path.stat().st_size, path.stat().st_mtime_ns
    np.savetxt(path, np.full(16, 1.5))
    assert path.stat().st_size != size or path.stat().st_mtime_ns != time
    assert dataset[0]["image"].unique().tolist() == [0.75]
    assert reader_in(dataset).count == 2


def test_a_rows_mask_reaches_the_preprocessing_and_its_edits_are_noticed(
    rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    seen: list[str | None] = []

    def masked(data: dict[str, Any]) -> dict[str, Any]:
        seen.append(data.get("mask"))
        return {"image": torch.zeros(1, 2, 2)}

    mask = tmp_path / "labels.nii.gz"
    mask.write_bytes(b"first")
    with_mask = [{**rows[0], "mask": str(mask)}, {**rows[1], "mask": ""}]
    dataset = CohortDataset(with_mask, masked, cache_dir=tmp_path / "cache")
    for _ in range(2):
        dataset[0], dataset[1]
    assert seen == [str(mask), None], "the second round comes from the cache"
    mask.write_bytes(b"another one")
    dataset[0], dataset[1]
    assert seen[2:] == [str(mask)]
    (tmp_path / "labels.json").write_text("{}")
    dataset[0], dataset[1]
    assert seen[3:] == [str(mask)], "names of labels count too"


def test_an_edit_of_the_same_size_within_a_folder_is_noticed(tmp_path: Path) -> None:
    """As a scan whose slice was replaced: the folder's own time of change stays."""
    folder = tmp_path / "scan" / "series"
    folder.mkdir(parents=True)
    (folder / "1.dcm").write_bytes(b"old")
    before = image_fingerprint(tmp_path / "scan", "v")
    assert image_fingerprint(str(tmp_path / "scan"), "v") == before
    status = (folder / "1.dcm").stat()
    (folder / "1.dcm").write_bytes(b"new")
    os.utime(folder / "1.dcm", ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))
    assert image_fingerprint(tmp_path / "scan", "v") != before
    assert image_fingerprint([folder / "1.dcm"], "v") != image_fingerprint([folder / "1.dcm"], "w")


def test_other_settings_are_read_again(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    CohortDataset(rows, preprocessing(), cache_dir=tmp_path / "cache")[0]
    doubled = CohortDataset(rows, preprocessing(scale=2.0), cache_dir=tmp_path / "cache")
    assert torch.equal(doubled[0]["image"], CohortDataset(rows, preprocessing(scale=2.0))[0]["image"])
    assert reader_in(doubled).count == 1


def test_every_setting_of_the_ct_recipe_changes_the_cache_key() -> None:
    def recipe(**changed: Any) -> Compose:
        s = {"grid": [112, 112, 224], "fill": -1024, "threshold": -600, "outside": -1024, "thickness": 10, "m": "CT"}
        s |= changed
        return Compose(
            [
                transforms.LoadVolumed("image", modality=s["m"]),
                transforms.ResampleToGridd("image", grid=s["grid"], fill=s["fill"]),
                transforms.MaskToBodyd("image", threshold=s["threshold"], outside=s["outside"]),
                transforms.CentralSlabProjectiond("image", thickness=s["thickness"]),
                transforms.ScaleToUnitd("image"),
            ]
        )

    assert transform_version(recipe()) == transform_version(recipe())
    changes: list[dict[str, Any]] = [
        {"grid": [112, 112, 200]}, {"fill": -1000}, {"threshold": -500}, {"outside": -1000}, {"thickness": 8},
        {"m": "PT"},
    ]  # fmt: skip
    versions = {transform_version(recipe(**change)) for change in changes}
    assert len(versions | {transform_version(recipe())}) == 7
    assert transform_version(Compose(recipe().transforms[:-1])) not in versions, "a step left out"


def test_settings_that_are_arrays_or_functions_change_the_cache_key() -> None:
    one, two = Lambdad("image", np.flipud), Lambdad("image", np.fliplr)
    assert transform_version(one) != transform_version(two)
    one, two = ReadNumbersd(), ReadNumbersd()
    one.scale, two.scale = np.array([1.0, 2.0]), np.array([1.0, 3.0])  # type: ignore[assignment]
    assert transform_version(one) != transform_version(two)


def test_use_and_chance_do_not_change_the_cache_key(rows: list[dict[str, Any]]) -> None:
    steps = preprocessing()
    version = transform_version(steps)
    steps.set_random_state(seed=4)
    assert transform_version(steps) == version
    assert " at 0x" not in version, "an address would be another one in every process"


@pytest.mark.parametrize("content", [b"", b"half a file"])
def test_a_cache_file_that_a_kill_cut_short_is_made_again(
    rows: list[dict[str, Any]], tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = CohortDataset(rows, preprocessing(), cache_dir=tmp_path / "cache")
    whole = dataset[0]["image"]
    (kept,) = (tmp_path / "cache").iterdir()
    good = kept.read_bytes()
    for damage in (content, good[:-200]):
        kept.write_bytes(damage)
        with caplog.at_level(logging.WARNING, logger="agezoo"):
            assert torch.equal(dataset[0]["image"], whole)
        assert "damaged, made again" in caplog.text
        assert torch.load(kept, weights_only=True).keys() >= {"image", "image_facts"}
    assert list((tmp_path / "cache").iterdir()) == [kept]


def test_the_cache_runs_no_code_from_its_files(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {tmp_path / 'marker'}",)

    dataset = CohortDataset(rows, preprocessing(), cache_dir=tmp_path / "cache")
    dataset[0]
    (kept,) = (tmp_path / "cache").iterdir()
    torch.save(Hostile(), kept)
    assert dataset[0]["image"].shape == SHAPE
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("cached", [False, True])
def test_augmentation_is_the_same_for_any_number_of_workers(
    rows: list[dict[str, Any]], tmp_path: Path, cached: bool
) -> None:
    """Also with workers that live on from epoch to epoch, which must hear of the new epoch."""
    batches = {}
    for workers in (0, 2):
        cache = tmp_path / "cache" if cached else None
        dataset = CohortDataset(rows, preprocessing(), noise(), cache_dir=cache, seed=1)
        loader = DataLoader(dataset, batch_size=2, num_workers=workers, persistent_workers=workers > 0)
        epochs = []
        for epoch in (1, 2, 1):
            dataset.set_epoch(epoch)
            epochs.append(images(loader))
        batches[workers] = epochs
    for alone, shared in zip(batches[0], batches[2], strict=True):
        assert torch.equal(alone, shared)
    one, two, again = batches[0]
    assert not torch.equal(one, two), "another epoch, another draw"
    assert torch.equal(one, again), "the same epoch, the same draw"


def test_augmentation_differs_between_rows_and_seeds(tmp_path: Path) -> None:
    path = write_cohort(tmp_path / "cohort", 1)[0]["image"]
    twice = [{"image": path, "age_years": 50.0}] * 2
    dataset = CohortDataset(twice, preprocessing(), noise(), seed=1)
    assert not torch.equal(dataset[0]["image"], dataset[1]["image"])
    assert not torch.equal(dataset[0]["image"], CohortDataset(twice, preprocessing(), noise(), seed=2)[0]["image"])


def test_chance_elsewhere_does_not_reach_the_augmentation(rows: list[dict[str, Any]]) -> None:
    dataset = CohortDataset(rows, preprocessing(), noise(), seed=1)
    first = dataset[3]["image"]
    np.random.seed(99)  # noqa: NPY002
    torch.manual_seed(99)
    dataset[1]
    assert torch.equal(dataset[3]["image"], first)


def test_dataset_travels_to_spawned_workers(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    """Windows, macOS and Python 3.14 start workers with a pickled dataset."""
    dataset = CohortDataset(rows, preprocessing(), noise(), cache_dir=tmp_path / "cache")
    assert len(ForkingPickler.dumps(dataset)) > 0


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("workers", [0, 1])
def test_a_bad_case_stops_a_training_with_the_users_message(
    rows: list[dict[str, Any]], tmp_path: Path, cached: bool, workers: int
) -> None:
    """Neither MONAI's wrapping nor a worker's stack trace stands around it."""
    absent = {"image": str(tmp_path / "absent.txt"), "age_years": 50.0}
    dataset = CohortDataset([absent], preprocessing(), cache_dir=tmp_path / "cache" if cached else None)
    batches = iter(DataLoader(dataset, num_workers=workers))
    with pytest.raises(InputError) as caught:
        next(batches)
    if workers:
        batches._shutdown_workers()  # type: ignore[attr-defined]
    assert str(caught.value) == f"{tmp_path / 'absent.txt'}: no such file"


@pytest.mark.parametrize("workers", [0, 2])
def test_bad_cases_become_placeholders_beside_good_ones(
    rows: list[dict[str, Any]], tmp_path: Path, workers: int
) -> None:
    short = tmp_path / "short.txt"
    short.write_text("1 2 3")
    mixed = [
        rows[0],
        {"image": str(tmp_path / "absent.txt"), "age_years": 61.0},
        {"image": [], "error": "no usable series", "reading_notes": "2 series"},
        {**rows[1], "reading_notes": "2 series, chose the thinner"},
        {"image": str(short)},
    ]
    dataset = CohortDataset(
        mixed, preprocessing(), cache_dir=tmp_path / "cache", on_error="placeholder", image_shape=SHAPE
    )
    (batch,) = DataLoader(dataset, batch_size=5, num_workers=workers)
    assert batch["image"].shape == (5, *SHAPE)
    cases = decollate_batch(batch)
    assert all(value is not None for case in cases for value in case.values())
    errors = [case["error"] for case in cases]
    assert errors[0] == errors[3] == ""
    assert errors[1] == f"{tmp_path / 'absent.txt'}: no such file"
    assert errors[2] == "no usable series"
    assert errors[4] == "ArithmeticError: not 16 numbers", "not MONAI's words around it"
    assert [int(case["row"]) for case in cases] == [0, 1, 2, 3, 4]
    assert cases[3]["reading_notes"] == "2 series, chose the thinner"
    assert float(cases[1]["label"]) == 61.0
    blank = [not case["image"].any() for case in cases]
    assert blank == [False, True, True, False, True]
    assert math.isnan(cases[1]["header_age_years"])
    assert cases[1]["field_of_view_mm"].isnan().all()


def test_a_failure_of_ours_is_logged_with_its_trace(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "short.txt").write_text("1 2 3")
    dataset = CohortDataset([{"image": str(tmp_path / "short.txt")}], preprocessing(), on_error="placeholder")
    dataset[0]
    assert "unexpected failure while reading a case" in caplog.text
    assert "Traceback" in caplog.text
    caplog.clear()
    CohortDataset([{"image": "absent.txt"}], preprocessing(), on_error="placeholder")[0]
    assert "unexpected" not in caplog.text, "the user's own fault stands in the table"


def test_the_cache_keeps_nothing_of_a_failure(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    late = {"image": str(tmp_path / "late.txt")}
    dataset = CohortDataset([late], preprocessing(), cache_dir=tmp_path / "cache", on_error="placeholder")
    assert dataset[0]["error"]
    np.savetxt(tmp_path / "late.txt", np.ones(16))
    assert dataset[0]["error"] == ""


def test_unknown_way_with_errors_is_refused() -> None:
    with pytest.raises(ValueError, match="on_error must be 'raise' or 'placeholder', got 'skip'"):
        CohortDataset([], preprocessing(), on_error="skip")

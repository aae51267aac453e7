"""An atlas of a toy cohort: planted maps are found where they were planted, however often the run is stopped."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch

from agezoo.cli import main
from agezoo.data.datalist import datalist_rows, load_datalist, save_datalist
from agezoo.data.masked_cohort import read_labels
from agezoo.engines import config_part
from agezoo.errors import InputError
from agezoo.explain.attribution import explain
from agezoo.explain.noise_background import noise_options
from agezoo.networks import WholeBodyResNet
from agezoo.registry import bundle_root
from agezoo.transforms.body import body_registration
from agezoo.workflows import atlas as atlas_module
from agezoo.workflows.atlas import Atlas, population_atlas
from agezoo.workflows.atlas_maps import MapMaker, PatientMap
from agezoo.workflows.atlas_merge import merge_atlases
from atlas_bodies import LABELS, write_cohort

N = 6
TABLES = ("cases.csv", "regions.csv", "registration_overlap.csv")


class HeartMap:
    """Four fifths of the map in the heart, negative in the spine."""

    def __init__(self, fails: str = "", stops_at: int = -1) -> None:
        self.fails, self.left = fails, stops_at

    def __call__(self, row: Mapping[str, Any], mask: str = "") -> PatientMap:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        if row["subject_id"] == self.fails:
            raise ValueError("no map today")
        labels = read_labels(Path(mask))
        heart, spine = labels.hu == LABELS["heart"], labels.hu == LABELS["spine"]
        return PatientMap((0.8 * heart / heart.sum() - 0.2 * spine / spine.sum()).astype(np.float32), labels.affine)


@pytest.fixture(autouse=True, scope="module")
def few_steps() -> Any:
    """A toy body needs no long search."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(body_registration, "AFFINE_ITERATIONS", 30)
        patch.setattr(body_registration, "SPLINE_ITERATIONS", 20)
        patch.setattr(body_registration, "SAMPLES", 600)
        yield


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cohort(tmp_path_factory.mktemp("bodies"), N)


@pytest.fixture(scope="module")
def table(cohort: Path) -> Path:
    """Predictions of 24 people, the cohort's six first; two of them with gaps far beyond the others'."""
    gaps = [15.0, -15.0] + [0.5, -0.5] * 11
    ages = [*np.linspace(46, 84, N), *np.linspace(46, 84, 24 - N)]
    rows = {
        "subject_id": [f"person-{i}" for i in range(24)],
        "age_years": ages,
        "sex": ["F", "M"] * 12,
        "predicted_age_years": np.add(ages, gaps),
        "weights_origin": "trained",
    }
    path = cohort.parent / "predictions.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def made(cohort: Path, table: Path, out: Path, **options: Any) -> Atlas:
    given = {
        "make_map": HeartMap(),
        "predictions": table,
        "registration_mm": 12.0,
        "template_subjects": 3,
        "shuffles": 20,
        "report": False,
        **options,
    }
    return population_atlas("wholebody_mr", [cohort], out, **given)


@pytest.fixture(scope="module")
def whole(cohort: Path, table: Path, tmp_path_factory: pytest.TempPathFactory) -> Atlas:
    return made(cohort, table, tmp_path_factory.mktemp("atlas"))


def volume(atlas: Atlas, name: str) -> np.ndarray:
    return np.asarray(nib.load(atlas.folder / f"{name}.nii.gz").dataobj)


def same(one: Atlas, other: Atlas) -> None:
    for name in TABLES:
        first, second = pd.read_csv(one.folder / name), pd.read_csv(other.folder / name)
        pd.testing.assert_frame_equal(first, second, rtol=1e-6, atol=1e-7)
    paths = sorted(path.name for path in (one.folder / "population").glob("*.nii.gz"))
    assert paths == sorted(path.name for path in (other.folder / "population").glob("*.nii.gz"))
    for path in paths:
        values = [np.asarray(nib.load(a.folder / "population" / path).dataobj) for a in (one, other)]
        np.testing.assert_allclose(*values, rtol=1e-5, atol=1e-10, err_msg=path)
    with np.load(one.folder / "population" / "null.npz") as a, np.load(other.folder / "population" / "null.npz") as b:
        assert a.files == b.files
        for group in a.files:
            np.testing.assert_allclose(a[group], b[group], rtol=1e-9)


def test_the_planted_region_has_the_largest_share(whole: Atlas) -> None:
    cases = whole.cases
    assert whole.n_left_out == 0
    assert cases["share:heart"].mean() == pytest.approx(0.8, abs=0.12)
    assert (cases["share:heart"] > cases["share:spine"]).all()
    assert (cases["share:liver"] < 0.1).all()
    assert (cases["signed:heart"] > 1).all()
    assert (cases["signed:spine"] < 0).all()
    overlap = pd.read_csv(whole.folder / "registration_overlap.csv")
    assert set(overlap["region"]) == set(LABELS)
    assert overlap["dice"].mean() > 0.7
    regions = pd.read_csv(whole.folder / "regions.csv")
    assert dict(zip(regions["region"], regions["label"], strict=True)) == LABELS


def test_mean_maps_and_chance_belong_to_their_groups(whole: Atlas) -> None:
    mask = volume(whole, "template/mask") > 0
    labels = volume(whole, "template/labels")
    mean = volume(whole, "population/all_mean")
    assert mean[mask].sum() == pytest.approx(1.0, abs=0.02)
    assert (mean[~mask] == 0).all()
    assert mean[labels == LABELS["heart"]].mean() > 5 * mean[mask].mean()
    assert volume(whole, "population/all_signed_mean")[labels == LABELS["spine"]].mean() < 0
    assert volume(whole, "population/all_count").max() == N
    female, male = volume(whole, "population/female_mean"), volume(whole, "population/male_mean")
    np.testing.assert_allclose((female + male) / 2, mean, atol=1e-4 * mean.max())
    assert list(whole.cases["ager"]) == ["accelerated", "decelerated", *["typical"] * (N - 2)]
    assert volume(whole, "population/accelerated_count").max() == 1
    with np.load(whole.folder / "population" / "null.npz") as null:
        assert null["all"].shape == (20, len(LABELS))
        assert null["all"][:, 0].max() < whole.cases["share:heart"].mean()


def test_the_template_is_told_about(whole: Atlas) -> None:
    facts = (whole.folder / "template" / "template.json").read_text()
    assert '"reference": "person-' in facts
    assert "most of the masks of 3 subjects" in facts


def test_an_interrupted_run_goes_on_and_counts_everybody_once(
    cohort: Path, table: Path, whole: Atlas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atlas_module, "_SAVE_EVERY", 1)
    shared = {"template": whole.folder / "template", "registrations": whole.folder / "registrations"}
    with pytest.raises(KeyboardInterrupt):
        made(cohort, table, tmp_path / "out", make_map=HeartMap(stops_at=3), **shared)
    again = made(cohort, table, tmp_path / "out", **shared)
    assert (again.n_kept, again.n_done) == (3, 3)
    same(again, whole)


def test_shards_merge_to_the_whole(cohort: Path, table: Path, whole: Atlas, tmp_path: Path) -> None:
    shared = {"template": whole.folder / "template", "registrations": whole.folder / "registrations"}
    parts = [tmp_path / f"part{i}" for i in (1, 2)]
    for number, part in enumerate(parts, start=1):
        assert len(made(cohort, table, part, shard=(number, 2), **shared).cases) == 3
    same(merge_atlases(parts, tmp_path / "merged", report=False), whole)
    with pytest.raises(InputError, match=r"shards are missing; found: 2"):
        merge_atlases(parts[:1], tmp_path / "half")
    with pytest.raises(InputError, match="given twice"):
        merge_atlases([parts[0], parts[0]], tmp_path / "twice")
    with pytest.raises(InputError, match="no shard"):
        merge_atlases([whole.folder], tmp_path / "none")


def test_poor_registrations_and_failing_cases_are_named_and_left_out(
    cohort: Path, table: Path, whole: Atlas, tmp_path: Path
) -> None:
    overlaps = whole.cases["registration_overlap"]
    worst = str(whole.cases.loc[overlaps.idxmin(), "subject_id"])
    fails = next(name for name in whole.cases["subject_id"] if name != worst)
    result = made(
        cohort,
        table,
        tmp_path,
        template=whole.folder / "template",
        registrations=whole.folder / "registrations",
        min_overlap=float(np.sort(overlaps)[:2].mean()),
        make_map=HeartMap(fails=fails),
    )
    errors = dict(zip(result.cases["subject_id"], result.cases["error"], strict=True))
    assert "poor registration" in errors.pop(worst)
    assert "no map today" in errors.pop(fails)
    assert set(errors.values()) == {""}
    assert volume(result, "population/all_count").max() == N - 2
    assert result.cases.set_index("subject_id").loc[worst, "registration_overlap"] == overlaps.min()


def test_a_network_is_explained_where_the_body_is(cohort: Path, table: Path, whole: Atlas, tmp_path: Path) -> None:
    torch.manual_seed(0)
    settings = {"spacing_factor": 8.0, "stem_channels": 4}
    network = WholeBodyResNet(stem_channels=4).eval()
    maker = MapMaker("wholebody_mr", network, settings=settings, method="hires_cam")
    result = made(
        cohort,
        table,
        tmp_path,
        template=whole.folder / "template",
        registrations=whole.folder / "registrations",
        make_map=maker,
        limit=2,
    )
    assert result.n_left_out == 0
    shares = result.cases[[f"share:{name}" for name in LABELS]].to_numpy(dtype=float)
    assert ((shares >= 0) & (shares <= 1)).all()
    assert volume(result, "population/all_mean").sum() == pytest.approx(1.0, abs=0.05)
    # 45 voxels head to foot where there are 363 of 3 mm. The stem halves two axes, the second layer all three.
    facts = json.loads((result.folder / "atlas.json").read_text(encoding="utf-8"))
    assert facts["map_cell_mm"] == pytest.approx([2 * 8 * 2.232, 4 * 8 * 2.232, 4 * 3.0 * 363 / 45], abs=0.01)


def test_a_map_made_elsewhere_has_no_known_cells(whole: Atlas) -> None:
    facts = json.loads((whole.folder / "atlas.json").read_text(encoding="utf-8"))
    assert facts["map_cell_mm"] is None


def test_what_a_method_takes_away_is_noise_as_everywhere_outside_bodies(cohort: Path) -> None:
    torch.manual_seed(0)
    network = WholeBodyResNet(stem_channels=4).eval()
    settings = {"spacing_factor": 8.0, "stem_channels": 4}
    row = datalist_rows(cohort, "training")[0]
    found = MapMaker("wholebody_mr", network, settings=settings, method="score_cam")(row)
    item = config_part(bundle_root("wholebody_mr"), "train.json", "preprocessing", settings)({"image": row["image"]})
    image = torch.as_tensor(np.asarray(item["image"]), dtype=torch.float32)
    options = noise_options(image)
    expected = explain(network, image[None], "score_cam", signed=True, mask_outside_patient=False, **options)
    np.testing.assert_allclose(found.values, np.where(options["body"], expected, 0), atol=1e-6)
    grey = explain(network, image[None], "score_cam", signed=True, mask_outside_patient=False, body=options["body"])
    assert np.abs(found.values - np.where(options["body"], grey, 0)).max() > 1e-3 * np.abs(found.values).max()


def test_one_section_of_a_datalist_alone(cohort: Path, table: Path, whole: Atlas, tmp_path: Path) -> None:
    listed = load_datalist(cohort)
    rows = listed.training
    halves = listed.model_copy(update={"training": rows[:4], "test": rows[4:]})
    done = {"template": whole.folder / "template", "registrations": whole.folder / "registrations"}
    result = made(save_datalist(halves, cohort.parent / "halves.json"), table, tmp_path, section="test", **done)
    assert list(result.cases["subject_id"]) == [row.subject_id for row in rows[4:]]


def test_a_template_without_regions_says_how_to_get_them(cohort: Path, table: Path, tmp_path: Path) -> None:
    bare = write_cohort(tmp_path / "bare", 3, masks=False)
    out = tmp_path / "out"
    options = ["--template-only", "--template-subjects", "2", "--registration-mm", "12"]
    status = main(["atlas", "wholebody_mr", str(bare), "--out", str(out), *options])
    assert status == 0
    assert (out / "template" / "water.nii.gz").is_file()
    with pytest.raises(InputError, match=r"the template has no regions.*total_mr"):
        made(bare, table, out)
    labels = tmp_path / "labels.nii.gz"
    water = nib.load(out / "template" / "water.nii.gz")
    values = np.zeros(water.shape, dtype=np.uint8)
    values[water.shape[0] // 2, :, :] = 1
    nib.save(nib.Nifti1Image(values, water.affine), labels)
    (tmp_path / "labels.json").write_text('{"middle": 1}')
    shutil.copytree(out / "template", tmp_path / "given")
    maker = _Uniform()
    result = made(bare, table, out, labels=labels, make_map=maker)
    assert "share:middle" in result.cases
    assert not (pd.read_csv(out / "registration_overlap.csv")).size


class _Uniform:
    def __call__(self, row: Mapping[str, Any], mask: str = "") -> PatientMap:
        image: Any = nib.load(row["image"][0])
        return PatientMap(np.ones(image.shape, dtype=np.float32), image.affine)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shard": (1, 2)}, "all shards must share"),
        ({"shard": (3, 2)}, "no such shard"),
        ({"predictions": None}, "needs predictions"),
        ({"network": torch.nn.Identity(), "workers": 2}, "this process alone"),
        ({"shuffles": 0}, "out of range"),
        ({"reference": "nobody"}, "not in the cohort"),
        ({"labels": "labels.nii.gz"}, "in whose space"),
    ],
)
def test_what_does_not_go_together_is_said_before_any_work(
    options: dict[str, Any], message: str, cohort: Path, table: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        made(cohort, table, tmp_path, **options)


def test_other_bundles_have_no_atlas(cohort: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="reads no whole bodies"):
        population_atlas("ct_age", [cohort], tmp_path)

"""The correction as an object: published figures, real residuals, and people it must not be applied to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from agezoo.analysis.accuracy import accuracy_figures
from agezoo.analysis.bias_correction import BiasCorrection, cross_fit, cross_fitted
from agezoo.analysis.bias_methods import METHODS, BiasMethod
from agezoo.data.prediction_table import read_predictions
from agezoo.errors import InputError


def cohort(n: int, *, seed: int = 0, name: str = "sub", folds: int = 0, slope: float = 0.7) -> pd.DataFrame:
    """People whose predictions are drawn to the middle."""
    rng = np.random.default_rng(seed)
    age = rng.uniform(40, 90, n)
    table = pd.DataFrame(
        {
            "subject_id": [f"{name}-{i}" for i in range(n)],
            "age_years": age,
            "predicted_age_years": (1 - slope) * 65 + slope * age + rng.normal(0, 4, n),
        }
    )
    return table.assign(fold=np.arange(n) % folds) if folds else table


def gap_slope(table: pd.DataFrame) -> float:
    known = table.dropna(subset=["corrected_age_years"])
    return float(accuracy_figures(known["age_years"], known["corrected_age_years"])["gap_age_slope"][0])


@pytest.fixture
def published(sample_data: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    table = read_predictions(sample_data / "tables" / "ct_age_published_points.csv")
    return table[table["set"] == "cross_validation"], table[table["set"] == "test"]


@pytest.mark.sample_data
@pytest.mark.parametrize(("method", "mae_years"), [("beheshti", 5.95), ("cole", 6.97)])
def test_published_points(published: tuple[pd.DataFrame, pd.DataFrame], method: BiasMethod, mae_years: float) -> None:
    reference, test = published
    assert (test["predicted_age_years"] - test["age_years"]).abs().mean() == pytest.approx(6.50, abs=0.005)
    corrected = BiasCorrection.fit(reference, method).apply(test)
    assert corrected["corrected_gap_years"].abs().mean() == pytest.approx(mae_years, abs=0.005)
    assert corrected["predicted_age_years"].equals(test["predicted_age_years"])


@pytest.mark.sample_data
def test_the_published_set_it_was_fitted_on_is_refused_though_nobody_is_named(
    published: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    reference, _ = published
    with pytest.raises(InputError, match=r"must not be reported on them.*1653 of 1653 rows"):
        BiasCorrection.fit(reference, "beheshti").apply(reference)


@pytest.mark.sample_data
def test_the_slope_of_a_ridge_model_on_real_brain_volumes_vanishes_out_of_fold(sample_data: Path) -> None:
    """291 people of 40 to 86 years, 259 region volumes each."""
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import KFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    volumes = pd.read_csv(sample_data / "tables" / "ixi_roi_volumes.csv")
    people = pd.read_csv(sample_data / "tables" / "ixi_demographics.csv").merge(volumes, on="ID")
    features, age = people[volumes.columns.drop("ID")].to_numpy(), people["Age"].to_numpy()
    table = pd.DataFrame({"subject_id": people["ID"], "age_years": age, "predicted_age_years": 0.0, "fold": 0})
    for fold, (train, held_out) in enumerate(KFold(5, shuffle=True, random_state=0).split(features)):
        model = make_pipeline(StandardScaler(), Ridge(alpha=1000.0)).fit(features[train], age[train])
        table.loc[held_out, "predicted_age_years"] = model.predict(features[held_out])
        table.loc[held_out, "fold"] = fold
    raw = {name: float(value[0]) for name, value in accuracy_figures(age, table["predicted_age_years"]).items()}
    assert raw["gap_age_slope"] < -0.3, "predictions are drawn to the middle"
    assert raw["mae_years"] < raw["mae_of_guessing_the_mean_years"] - 2
    for method in METHODS:
        corrected = cross_fitted(table, method)
        assert abs(gap_slope(corrected)) < 0.06, method
        assert corrected["predicted_age_years"].equals(table["predicted_age_years"])
    stretched = cross_fitted(table, "cole")
    assert stretched["corrected_gap_years"].std() > 1.1 * (table["predicted_age_years"] - age).std(), "and it says so"


@pytest.mark.parametrize("method", METHODS)
def test_the_gap_of_other_people_no_longer_depends_on_age(method: BiasMethod) -> None:
    corrected = BiasCorrection.fit(cohort(3000), method).apply(cohort(1000, seed=1, name="new"))
    assert abs(gap_slope(corrected)) < 0.05
    assert ("gap_z" in corrected) == (method == "age_level")
    if method == "age_level":
        assert corrected["gap_z"].std() == pytest.approx(1.0, abs=0.1)
    known = corrected.dropna(subset=["corrected_gap_years"])
    assert np.allclose(known["corrected_gap_years"], known["corrected_age_years"] - known["age_years"])


@pytest.mark.parametrize("shared", [1, 50])
def test_one_shared_person_is_enough_to_refuse(shared: int) -> None:
    reference = cohort(50)
    correction = BiasCorrection.fit(reference, "beheshti")
    other = cohort(100, seed=1, name="new")
    other.loc[: shared - 1, "subject_id"] = reference["subject_id"].to_numpy()[:shared]
    with pytest.raises(InputError, match=f"{shared} of 100 rows, e.g. of sub-0.*cross-fit"):
        correction.apply(other)


def test_a_repeat_scan_of_a_person_of_the_reference_is_refused_too() -> None:
    reference = cohort(50)
    later = reference.assign(age_years=reference["age_years"] + 5)
    with pytest.raises(InputError, match="50 of 50 rows"):
        BiasCorrection.fit(reference, "beheshti").apply(later)


def test_phantoms_of_two_cohorts_share_names_and_are_others() -> None:
    reference, other = cohort(50, name="PHANTOM"), cohort(50, seed=1, name="PHANTOM")
    correction = BiasCorrection.fit(reference, "beheshti")
    assert correction.apply(other)["corrected_age_years"].notna().all()
    with pytest.raises(InputError, match="50 of 50 rows"):
        correction.apply(reference)


def test_tables_without_names_and_with_coarse_numbers_are_not_mistaken_for_each_other() -> None:
    def unnamed(seed: int) -> pd.DataFrame:
        table = cohort(600, seed=seed).round(0)
        return table.assign(subject_id=[f"row-{i:05d}" for i in range(600)])

    BiasCorrection.fit(unnamed(0), "beheshti").apply(unnamed(1))


def test_names_do_not_leave_the_table(tmp_path: Path) -> None:
    correction = BiasCorrection.fit(cohort(50, name="CANARY"), "beheshti")
    assert "CANARY" not in correction.save(tmp_path / "correction.json").read_text()
    assert correction.reference.salt not in BiasCorrection.fit(cohort(51, name="CANARY"), "beheshti").reference.salt


@pytest.mark.parametrize("method", METHODS)
def test_saved_and_loaded_it_is_the_same(method: BiasMethod, tmp_path: Path) -> None:
    correction = BiasCorrection.fit(cohort(400), method)
    path = correction.save(tmp_path / "deep" / "correction.json")
    assert BiasCorrection.load(path) == correction
    assert correction.save(tmp_path / "again.json").read_text() == path.read_text()
    new = cohort(50, seed=1, name="new")
    pd.testing.assert_frame_equal(BiasCorrection.load(path).apply(new), correction.apply(new))


@pytest.mark.parametrize(
    ("change", "words"),
    [({"method": "magic"}, "method"), ({"code": "import os"}, "code: Extra"), ({"groups": {"all": {}}}, "groups.all")],
)
def test_a_file_that_is_no_correction_says_what_is_wrong(change: dict[str, object], words: str) -> None:
    document = BiasCorrection.fit(cohort(50), "cole").to_dict() | change
    with pytest.raises(InputError, match=f"not a bias correction.*{words}"):
        BiasCorrection.from_dict(document)


def test_modalities_are_corrected_apart_and_an_unknown_one_is_left_empty() -> None:
    shifted = cohort(200, seed=2, name="v").assign(modality="vfa")
    shifted["predicted_age_years"] += 6
    reference = pd.concat([cohort(200).assign(modality="radiograph"), shifted], ignore_index=True)
    correction = BiasCorrection.fit(reference, "beheshti", by="modality")
    new = cohort(300, seed=3, name="new").assign(modality=["radiograph", "vfa", "ct"] * 100)
    new.loc[new["modality"] == "vfa", "predicted_age_years"] += 6
    corrected, notes = correction.applied(new)
    means = corrected.groupby("modality")["corrected_gap_years"].mean()
    assert means["radiograph"] == pytest.approx(0, abs=1)
    assert means["vfa"] == pytest.approx(0, abs=1)
    assert corrected.loc[corrected["modality"] == "ct", "corrected_age_years"].isna().all()
    assert "100 rows have modality ct, which the reference lacks: not corrected." in notes


def test_a_small_modality_is_an_error_or_left_out_as_asked() -> None:
    reference = cohort(105).assign(modality=["radiograph"] * 100 + ["vfa"] * 5)
    with pytest.raises(InputError, match=r"modality vfa: too few people.*5 with"):
        BiasCorrection.fit(reference, "beheshti", by="modality")
    correction, notes = BiasCorrection.fit_where_possible(reference, "beheshti", by="modality")
    assert list(correction.groups) == ["radiograph"]
    assert notes == ("No correction for modality vfa: too few people to fit a bias correction on (5 with an age and a "
                     "prediction).",)  # fmt: skip
    with pytest.raises(InputError, match="too few people"):
        BiasCorrection.fit_where_possible(reference.head(5), "beheshti")


def test_where_the_age_is_unknown_only_cole_answers() -> None:
    new = cohort(20, seed=1, name="new").assign(age_years=np.nan)
    reference = cohort(200)
    for method in METHODS:
        corrected, notes = BiasCorrection.fit(reference, method).applied(new)
        assert corrected["corrected_age_years"].notna().all() == (method == "cole")
        assert corrected["corrected_gap_years"].isna().all()
        assert any("no known age" in note for note in notes)


def test_rows_without_a_prediction_stay_empty_and_old_corrections_do_not_survive() -> None:
    new = cohort(5, seed=1, name="new").assign(corrected_age_years=99.0, corrected_gap_years=9.0)
    new.loc[2, "predicted_age_years"] = np.nan
    corrected = BiasCorrection.fit(cohort(200), "beheshti").apply(new)
    assert corrected["corrected_age_years"].isna().tolist() == [False, False, True, False, False]
    assert not corrected["corrected_age_years"].isin([99.0]).any()
    assert (new["corrected_age_years"] == 99.0).all(), "the table that was given stays as it was"


def test_ages_outside_the_reference_are_said() -> None:
    new = cohort(3, seed=1, name="new").assign(age_years=[20.0, 60.0, 95.0])
    for method, words in (("beheshti", "corrected by extrapolation"), ("age_level", "not corrected")):
        corrected, notes = BiasCorrection.fit(cohort(400), method).applied(new)
        assert notes == (f"2 rows have an age outside the reference's 40 to 90 years: {words}.",)
        assert corrected["corrected_age_years"].isna().sum() == (2 if method == "age_level" else 0)


def test_each_fold_is_corrected_by_the_people_of_the_others() -> None:
    table = cohort(300, folds=3)
    # Folds of different bias, so that a fit that saw its own fold would show.
    table["predicted_age_years"] += 10.0 * table["fold"]
    corrected, notes, fits = cross_fit(table, "beheshti")
    assert notes == ()
    assert list(fits) == ["0", "1", "2"]
    for fold in range(3):
        by_hand = BiasCorrection.fit(table[table["fold"] != fold], "beheshti").apply(table[table["fold"] == fold])
        mine = corrected.loc[corrected["fold"] == fold, "corrected_age_years"]
        assert mine.to_numpy() == pytest.approx(by_hand["corrected_age_years"].to_numpy())
    assert corrected.loc[corrected["fold"] == 2, "corrected_gap_years"].mean() == pytest.approx(15, abs=1.5)


def test_a_person_in_two_folds_is_not_corrected_by_their_own_scan() -> None:
    table = cohort(100, folds=2)
    table.loc[0:1, "subject_id"] = "twice"
    _, _, fits = cross_fit(table, "beheshti")
    assert [fit.n_rows for fit in fits.values()] == [49, 49]


def test_cross_fitting_says_what_it_cannot_do() -> None:
    with pytest.raises(InputError, match=r"at least two folds.*no such column"):
        cross_fitted(cohort(50), "beheshti")
    with pytest.raises(InputError, match=r"at least two folds.*1 folds"):
        cross_fitted(cohort(50, folds=1), "beheshti")
    with pytest.raises(InputError, match="too few people"):
        cross_fitted(cohort(12, folds=3), "beheshti")
    # The small fold can be corrected by the large one, not the other way round.
    table = cohort(45).assign(fold=[0] * 40 + [1] * 5)
    corrected, notes, _ = cross_fit(table, "beheshti")
    assert corrected["corrected_age_years"].notna().tolist() == [False] * 40 + [True] * 5
    assert notes[0].startswith("Fold 0 is not corrected: too few people")


@pytest.mark.parametrize("name", ["age_years", "predicted_age_years", "site"])
def test_a_missing_column_is_named(name: str) -> None:
    table = cohort(50).drop(columns=name, errors="ignore")
    with pytest.raises(InputError, match=f"columns are missing: {name}"):
        BiasCorrection.fit(table, "beheshti", by="site" if name == "site" else None)

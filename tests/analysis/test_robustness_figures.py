"""Figures of perturbed predictions against hand-computed ones, the published pairs, and the page."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agezoo.analysis.agreement import evaluate_pairs
from agezoo.analysis.plots.perturbed_views import PerturbedImage, PerturbedView, plot_perturbed_views
from agezoo.analysis.repeat_pairs import read_pairs
from agezoo.analysis.robustness import TABLE_COLUMNS, grade_figures, robustness_figures
from agezoo.analysis.robustness_page import write_robustness

BASELINES = (30.0, 50.0, 70.0, 40.0)
MOVED = (32.0, 51.0, 79.0, 40.0)


def row(subject: str, perturbation: str, predicted: float | None, **others: Any) -> dict[str, Any]:
    line = dict.fromkeys(TABLE_COLUMNS)
    return {
        **line,
        "subject_id": subject,
        "perturbation": perturbation,
        "predicted_age_years": predicted,
        "aleatoric_sd_years": None if predicted is None else 3.0,
        "weights_origin": "trained",
        **others,
    }


def table(*more: dict[str, Any], ages: bool = True) -> pd.DataFrame:
    """Four scans, moved by +2, +1, +9 and 0 years; true ages are two years above the predictions."""
    rows = []
    for index, (baseline, moved) in enumerate(zip(BASELINES, MOVED, strict=True)):
        facts = {"baseline_age_years": baseline, "age_years": baseline + 2 if ages else None}
        rows.append(row(f"S{index}", "none", baseline, **facts))
        rows.append(
            row(
                f"S{index}",
                "noise",
                moved,
                grade=50.0,
                unit="HU",
                difference_years=moved - baseline,
                epistemic_sd_years=4.0,
                **facts,
            )
        )
    frame = pd.DataFrame([*rows, *more], columns=TABLE_COLUMNS)
    numbers = [name for name in TABLE_COLUMNS if name == "grade" or name.endswith("_years")]
    return frame.astype(dict.fromkeys(numbers, "float64"))


def test_figures_by_hand():
    figures = robustness_figures(table())
    assert (figures["n_cases"], figures["n_failed"], figures["n_with_age"]) == (4, 0, 4)
    assert figures["baseline_mae_years"] == pytest.approx(2.0)
    (grade,) = figures["perturbations"]["noise"]
    assert (grade["grade"], grade["unit"], grade["n"]) == (50.0, "HU", 4)
    # Perturbed - unperturbed: 2, 1, 9, 0.
    assert grade["mean_difference_years"] == pytest.approx(3.0)
    sd = np.sqrt((1 + 4 + 36 + 9) / 4)
    assert grade["upper_limit_years"] == pytest.approx(3.0 + 1.96 * sd)
    assert grade["lower_limit_years"] == pytest.approx(3.0 - 1.96 * sd)
    assert grade["share_changed_over_5_years"] == pytest.approx(0.25)
    # Total SD 5 (3 and 4), so that 8.2 years are inside the 90 % interval and 9 are not.
    assert grade["baseline_inside_90"] == pytest.approx(0.75)
    assert grade["mean_sd_years"] == pytest.approx(5.0)
    # Errors against ages of 32, 52, 72, 42: 0, 1, 7, 2.
    assert grade["mae_years"] == pytest.approx(2.5)
    assert grade["mae_change_years"] == pytest.approx(0.5)


def test_icc_is_that_of_the_pairs():
    (grade,) = robustness_figures(table())["perturbations"]["noise"]
    assert grade["icc_2_1"] == evaluate_pairs(MOVED, BASELINES)["icc_2_1"]
    assert 0.5 < grade["icc_2_1"] < 1


def test_left_out_and_failed_scans_are_told_apart():
    facts = {"grade": 50.0, "unit": "HU", "baseline_age_years": 50.0}
    more = [
        row("S4", "none", 50.0, baseline_age_years=50.0),
        row("S4", "noise", None, error="not applicable: thick already", **facts),
        row("S5", "none", 50.0, baseline_age_years=50.0),
        row("S5", "noise", None, error="MemoryError: ", **facts),
        row("S6", "none", None, error="cannot be read"),
    ]
    figures = robustness_figures(table(*more))
    assert (figures["n_cases"], figures["n_failed"]) == (6, 1)
    (grade,) = figures["perturbations"]["noise"]
    assert (grade["n"], grade["n_not_applicable"], grade["n_failed"]) == (4, 1, 1)


def test_two_scans_give_a_mean_but_no_limits():
    part = table().query("perturbation == 'noise'").head(2)
    figures = grade_figures(part)
    assert figures["mean_difference_years"] == pytest.approx(1.5)
    assert figures["lower_limit_years"] is None
    assert figures["icc_2_1"] is None


def test_ages_that_nobody_has_are_counted():
    part = table().query("perturbation == 'noise'").copy()
    part["predicted_age_years"] = [-1.0, 0.0, 120.0, 121.0]
    assert grade_figures(part)["n_impossible"] == 2


def test_a_model_that_says_one_age_is_not_called_robust(tmp_path):
    frame = table()
    assert not robustness_figures(frame)["is_constant"]
    assert robustness_figures(frame)["baseline_sd_years"] == pytest.approx(np.std(BASELINES))
    frame["predicted_age_years"] = frame["baseline_age_years"] = 60.0
    assert robustness_figures(frame)["is_constant"]
    assert "got nearly the same age" in page_of(frame, tmp_path)
    # Two scans may well get one age, and people of one age should.
    assert not robustness_figures(frame.iloc[:4])["is_constant"]
    assert not robustness_figures(frame.assign(age_years=61.0))["is_constant"]


def test_without_ages_there_are_no_errors():
    figures = robustness_figures(table(ages=False))
    assert figures["baseline_mae_years"] is None
    assert figures["perturbations"]["noise"][0]["mae_years"] is None
    assert figures["perturbations"]["noise"][0]["n_with_age"] == 0


def repeats(n: int) -> list[dict[str, Any]]:
    sessions = (("first", 40.0), ("repeat", 43.0))
    return [
        row(f"R{i}", "none", age + 10 * i, session=session, age_years=40.0 + 10 * i, baseline_age_years=age + 10 * i)
        for i in range(n)
        for session, age in sessions
    ]


def test_repeat_scans_are_paired_by_subject():
    figures = robustness_figures(table(*repeats(3)))["repeat_scans"]
    assert figures["n_pairs"] == 3
    assert figures["mean_difference_years"] == pytest.approx(-3.0)
    assert robustness_figures(table(*repeats(2)))["repeat_scans"] == {"n_pairs": 2}
    assert robustness_figures(table())["repeat_scans"] == {"n_pairs": 0}


def page_of(frame: pd.DataFrame, out: Any, **options: Any) -> str:
    texts = {"noise": ("White noise", "Noise & more.")}
    write_robustness(frame, out, bundle="ct_age", seed=0, texts=texts, **options)
    text: str = (out / "robustness.html").read_text()
    return text


def test_page_is_self_contained_and_escapes_names(tmp_path):
    bad = row("<script>alert(1)</script>", "none", None, error="cannot be read")
    page = page_of(table(bad, *repeats(3)), tmp_path)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "Noise &amp; more." in page
    assert "http" not in page.replace("http-equiv", "")
    assert page.count("data:image/png") == 4
    assert "Phantom weights" not in page
    for name in ("agreement", "error", "difference_noise", "repeat_scans"):
        assert (tmp_path / "plots" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    stored = json.loads((tmp_path / "robustness.json").read_text())
    assert stored["perturbations"]["noise"][0]["mean_difference_years"] == pytest.approx(3.0)
    assert stored["weights_origin"] == "trained"


def test_page_of_phantom_weights_says_so(tmp_path):
    frame = table(ages=False).assign(weights_origin="phantom")
    assert "Phantom weights" in page_of(frame, tmp_path)
    assert not (tmp_path / "plots" / "error.png").exists()


def test_page_of_two_scans_has_dashes_for_limits(tmp_path):
    page = page_of(table().iloc[:4], tmp_path)
    assert "three are needed for limits of agreement" in page
    assert "–" in page


def test_views_show_the_grey_values_of_the_network():
    view = np.full((6, 4), 0.5, dtype=np.float32)
    views = [
        PerturbedView("as it is", view, view, (300.0, 200.0, 600.0), 50.0),
        PerturbedView("White noise, 100 HU", view * 0.1, view, (300.0, 200.0, 600.0), 47.5),
    ]
    figure = plot_perturbed_views(views)
    first, second = figure.axes[:2]
    assert first.get_title() == "as it is\n50.0 years"
    assert second.get_title().endswith("47.5 years (−2.5)")
    coronal = second.images[0]
    # The same grey window for all, whatever the image's own range.
    assert coronal.get_clim() == (0.0, 1.0)
    assert coronal.get_array()[0, 0] == pytest.approx(0.05)
    assert coronal.get_extent()[1::2] == [300.0, 600.0]


def test_a_radiograph_is_shown_as_its_whole_canvas():
    canvas = np.full((1024, 512), 0.25, dtype=np.float32)
    views = [PerturbedImage("as it is", canvas, 70.04), PerturbedImage("Shift, 40 mm", canvas, 70.31)]
    figure = plot_perturbed_views([*views, PerturbedImage("Motion, 1 mm", canvas, 70.01)])
    titles = [axes.get_title().replace("\n", ": ") for axes in figure.axes[:3]]
    assert titles == ["as it is: 70.0 years", "Shift, 40 mm: 70.3 years (+0.3)", "Motion, 1 mm: 70.0 years (+0.0)"]
    (image,) = figure.axes[1].images
    assert image.get_extent() == [0.0, 512.0, 0.0, 1024.0]
    assert image.get_clim() == (0.0, 1.0)


def rounded_table() -> pd.DataFrame:
    """A head that rounds: 50.4 and 50.6 years are told as 50 and 51."""
    facts = {"baseline_age_years": 50.4, "age_years": 52.0}
    lines = [
        row("S0", "none", 50.0, expected_age_years=50.4, **facts),
        row(
            "S0", "noise", 51.0, expected_age_years=50.6, grade=0.1, unit="of the range", difference_years=0.2, **facts
        ),
    ]
    frame = pd.DataFrame(lines, columns=TABLE_COLUMNS)
    numbers = [name for name in TABLE_COLUMNS if name == "grade" or name.endswith("_years")]
    return frame.astype(dict.fromkeys(numbers, "float64"))


def test_ages_of_a_head_that_rounds_are_compared_before_rounding():
    figures = robustness_figures(rounded_table())
    assert figures["is_unrounded"]
    assert figures["baseline_mae_years"] == pytest.approx(1.6)
    (grade,) = figures["perturbations"]["noise"]
    assert grade["mean_difference_years"] == pytest.approx(0.2)
    assert grade["mae_years"] == pytest.approx(1.4)
    assert not robustness_figures(table())["is_unrounded"]


def test_a_radiograph_and_a_dxa_image_are_no_repeat():
    lines = repeats(3)
    for line in lines:
        line["modality"] = "vfa" if line["session"] == "repeat" else "radiograph"
    assert robustness_figures(table(*lines))["repeat_scans"] == {"n_pairs": 0}
    for line in lines:
        line["modality"] = "radiograph"
    assert robustness_figures(table(*lines))["repeat_scans"]["n_pairs"] == 3


def test_page_of_radiographs_tells_images_and_their_assumed_size(tmp_path):
    frame = table().assign(note=None)
    frame.loc[frame["subject_id"] == "S1", "note"] = "pixel size unknown"
    page = page_of(frame, tmp_path, reader="radiograph")
    assert "1 of 4 images do not state the size of their pixels" in page
    assert "Repeat images" in page
    assert "Hounsfield" not in page
    assert "scan" not in page.replace("repeat-scans", "").replace("imaged", "")
    assert "Hounsfield" in page_of(table(), tmp_path)


@pytest.mark.sample_data
def test_published_robustness_pairs(sample_data):
    pairs = read_pairs(sample_data / "tables" / "ct_age_published_robustness_pairs.csv")
    figures = evaluate_pairs(pairs["first_years"], pairs["second_years"])
    assert figures["n_pairs"] == 424
    limits = (figures["lower_limit_years"], figures["upper_limit_years"])
    assert tuple(round(limit, 2) for limit in limits) == (-8.30, 10.30)
    # The lines drawn in the figure are at -8.54 and 10.50, a little wider than those of its 424 visible points. The
    # lines of the repeat scans' figure are reproduced exactly, so a point or two beyond these axes is likely.
    assert limits == pytest.approx((-8.54, 10.50), abs=0.25)

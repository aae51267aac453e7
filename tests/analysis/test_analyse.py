"""The whole analysis: one page that needs nothing else, tables and figures beside it, and honest gaps."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from agezoo.analysis.analyse import analyse_table
from agezoo.analysis.analysis_page import DrawnPlot, cell_in_words, head_in_words, page_table
from agezoo.analysis.findings import FindingTable
from agezoo.analysis.follow_up_join import joined_follow_up
from agezoo.analysis.plan import AnalysisPlan, EndPoint
from agezoo.cli import build_parser, main
from agezoo.commands.analyse import plan_of
from agezoo.errors import InputError


def predictions(n: int = 160, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    age, deviation = np.round(rng.uniform(50, 85, n), 1), rng.normal(0, 4, n)
    table = pd.DataFrame(
        {
            "subject_id": [f"{i:04d}" for i in range(n)],
            "session": "1",
            "fold": np.arange(n) % 4,
            "age_years": age,
            "sex": rng.choice(["F", "M"], n),
            "predicted_age_years": age + deviation - 0.3 * (age - 67),
            "bmi": rng.normal(26, 4, n),
            "site": rng.choice(["north", "south"], n),
            "diagnosis": rng.choice(["HC", "AD"], n),
            "osteoporosis": (rng.random(n) < 1 / (1 + np.exp(-0.25 * deviation))).astype(int),
            "weights_origin": "phantom",
            "error": None,
        }
    )
    table.loc[:3, "bmi"] = np.nan
    table.loc[4, ["predicted_age_years", "error"]] = [np.nan, "slices are missing"]
    table.loc[5, "age_years"] = np.nan
    again = table.iloc[20:32].assign(session="2")
    again["predicted_age_years"] += rng.normal(0, 2, 12)
    return pd.concat([table, again], ignore_index=True)


def outcomes(table: pd.DataFrame, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    people = table.drop_duplicates("subject_id")
    gap = (people["predicted_age_years"] - people["age_years"]).fillna(0)
    event_at = rng.exponential(8 / np.exp(0.1 * gap))
    end = rng.uniform(2, 8, len(people))
    return pd.DataFrame(
        {
            "subject_id": people["subject_id"],
            "years": np.minimum(event_at, end),
            "fracture": (event_at < end).astype(int),
        }
    )


PLAN = AnalysisPlan(
    labels=["osteoporosis", "diagnosis=AD/HC"],
    groups=["diagnosis", "site"],
    site="site",
    end_points=[EndPoint(name="fracture", time="years", event="fracture")],
    models={"model 1": ["age_years", "sex"], "model 2": ["age_years", "sex", "bmi"]},
)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("analysis")
    table = predictions()
    analyse_table(table, out, PLAN, follow_up=outcomes(table), title="Spine <age>", n_bootstrap=50)
    return out


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes most of the time, and most tests look at no figure."""
    monkeypatch.setattr(
        "agezoo.analysis.analyse.drawn", lambda plot: DrawnPlot(plot.name, plot.alt, plot.reading, b"png", b"svg")
    )


class _Page(HTMLParser):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []
        self.undescribed = 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag not in ("img", "meta", "br"):
            self.open.append(tag)
        self.undescribed += tag == "img" and not values.get("alt")
        self.addresses += [values[name] or "" for name in ("src", "href") if name in values]
        self.ids += [values["id"] or ""] if "id" in values else []

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_page_is_well_formed_and_asks_for_nothing_from_outside(done: Path) -> None:
    text, page = (done / "analysis.html").read_text(encoding="utf-8"), _Page(done / "analysis.html")
    assert page.open == []
    assert page.undescribed == 0
    assert len(set(page.ids)) == len(page.ids)
    assert {a[1:] for a in page.addresses if a.startswith("#")} == set(page.ids)
    assert all(a.startswith(("data:image/", "#")) for a in page.addresses)
    assert not re.search(r"https?://|url\(|@import|<script", text)
    assert "default-src 'none'" in text
    assert "<title>Spine &lt;age&gt;</title>" in text


def test_page_says_what_was_done_and_what_to_mind(done: Path) -> None:
    text = (done / "analysis.html").read_text(encoding="utf-8")
    for words in (
        "The ages mean nothing for real people",
        "cross-fitted: each of 4 folds",
        "no accuracy is claimed",
        "Age therefore stays in every model",
        "An association is no cause",
        "the more is found by chance",
        "1 row without a prediction (left out everywhere), 1 row without a known age (no gap)",
        "nothing is filled in",
    ):
        assert words in text, words


def test_every_analysis_that_the_plan_allows_is_there(done: Path) -> None:
    result = json.loads((done / "analysis.json").read_text(encoding="utf-8"))
    assert [name for name in result["findings"] if not name.startswith("Survival")] == [
        "Bias correction", "Discrimination", "Groups", "Accelerated and decelerated agers", "Sites", "Repeat scans",
    ]  # fmt: skip
    survival = [part for name, part in result["findings"].items() if name.startswith("Survival")]
    assert any("hazard_ratios" in part["tables"] for part in survival)
    assert result["counts"] == {
        "rows": 172,
        "without_a_prediction": 1,
        "analysed_rows": 171,
        "people": 159,
        "without_an_age": 1,
        "with_a_corrected_age": 170,
        "age_min_years": pytest.approx(50, abs=1),
        "age_max_years": pytest.approx(85, abs=1),
    }
    missing = {row["column"]: row["n_missing"] for row in result["missing"]}
    assert (missing["bmi"], missing["age_years"], missing["osteoporosis"]) == (4, 1, 0)
    assert result["findings"]["Repeat scans"]["tables"]["repeat_scans"][0]["n_pairs"] == 12
    assert result["plan"]["labels"] == ["osteoporosis", "diagnosis=AD/HC"]
    assert any(line.startswith("osteoporosis: AUROC of predicted age 0.") for line in result["headlines"])
    assert any(line.startswith("fracture: hazard ratio per SD of the corrected gap") for line in result["headlines"])


def test_files_lie_beside_the_page_and_hold_what_the_json_holds(done: Path) -> None:
    result = json.loads((done / "analysis.json").read_text(encoding="utf-8"))
    found = {p.relative_to(done).as_posix() for p in done.rglob("*") if p.is_file()}
    assert found == {*result["files"], "analysis.json", "analysis.html"}
    odds = pd.read_csv(done / "tables" / "odds_ratios.csv")
    listed = result["findings"]["Discrimination"]["tables"]["odds_ratios"]
    assert odds["odds_ratio"].tolist() == pytest.approx([row["odds_ratio"] for row in listed])
    assert {"figures/roc_osteoporosis.png", "figures/odds_ratios.svg", "figures/site_shift.png"} <= found


@pytest.mark.usefixtures("undrawn")
def test_equal_seeds_give_equal_bytes(tmp_path: Path) -> None:
    table = predictions()
    for name, seed in (("one", 3), ("two", 3), ("other", 4)):
        analyse_table(table, tmp_path / name, AnalysisPlan(labels=["osteoporosis"]), seed=seed, n_bootstrap=50)
    for file in ("analysis.json", "analysis.html"):
        one, two, other = ((tmp_path / name / file).read_bytes() for name in ("one", "two", "other"))
        assert one == two, file
        assert one != other, file


@pytest.mark.usefixtures("undrawn")
def test_an_analysis_that_fails_is_a_message_and_stops_no_other(tmp_path: Path) -> None:
    table = predictions().assign(osteoporosis=lambda t: np.where(t["session"] == "1", 0, 0))
    table = table.assign(years=-1.0, fracture="perhaps")
    result = analyse_table(table, tmp_path, PLAN, n_bootstrap=20)
    findings = result["findings"]
    assert "two groups are needed" in "\n".join(findings["Discrimination"]["notes"])
    assert "other than 0 and 1" in "\n".join(findings["Survival"]["notes"])
    assert findings["Groups"]["tables"]["gap_by_group"]
    assert "other than 0 and 1" in (tmp_path / "analysis.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("undrawn")
def test_a_table_with_two_columns_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "elsewhere.csv"
    rows = "".join(f"{40 + i};{41 + i + (-1) ** i * 3},5\n" for i in range(30))
    path.write_text("age_years;predicted_age_years\n" + rows)
    result = analyse_table(path, tmp_path / "out", n_bootstrap=20)
    assert list(result["findings"]) == ["Bias correction", "Accelerated and decelerated agers"]
    assert result["correction"]["how"] == "not corrected"
    text = (tmp_path / "out" / "analysis.html").read_text(encoding="utf-8")
    assert "every gap is raw" in text
    assert "mean nothing for real people" not in text


@pytest.mark.usefixtures("undrawn")
def test_another_column_can_hold_the_prediction(tmp_path: Path) -> None:
    table = predictions().rename(columns={"predicted_age_years": "brain_age"})
    table.to_csv(tmp_path / "t.csv", index=False)
    result = analyse_table(tmp_path / "t.csv", tmp_path / "out", AnalysisPlan(prediction="brain_age"), n_bootstrap=20)
    assert result["counts"]["with_a_corrected_age"] == 170
    same = analyse_table(predictions(), tmp_path / "same", n_bootstrap=20)
    one, two = (r["findings"]["Bias correction"]["tables"]["raw_and_corrected"][0] for r in (result, same))
    assert one["mae_years"] == pytest.approx(two["mae_years"], abs=1e-3)


@pytest.mark.usefixtures("undrawn")
def test_a_correction_of_other_people_and_a_refusal_of_the_same(tmp_path: Path) -> None:
    table = predictions().drop(columns="fold")
    others = predictions(seed=9).assign(subject_id=lambda t: "other-" + t["subject_id"])
    result = analyse_table(table, tmp_path / "out", reference=others, n_bootstrap=20)
    assert "fitted on a reference of" in result["correction"]["how"]
    with pytest.raises(InputError, match="reference"):
        analyse_table(table, tmp_path / "refused", reference=table, n_bootstrap=20)
    assert not (tmp_path / "refused").exists()


def test_unknown_columns_are_listed_with_those_that_are_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not in the table: osteoporose, bmj; found: columns .*bmi.*osteoporosis"):
        analyse_table(
            predictions(), tmp_path / "out", AnalysisPlan(labels=["osteoporose"], models={"m": ["age_years", "bmj"]})
        )
    assert not (tmp_path / "out").exists()


def test_a_gap_of_the_wrong_sign_is_refused(tmp_path: Path) -> None:
    table = predictions().assign(gap_years=lambda t: t["age_years"] - t["predicted_age_years"])
    with pytest.raises(InputError, match="gap_years is not predicted_age_years minus age_years"):
        analyse_table(table, tmp_path)


@pytest.mark.usefixtures("undrawn")
def test_figures_of_an_earlier_plan_do_not_stay(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "mine.png").write_text("not ours")
    analyse_table(predictions(), tmp_path, AnalysisPlan(labels=["osteoporosis"]), n_bootstrap=0)
    assert (tmp_path / "figures" / "roc_osteoporosis.png").is_file()
    analyse_table(predictions(), tmp_path, n_bootstrap=0)
    assert not (tmp_path / "figures" / "roc_osteoporosis.png").exists()
    assert (tmp_path / "figures" / "mine.png").is_file()


def test_outcomes_are_joined_by_person(tmp_path: Path) -> None:
    table = pd.DataFrame({"subject_id": ["01", "01", "02", "03"], "sex": ["F", "F", None, "M"], "x": range(4)})
    path = tmp_path / "outcomes.csv"
    path.write_text("subject_id,sex,event\n01,M,1\n02,M,0\n09,F,1\n")
    joined, notes = joined_follow_up(table, path)
    assert joined["event"].fillna(-1).tolist() == [1, 1, 0, -1]
    assert joined["sex"].tolist() == ["F", "F", "M", "M"], "the predictions' own value counts, gaps are filled"
    assert notes == (
        "1 person with a prediction not in the table of outcomes.",
        "1 person of the table of outcomes without a prediction.",
        "Column sex is in both tables and differs in 2 rows; the value of the predictions counts.",
    )
    with pytest.raises(InputError, match="no person is in both tables; found: subject_id 1 there, 01 among"):
        joined_follow_up(table, pd.DataFrame({"subject_id": [1, 2], "event": [0, 1]}))
    with pytest.raises(InputError, match="more than once; found: for example 01"):
        joined_follow_up(table, pd.DataFrame({"subject_id": ["01", "01"], "event": [0, 1]}))


def test_cells_and_heads_as_people_read_them() -> None:
    frame = pd.DataFrame(
        {
            "label": ["a", "b"],
            "n": [12, 7],
            "odds_ratio": [1.236, np.nan],
            "odds_ratio_low": [0.9, np.nan],
            "odds_ratio_high": [1.7, np.nan],
            "mean_gap_years": [-0.001, 2.5],
            "p": [0.00004, 0.0312],
            "se": [0.1, 0.2],
            "problem": ["", None],
        }
    )
    table = page_table(FindingTable("t", "T", frame, "odds_ratio: of mean_gap_years."))
    assert table["head"] == ["Label", "n", "Odds ratio", "Mean gap (years)", "p"]
    assert [(c["value"], c["interval"]) for c in table["rows"][0]] == [
        ("a", ""), ("12", ""), ("1.24", "0.90 to 1.70"), ("0.00", ""), ("<0.001", ""),
    ]  # fmt: skip
    assert [c["value"] for c in table["rows"][1]] == ["b", "7", "–", "2.50", "0.031"]
    assert table["reading"] == "“Odds ratio”: of “Mean gap (years)”."
    assert head_in_words("icc_2_1") == "ICC(2,1)"
    assert cell_in_words(-3, "n_x") == "−3"


def parsed(*words: str) -> AnalysisPlan:
    return plan_of(build_parser().parse_args(["analyse", "t.csv", "--out", "o", *words]))


def test_flags_build_a_plan() -> None:
    plan = parsed(
        "--label", "osteoporosis", "diagnosis=AD/HC", "--endpoint", "fx=years,fx,death", "death=years,death",
        "--model", "model 1=age_years,sex", "--model", "model 2=age_years,sex,bmi", "--horizons", "2,5,10",
        "--group", "diagnosis=HC", "--site", "scanner", "--by", "modality", "--correction", "cole",
    )  # fmt: skip
    assert plan == AnalysisPlan(
        labels=["osteoporosis", "diagnosis=AD/HC"],
        end_points=[
            EndPoint(name="fx", time="years", event="fx", competing="death"),
            EndPoint(name="death", time="years", event="death"),
        ],
        models={"model 1": ["age_years", "sex"], "model 2": ["age_years", "sex", "bmi"]},
        horizons_years=[2, 5, 10],
        groups=["diagnosis=HC"],
        site="scanner",
        by="modality",
        correction="cole",
    )
    assert parsed() == AnalysisPlan()


def test_flags_override_a_plan_file(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(
        json.dumps({"labels": ["a"], "site": "x", "end_points": [{"name": "e", "time": "t", "event": "e"}]})
    )
    plan = parsed("--plan", str(path), "--label", "b", "--site", "y", "--endpoint", "e=t2,e2", "--model", "big=bmi")
    assert (plan.labels, plan.site) == (["a", "b"], "y")
    assert [point.time for point in plan.end_points] == ["t2"]
    assert plan.models == {"big": ["bmi"]}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--endpoint", "fracture=years"), "an end point cannot be read"),
        (("--model", "age_years,sex"), "a model cannot be read"),
        (("--horizons", "two"), "horizons cannot be read"),
        (("--horizons", "-2"), "not a plan of an analysis; found: horizons_years.0"),
    ],
)
def test_flags_that_cannot_be_read_are_explained(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parsed(*words[:-1], words[-1]) if words[-1] != "-2" else parsed("--horizons=-2")


@pytest.mark.usefixtures("undrawn")
def test_the_command_prints_the_main_findings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = predictions()
    table.to_csv(tmp_path / "t.csv", index=False)
    outcomes(table).to_csv(tmp_path / "o.csv", index=False)
    words = ["analyse", str(tmp_path / "t.csv"), "--out", str(tmp_path / "out"), "--follow-up", str(tmp_path / "o.csv")]
    assert main([*words, "--label", "osteoporosis", "--endpoint", "fx=years,fracture", "--bootstrap", "20"]) == 0
    printed = capsys.readouterr().out
    assert "171 rows of 159 people; correction: Beheshti" in printed
    assert "osteoporosis: AUROC of predicted age" in printed
    assert "fx: hazard ratio per SD of the corrected gap" in printed
    assert "PHANTOM WEIGHTS" in printed
    assert str(tmp_path / "out" / "analysis.html") in printed
    assert main([*words, "--label", "osteoporose"]) == 1
    assert "osteoporosis" in capsys.readouterr().err

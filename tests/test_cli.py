"""The `agezoo` command: help that teaches, errors without stack traces, exit statuses."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agezoo.cli import VERBS, build_parser, main
from agezoo.commands.crossval import setting
from agezoo.errors import InputError
from agezoo.registry import BUNDLES
from agezoo.version import __version__
from cohort_files import Cohort, write_cohort, write_datalist, write_dicom

HEAVY = ("torch", "monai", "numpy", "pandas", "matplotlib", "pydicom", "nibabel", "mlflow")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return write_cohort(tmp_path_factory.mktemp("cohort"))


def help_of(verb: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_help_names_every_verb_and_bundle(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for name in (*VERBS, *BUNDLES, "python -m monai.bundle run training"):
        assert name in text
    assert text.count("[planned]") == sum(facts.state != "ready" for facts in BUNDLES.values())


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_teaches(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of(verb, capsys)
    examples = [line.strip() for line in text.split("examples:\n")[1].splitlines() if line.strip()]
    assert examples
    assert all(line.startswith(f"agezoo {verb} ") for line in examples)
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize("verb", VERBS)
def test_examples_are_valid_commands(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    # Parsed only: a renamed or removed option must not live on in the help.
    import shlex

    for line in help_of(verb, capsys).split("examples:\n")[1].strip().splitlines():
        words = shlex.split(line)
        assert build_parser().parse_args(words[1:]).verb == verb


def test_help_is_quick_and_loads_no_heavy_library() -> None:
    program = (
        "import sys\n"
        "from agezoo.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit:\n    pass\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "sys.exit('loaded ' + ', '.join(loaded) if loaded else 0)\n"
    )
    for verb in ("", *VERBS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        words = [verb, "--help"] if verb else ["--help"]
        done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert done.returncode == 0, done.stderr
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        assert seconds < 1.5, f"agezoo {verb} --help took {seconds:.1f} s of processor time"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"agezoo {__version__}\n"


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["forecast"],
        ["predict", "ct_age", "scan.nii.gz"],
        ["predict", "liver_age", "scan.nii.gz", "--out", "x"],
        ["crossval", "ct_age", "--out", "x"],
        ["phantom", "ct_age", "--subjects", "many", "--out", "x"],
    ],
    ids=["nothing", "unknown verb", "no --out", "unknown bundle", "no --datalist", "no number"],
)
def test_wrong_usage_is_exit_status_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "usage: agezoo" in capsys.readouterr().err


def test_a_users_error_is_a_message_and_exit_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["evaluate", str(tmp_path / "absent.csv"), "--out", str(tmp_path / "out")]
    assert main(words) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("agezoo evaluate: ")
    assert "absent.csv" in captured.err
    assert "Traceback" not in captured.err
    assert captured.err.count("\n") == 1


def test_debug_shows_the_stack(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.csv"):
        main(["--debug", "evaluate", str(tmp_path / "absent.csv"), "--out", str(tmp_path / "out")])


def test_a_fault_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr("agezoo.data.datalist_check.check_datalist", fail)
    with pytest.raises(KeyError, match="a bug"):
        main(["check", str(tmp_path / "x.json")])


def test_interruption_is_exit_status_130(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("agezoo.data.datalist_check.check_datalist", interrupt)
    assert main(["check", str(tmp_path / "x.json")]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_check_passes_a_sound_datalist(cohort: Cohort, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(cohort.datalist), "--bundle", "ct_age"]) == 0
    assert "error" not in capsys.readouterr().out.lower().replace("no errors", "").replace("0 errors", "")


def test_check_tells_all_faults_and_fails(cohort: Cohort, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(cohort.datalist.read_text())
    document["training"][0]["image"] = "images/absent.nii.gz"
    document["training"][1]["age_years"] = None
    document["test"][0]["subject_id"] = document["training"][3]["subject_id"]
    path = write_datalist(cohort.folder / "faulty.json", **document)
    assert main(["check", str(path)]) == 1
    printed = capsys.readouterr().out
    assert "absent.nii.gz" in printed
    assert document["training"][1]["subject_id"] in printed or "training[1]" in printed
    assert document["training"][3]["subject_id"] in printed


def test_check_passes_warnings_alone(cohort: Cohort, capsys: pytest.CaptureFixture[str]) -> None:
    # Outside the range of the published model, but a possible age.
    document = json.loads(cohort.datalist.read_text())
    document["training"][0]["age_years"] = 97.0
    path = write_datalist(cohort.folder / "old.json", **document)
    assert main(["check", str(path), "--bundle", "ct_age"]) == 0
    assert "97" in capsys.readouterr().out


def test_datalist_from_headers_alone_names_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(4):
        name = f"CANARY^{number}"
        write_dicom(tmp_path / "scans" / str(number), 30.0 + 10 * number, seed=number, PatientName=name, PatientID=name)
    out = tmp_path / "list.json"
    words = ["datalist", "ct_age", "--images", str(tmp_path / "scans"), "--out", str(out), "--folds", "2"]
    assert main(words) == 0
    listed = json.loads(out.read_text())
    assert sorted(row["age_years"] for row in listed["training"]) == [30.0, 40.0, 50.0, 60.0]
    assert "CANARY" not in out.read_text() + capsys.readouterr().out
    assert main(["check", str(out)]) == 0
    assert main(words) == 1, "an existing list is not overwritten unasked"
    assert "--force" in capsys.readouterr().err
    assert main([*words, "--force"]) == 0


def test_evaluate_prints_the_main_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "table.csv"
    table.write_text(
        "age_years,predicted_age_years\n" + "".join(f"{30 + i},{30 + i + (-1) ** i * 4}\n" for i in range(20))
    )
    assert main(["evaluate", str(table), "--out", str(tmp_path / "out"), "--bootstrap", "50"]) == 0
    printed = capsys.readouterr().out
    assert "n 20" in printed
    assert "MAE 4.00 years" in printed
    # Ages 30 .. 49: the mean absolute distance from their mean is 5.
    assert "guessing the mean 5.00" in printed
    assert str(tmp_path / "out" / "report.html") in printed
    assert (tmp_path / "out" / "report.html").is_file()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("max_epochs=50", ("max_epochs", 50)),
        ("learning_rate=3e-4", ("learning_rate", 0.0003)),
        ("amp=False", ("amp", False)),
        ("start_from=None", ("start_from", None)),
        ("pretrained=/data/resnet18.pth", ("pretrained", "/data/resnet18.pth")),
        ("train#trainer#max_epochs=2", ("train#trainer#max_epochs", 2)),
        ("run_name=a=b", ("run_name", "a=b")),
        ("pretrained=", ("pretrained", "")),
    ],
)
def test_setting(text: str, expected: tuple[str, Any]) -> None:
    found = setting(text)
    assert found == expected
    assert type(found[1]) is type(expected[1])


@pytest.mark.parametrize("text", ["max_epochs", "=5", ""])
def test_setting_without_name_or_value(text: str) -> None:
    with pytest.raises(InputError, match="ID=VALUE"):
        setting(text)


def test_crossval_refuses_a_misspelt_setting(
    cohort: Cohort, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["crossval", "ct_age", "--datalist", str(cohort.datalist), "--out", str(tmp_path / "out")]
    assert main([*words, "--set", "max_epoch=1"]) == 1
    assert "no such setting" in capsys.readouterr().err
    # The corrected command must not find the folder taken by the mistake.
    assert not (tmp_path / "out").exists()

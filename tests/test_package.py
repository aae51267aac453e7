"""The package as a whole: light imports, layers, errors for users, and the list of bundles."""

from __future__ import annotations

import ast
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import agezoo
from agezoo import registry
from agezoo.errors import AgeZooError, InputError, MissingExtraError, WeightsError

PACKAGE = Path(agezoo.__file__).resolve().parent

# A package may import from packages with a lower number, from itself, and nothing else.
LAYERS = {
    **dict.fromkeys(("cli", "commands"), 5),
    **dict.fromkeys(("workflows", "predict"), 4),
    **dict.fromkeys(("engines", "explain"), 3),
    **dict.fromkeys(("networks", "losses", "transforms", "analysis"), 2),
    **dict.fromkeys(("data", "phantoms"), 1),
    **dict.fromkeys(("child_processes", "errors", "lazy", "registry", "version", "__init__"), 0),
}
# Prediction runs a bundle, cross-validation predicts; the modules themselves do not import in circles (tested below).
PEERS = {("predict", "workflows"), ("workflows", "predict"), ("cli", "commands")}


def modules() -> Iterator[tuple[str, Path]]:
    """Dotted name and file of every module of the package."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        yield ".".join(("agezoo", *(parts[:-1] if parts[-1] == "__init__" else parts))), path


def imported(path: Path) -> set[str]:
    """Every module that a file names in an import statement, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return names


MODULES = dict(modules())


def layer_of(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def run_python(code: str) -> str:
    """Run code in a fresh interpreter and give what it printed last."""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()[-1]


def test_every_package_has_a_place_among_the_layers() -> None:
    assert {layer_of(name) for name in MODULES} == LAYERS.keys()


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_downwards_only(module: str) -> None:
    own = layer_of(module)
    others = {layer_of(name) for name in imported(MODULES[module]) if name.startswith("agezoo.") and name in MODULES}
    wrong = {o for o in others - {own, "__init__"} if LAYERS[o] >= LAYERS[own] and (own, o) not in PEERS}
    assert not wrong - (LAYERS.keys() if LAYERS[own] == 0 else set()), f"{module} imports {sorted(wrong)}"


def test_the_ground_floor_stands_on_errors_and_version_alone() -> None:
    for module, path in MODULES.items():
        if LAYERS[layer_of(module)] == 0:
            own = {name for name in imported(path) if name in MODULES}
            assert own <= {"agezoo.errors", "agezoo.version"}, module


def test_modules_do_not_import_in_circles() -> None:
    """Also not by way of imports that wait inside functions."""
    # `from package import name` names the package too; its light __init__ imports none of its modules.
    graph = {m: {n for n in imported(p) if n in MODULES and n != m} for m, p in MODULES.items()}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module not in done:
            for name in sorted(graph[module]):
                visit(name, (*path, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_import_and_command_line_load_no_heavy_library() -> None:
    code = (
        "import json, sys, agezoo\n"
        "heavy = {'torch', 'monai', 'pandas', 'matplotlib', 'scipy', 'ignite', 'pydicom'}\n"
        "first = sorted(heavy & set(sys.modules))\n"
        "from agezoo.cli import build_parser\n"
        "assert 'ct_age' in build_parser().format_help()\n"
        "import agezoo.data, agezoo.phantoms, agezoo.analysis, agezoo.networks, agezoo.engines, agezoo.predict\n"
        "print(json.dumps([first, sorted(heavy & set(sys.modules))]))"
    )
    assert json.loads(run_python(code)) == [[], []]


def test_analysis_and_data_work_without_torch() -> None:
    """Whoever brings a table from elsewhere needs no deep-learning library to analyse it."""
    names = [name for name in MODULES if layer_of(name) in ("analysis", "data")]
    code = (
        f"import importlib, sys\n[importlib.import_module(name) for name in {names!r}]\n"
        "print(sorted({'torch', 'monai', 'ignite', 'mlflow'} & set(sys.modules)))"
    )
    assert run_python(code) == "[]"


@pytest.mark.parametrize(
    "part", ["analysis", "data", "engines", "explain", "losses", "networks", "phantoms", "predict"]
)
def test_lazily_offered_names_are_there_and_shadow_no_module(part: str) -> None:
    """A name that equals a module of its package would be the module or the object, depending on what came first."""
    package = import_module(f"agezoo.{part}")
    files = {path.stem for path in (PACKAGE / part).glob("*.py")}
    for name in getattr(package, "__all__", []):
        assert name not in files
        assert getattr(package, name).__name__ == name


def test_parts_are_reached_by_name_after_one_import() -> None:
    assert run_python("import agezoo; print(agezoo.data.load_datalist.__module__)") == "agezoo.data.datalist"
    with pytest.raises(AttributeError, match="module 'agezoo' has no attribute 'network'"):
        agezoo.network  # noqa: B018
    with pytest.raises(AttributeError, match=r"module 'agezoo.losses' has no attribute 'GausianNLLLoss'"):
        agezoo.losses.GausianNLLLoss  # noqa: B018


def test_error_message_names_source_finding_expectation_and_remedy() -> None:
    error = InputError("slices are missing", source=Path("scan"), found="a gap", expected="none", remedy="export again")
    assert str(error) == "scan: slices are missing; found: a gap; expected: none; what to do: export again"
    assert str(InputError("no such bundle")) == "no such bundle"
    assert str(InputError("wrong", found=0)) == "wrong; found: 0", "a zero is a finding"


@pytest.mark.parametrize("kind", [InputError, WeightsError])
def test_errors_survive_the_way_between_processes(kind: type[InputError]) -> None:
    error = kind("cut short", source="a.pt", found=3, expected=4, remedy="fetch it again")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == str(error)
    assert (again.problem, again.source, again.found, again.expected, again.remedy) == (
        "cut short", "a.pt", 3, 4, "fetch it again",
    )  # fmt: skip


def test_missing_extra_survives_the_way_between_processes() -> None:
    error = MissingExtraError("captum", "explain", "Integrated gradients")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert "pip install 'agezoo[explain]'" in str(again)


def test_error_from_a_data_loader_worker_is_the_message_without_the_trace() -> None:
    """torch makes the error anew from a text that holds the worker's whole stack trace."""
    from torch._utils import ExceptionWrapper

    def wrapped(error: Exception) -> ExceptionWrapper:
        try:
            raise error
        except Exception:
            return ExceptionWrapper(sys.exc_info(), where="in DataLoader worker process 0")

    with pytest.raises(InputError) as caught:
        wrapped(InputError("slices are missing", source="scan", found="a gap")).reraise()
    assert str(caught.value) == "scan: slices are missing; found: a gap"
    with pytest.raises(AgeZooError) as plain:
        wrapped(AgeZooError("two lines\nof a message")).reraise()
    assert str(plain.value) == "two lines\nof a message"


def test_registry_knows_the_four_bundles() -> None:
    assert list(registry.BUNDLES) == ["ct_age", "spine_age", "brain_tsan", "wholebody_mr"]
    facts = registry.bundle_facts("ct_age")
    assert facts.modalities == ("CT",)
    assert facts.age_range_years[0] < facts.age_range_years[1]
    with pytest.raises(InputError, match="no such bundle; found: ct-age; expected: ct_age, spine_age"):
        registry.bundle_facts("ct-age")


def test_ready_bundles_have_a_folder_and_planned_ones_say_so() -> None:
    for name, facts in registry.BUNDLES.items():
        if facts.state == "ready":
            root = registry.bundle_root(name)
            assert root.name == name
            assert (root / "configs" / "train.json").is_file()
            version = registry.bundle_version(root)
            assert all(0 <= int(part) <= 9 for part in version.split(".")), "MONAI sorts versions as strings"
    assert {facts.state for facts in registry.BUNDLES.values()} <= {"ready", "planned"}


@pytest.mark.parametrize(("folder", "found"), [("ct_age", True), ("my_copy", True), ("spine_age", False)])
def test_a_packaged_bundle_is_found_around_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, found: bool
) -> None:
    """A renamed copy is still the bundle, but the folder of another bundle is not."""
    root = tmp_path / folder
    (root / "configs").mkdir(parents=True)
    (root / "configs" / "metadata.json").write_text('{"version": "1.2.3"}')
    monkeypatch.setattr(registry, "__file__", os.fspath(root / "agezoo" / "registry.py"))
    if found:
        assert registry.bundle_root("ct_age") == root.resolve()
        assert registry.bundle_version(root) == "1.2.3"
    else:
        with pytest.raises(InputError, match="ct_age: the bundle's folder is not beside the package"):
            registry.bundle_root("ct_age")

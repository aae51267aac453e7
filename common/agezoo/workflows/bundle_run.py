"""Running a bundle's config from Python through MONAI's own entry point."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agezoo.errors import InputError, user_error
from agezoo.registry import bundle_root

logger = logging.getLogger(__name__)


def run_bundle(
    bundle: str,
    run_id: str,
    configs: Sequence[str | Path],
    *,
    overrides: Mapping[str, Any] | None = None,
    tracking: str | None = None,
    verbose: bool = False,
    added: Sequence[str] = (),
) -> None:
    """Do what ``python -m monai.bundle run RUN_ID --config_file CONFIGS --KEY VALUE ...`` does, in this process.

    Parameters
    ----------
    bundle
        Name of the bundle.
    run_id
        ``"training"``, ``"evaluating"`` or ``"inferring"``.
    configs
        Files in the order of merging; bare names such as ``"train.json"`` are taken from the bundle's ``configs``.
    overrides
        Config ids and their values. An id that no config has is refused: MONAI would ignore a misspelt one silently.
    tracking
        ``"mlflow"`` or a tracking settings file.
    added
        Ids that only MONAI's tracking settings have and that `overrides` may set.
    verbose
        Let MONAI and the bundle's ``logging.conf`` write to the console as the command line would.

    Raises
    ------
    InputError
        If a config is missing, an override unknown, or whatever a part of the bundle reports about the user's data.
    """
    from monai.bundle import run

    folder = bundle_root(bundle) / "configs"
    files = check_settings(bundle, configs, overrides or {}, added=added)
    try:
        with quiet(not verbose):
            run(
                run_id=run_id,
                config_file=files,
                meta_file=str(folder / "metadata.json"),
                logging_file=None if verbose else False,  # type: ignore[arg-type]
                tracking=tracking,
                **{key: literal(value) for key, value in (overrides or {}).items()},
            )
    except Exception as error:
        cause = user_error(error)
        if cause is None:
            raise
        raise cause from None


def check_settings(
    bundle: str, configs: Sequence[str | Path], overrides: Mapping[str, Any], *, added: Sequence[str] = ()
) -> list[str]:
    """Paths of the configs, after a look whether they have every id of `overrides`; see :func:`run_bundle`."""
    from monai.bundle import ConfigParser

    files = [str(config_path(bundle_root(bundle) / "configs", config)) for config in configs]
    known = ConfigParser()
    known.read_config(files)
    unknown = [key for key in overrides if key not in known and key not in added]
    if unknown:
        raise InputError(
            "no such setting in the config",
            source=", ".join(Path(f).name for f in files),
            found=", ".join(unknown),
            expected="an id of the config, e.g. " + ", ".join(k for k in list(known.get())[3:14]),
        )
    return files


def setting_value(bundle: str, configs: Sequence[str | Path], name: str, overrides: Mapping[str, Any]) -> Any:
    """What one setting will be: the override, else what the merged configs say."""
    from monai.bundle import ConfigParser

    if name in overrides:
        return overrides[name]
    merged = ConfigParser()
    merged.read_config([str(config_path(bundle_root(bundle) / "configs", config)) for config in configs])
    return merged.get_parsed_content(name)


def config_path(folder: Path, config: str | Path) -> Path:
    """A config given by path, or by name (with or without ``.json``) within the bundle."""
    for candidate in (folder / f"{config}.json", folder / config, Path(config)):
        if candidate.is_file():
            return candidate
    names = ", ".join(sorted(p.stem for p in folder.glob("*.json")))
    raise InputError("no such config", source=config, expected=f"a file, or one of {names}")


def literal(value: Any) -> Any:
    """A path as an expression that MONAI can add to, None as one that it does not drop; everything else as it is."""
    if value is None:
        return "$None"
    return expression(str(value)) if isinstance(value, Path) else value


def expression(value: str | list[str]) -> str:
    """Text as a config expression that gives exactly this text, whatever MONAI's signs (``@``, ``#``) mean."""
    return "$" + repr(value).replace("@", r"\x40").replace("#", r"\x23")


@contextmanager
def quiet(enabled: bool = True) -> Iterator[None]:
    """Hold MONAI's and ignite's messages below WARNING back, and warnings of libraries that a user cannot act on."""
    if not enabled:
        yield
        return
    # MONAI's modules give their own loggers a level and a handler, so the parent's level does not reach them.
    import monai.bundle  # noqa: F401 - its loggers must exist to be quietened

    families = ("monai", "ignite", "mlflow", "alembic", "agezoo.training", "agezoo.validation", "agezoo.evaluation")
    names = {*families, *(n for n in logging.root.manager.loggerDict if n.split(".")[0] in families)}
    with held_back(*names), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def held_back(*loggers: str) -> Iterator[None]:
    """Hold back what these loggers say below ERROR, where the caller tells it better or a user can do nothing."""
    logs = [logging.getLogger(name) for name in loggers]
    levels = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)

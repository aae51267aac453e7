"""One MLflow run that several bundle runs belong to."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from agezoo.errors import InputError, MissingExtraError


class TrackedParent:
    """Parent of the runs of a cross-validation; does nothing when tracking is off.

    The run's id is kept beside the results, so that a resumed cross-validation goes on in the same run.

    Parameters
    ----------
    tracking
        ``"mlflow"`` or ``None``.
    folder
        Holds ``mlruns.db`` (sqlite; MLflow refuses plain-file stores) and ``mlruns/`` with the artifacts.
    name, experiment
        What MLflow shows.
    """

    def __init__(self, tracking: str | None, folder: Path, *, name: str, experiment: str) -> None:
        if tracking not in (None, "mlflow"):
            raise InputError("no such tracking", found=tracking, expected="mlflow")
        self.enabled = tracking == "mlflow"
        self.folder = folder
        self.name = name
        self.experiment = experiment
        self.run_id: str | None = None
        self.uri = f"sqlite:///{(folder / 'mlruns.db').as_posix()}"
        self._client: Any = None

    def __enter__(self) -> TrackedParent:
        if not self.enabled:
            return self
        try:
            import mlflow
        except ImportError:
            raise MissingExtraError("mlflow", "tracking", "Tracking") from None
        # Creating the database is no news to the user.
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
        self._client = mlflow.MlflowClient(tracking_uri=self.uri)
        found = self._client.get_experiment_by_name(self.experiment)
        experiment_id = (
            found.experiment_id
            if found
            else self._client.create_experiment(self.experiment, artifact_location=(self.folder / "mlruns").as_uri())
        )
        kept = self.folder / "mlflow_parent.txt"
        if kept.is_file():
            self.run_id = kept.read_text().strip()
            self._client.update_run(self.run_id, status="RUNNING")
        else:
            self.run_id = self._client.create_run(experiment_id, run_name=self.name).info.run_id
            kept.write_text(self.run_id + "\n")
        return self

    def child_settings(self, name: str) -> dict[str, Any]:
        """Config settings that make a bundle's run a child of this one; none when tracking is off."""
        if not self.enabled:
            return {}
        return {"tracking_uri": self.uri, "run_name": name, "parent_run_id": self.run_id}

    def log(
        self,
        *,
        params: Mapping[str, Any],
        tags: Mapping[str, Any],
        metrics: Mapping[str, float],
        artifacts: Sequence[Path],
    ) -> None:
        """Log into the parent run; files that do not exist are passed over."""
        if not self.enabled:
            return
        for key, value in params.items():
            self._client.log_param(self.run_id, key, value)
        for key, value in tags.items():
            self._client.set_tag(self.run_id, key, value)
        for key, value in metrics.items():
            self._client.log_metric(self.run_id, key, value)
        for path in artifacts:
            if path.is_dir():
                self._client.log_artifacts(self.run_id, str(path), path.name)
            elif path.is_file():
                self._client.log_artifact(self.run_id, str(path))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.enabled:
            status = "FINISHED" if kind is None else "KILLED" if kind is KeyboardInterrupt else "FAILED"
            self._client.set_terminated(self.run_id, status=status)

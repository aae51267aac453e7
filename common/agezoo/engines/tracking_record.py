"""What a tracked MLflow run should tell beyond the losses that MONAI's own handler logs."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events

logger = logging.getLogger(__name__)


class TrackingRecord:
    """Adds parameters, tags and files to the MLflow run of the engine that it is attached to.

    It does nothing unless the bundle runs with ``--tracking mlflow``, which makes MONAI attach an ``MLFlowHandler`` to
    the same engine. Nothing that identifies a person is logged: the datalist appears as its checksum and counts.

    Parameters
    ----------
    params
        Logged once as MLflow parameters (learning rate, epochs, seed ...).
    tags
        Logged once as MLflow tags (bundle, version, datalist checksum ...).
    artifacts
        Files or folders logged at the end when they exist (figures, metrics, the executed config). Of several files
        that a name with wildcards fits the newest is taken.
    parent_run_id
        MLflow run that this one is a child of, e.g. that of a cross-validation.
    """

    def __init__(
        self,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, Any] | None = None,
        artifacts: Sequence[str | Path] = (),
        parent_run_id: str | None = None,
    ) -> None:
        self.params = dict(params or {})
        self.tags = {k: str(v) for k, v in (tags or {}).items() if v is not None}
        if parent_run_id:
            self.tags["mlflow.parentRunId"] = parent_run_id
        self.artifacts = [Path(p) for p in artifacts]

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer or evaluator, before MONAI's tracking handler."""
        # The run exists only after every STARTED handler, and is closed by the last COMPLETED handler.
        engine.add_event_handler(Events.EPOCH_STARTED, self._begin)
        engine.add_event_handler(Events.COMPLETED, self._end)

    def _begin(self, engine: Engine) -> None:
        tracker = tracking_handler(engine)
        if tracker is None or tracker.cur_run is None:
            return
        run_id = tracker.cur_run.info.run_id
        known = tracker.client.get_run(run_id).data
        for key, value in self.params.items():
            if key not in known.params:
                tracker.client.log_param(run_id, key, value)
        for key, value in self.tags.items():
            if known.tags.get(key) != value:
                tracker.client.set_tag(run_id, key, value)

    def _end(self, engine: Engine) -> None:
        tracker = tracking_handler(engine)
        if tracker is None or tracker.cur_run is None:
            return
        run_id = tracker.cur_run.info.run_id
        for path in filter(None, map(newest, self.artifacts)):
            if path.is_dir():
                tracker.client.log_artifacts(run_id, str(path), path.name)
            elif path.is_file():
                tracker.client.log_artifact(run_id, str(path))
        # MONAI leaves the run of an evaluation open.
        tracker.client.set_terminated(run_id, tracker.run_finish_status)


def newest(path: Path) -> Path | None:
    """The last file that a name with wildcards fits, or ``None``."""
    return max(path.parent.glob(path.name), key=lambda p: p.stat().st_mtime_ns, default=None)


def tracking_handler(engine: Engine) -> Any | None:
    """The MLFlowHandler attached to an engine, or ``None``."""
    for handlers in engine._event_handlers.values():
        for handler, *_ in handlers:
            owner = getattr(handler, "__self__", None)
            if type(owner).__name__ == "MLFlowHandler":
                return owner
    return None

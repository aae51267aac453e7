"""A few worker processes that take one task after the other, and whose death is one task's failure."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True)
class WorkerDeath:
    """A worker ended in the middle of a task, without an exception: it crashed, or was killed for its memory.

    Attributes
    ----------
    exit_code
        Of the process; negative for the signal that ended it.
    """

    exit_code: int | None

    def __str__(self) -> str:
        if self.exit_code is not None and self.exit_code < 0:
            name = signal.Signals(-self.exit_code).name
            return f"the process was ended by {name}" + (
                ", most likely for lack of memory" if name == "SIGKILL" else ""
            )
        return f"the process ended without a word (exit status {self.exit_code})"


@dataclass
class _Worker(Generic[Task]):
    process: BaseProcess
    connection: Connection
    task: Task


def in_workers(
    function: Callable[[Task], Result], tasks: Sequence[Task], *, jobs: int
) -> Generator[tuple[Task, Result | WorkerDeath], None, None]:
    """Apply a function to every task in `jobs` new processes; give results as they come.

    A pool of the standard library does not tell which task a process died of: ``ProcessPoolExecutor`` then gives all
    of them up, and ``multiprocessing.Pool`` waits for ever.

    Parameters
    ----------
    function
        Must be importable in the new process and not raise; an exception there is a fault of ours and is raised here.
    tasks
        Must pickle.
    jobs
        Processes at a time; with 0 the function runs in this process.

    Yields
    ------
    tuple
        The task and its result, or the death of the process that had it. When the generator is closed, or an exception
        (Ctrl-C) passes through it, the workers are ended.
    """
    if jobs < 1:
        for task in tasks:
            yield task, function(task)
        return
    waiting = iter(tasks)
    workers: list[_Worker[Task]] = []
    try:
        for task in islice(waiting, jobs):
            workers.append(_started(function, task))
        while workers:
            ready = wait([worker.connection for worker in workers])
            for worker in [worker for worker in workers if worker.connection in ready]:
                workers.remove(worker)
                outcome = _outcome(worker)
                following = next(waiting, None)
                if isinstance(outcome, WorkerDeath):
                    if following is not None:
                        workers.append(_started(function, following))
                elif following is not None:
                    worker.connection.send(following)
                    workers.append(_Worker(worker.process, worker.connection, following))
                else:
                    _end(worker)
                yield worker.task, outcome
    finally:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.process.join()


def _started(function: Callable[[Task], Any], task: Task) -> _Worker[Task]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(function, theirs), daemon=True)
    process.start()
    # Only the child must hold its end, so that its death is seen as the end of the line.
    theirs.close()
    ours.send(task)
    return _Worker(process, ours, task)


def _outcome(worker: _Worker[Any]) -> Any:
    try:
        outcome = worker.connection.recv()
    except (EOFError, ConnectionResetError):
        worker.process.join()
        return WorkerDeath(worker.process.exitcode)
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def _end(worker: _Worker[Any]) -> None:
    worker.connection.close()
    worker.process.join()


def _serve(function: Callable[[Any], Any], connection: Connection) -> None:
    # Ctrl-C reaches every process of a terminal; the parent decides what becomes of its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            task = connection.recv()
        except EOFError:
            # The parent has no more to do, or is gone.
            return
        try:
            result = function(task)
        except Exception as error:
            result = error
        try:
            connection.send(result)
        except BrokenPipeError:
            return

"""What stands for the registration of brains in tests, and tasks for worker processes.

A module of its own, because every new process imports it.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from agezoo.errors import InputError, MissingExtraError

GOOD, POOR, FAILS, CRASHES, KILLED, NO_ITK = 100, 50, 13, 17, 66, 77


def stand_in(voxels: np.ndarray, affine: np.ndarray, *, spacing_mm: float, source: str) -> SimpleNamespace:
    """The template for every scan, or what the scan's largest value asks for."""
    order = int(voxels.max())
    if order == FAILS:
        raise InputError("the registration failed", source=source, found="overlap 0.41", expected="at least 0.8")
    if order == CRASHES:
        raise FloatingPointError(f"no such luck with {Path.home()}/private/file.nii")
    if order == KILLED:
        os.kill(os.getpid(), signal.SIGKILL)
    if order == NO_ITK:
        raise MissingExtraError("itk", "brain", "Registration")
    from agezoo.transforms.brain.template import template

    standard = template(spacing_mm)
    # No two people have the same brain.
    brain = np.where(standard.mask, 500 * standard.t1 + 1 + np.float32(voxels.mean()), np.float32(0))
    overlap = 0.96 if order == GOOD else 0.88
    return SimpleNamespace(
        voxels=brain, affine=standard.affine, mask=standard.mask, state="head", overlap=overlap, correlation=0.91,
        seconds=0.1, notes=("bias field corrected",),
    )  # fmt: skip


def always_good(voxels: np.ndarray, affine: np.ndarray, **options: Any) -> SimpleNamespace:
    """The template, whatever the scan asks for."""
    return stand_in(np.full((1, 1, 1), GOOD), affine, **options)


def slow(seconds: float) -> float:
    """Take some time."""
    time.sleep(seconds)
    return seconds


def die(exit_code: int) -> None:
    """End the process unless the code is 0."""
    if exit_code:
        os._exit(exit_code)

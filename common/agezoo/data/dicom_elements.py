"""Plain texts and numbers out of DICOM elements, which in real files hold anything."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pydicom.config
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Keep pydicom silent: its warnings about odd values quote them, which may identify a person."""
    mode = pydicom.config.settings.reading_validation_mode
    logger = logging.getLogger("pydicom")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
        logger.setLevel(logging.CRITICAL + 1)
        try:
            yield
        finally:
            pydicom.config.settings.reading_validation_mode = mode
            logger.setLevel(level)


def texts_of(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """The element's values as stripped texts; empty when absent or empty."""
    value = dataset.get(keyword)
    if value is None or value == "":
        return ()
    values: Any = value if isinstance(value, (MultiValue, list, tuple)) else (value,)
    return tuple(str(item).strip() for item in values)


def text_of(dataset: Dataset, keyword: str) -> str:
    """The element's text, several values joined by a backslash as in the file; empty when absent or empty."""
    return "\\".join(texts_of(dataset, keyword))


def numbers_of(dataset: Dataset, keyword: str, n: int) -> tuple[float, ...] | None:
    """Exactly ``n`` finite numbers, or None."""
    try:
        numbers = tuple(float(text) for text in texts_of(dataset, keyword))
    except ValueError:
        return None
    return numbers if len(numbers) == n and all(abs(number) < float("inf") for number in numbers) else None


def number_of(dataset: Dataset, keyword: str) -> float | None:
    """The element's one finite number, or None."""
    numbers = numbers_of(dataset, keyword, 1)
    return None if numbers is None else numbers[0]

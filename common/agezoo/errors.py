"""Errors that are written for the person at the keyboard.

Everything that a user can cause raises :class:`AgeZooError` or a subclass, with a message that names the file
or field, what was found, what was expected and what to do next. The command line prints that message alone;
a stack trace therefore always means a fault of ours.
"""

from __future__ import annotations

import re
from os import PathLike


class AgeZooError(Exception):
    """Base of every error whose message is meant for a user."""

    def __init__(self, message: str = "") -> None:
        super().__init__(_own_words(message))


class InputError(AgeZooError):
    """A file, folder, table or value that cannot be used.

    Parameters
    ----------
    problem
        What is wrong, in one sentence without the file's name, e.g. ``"slices are missing"``.
    source
        The file, folder or field at fault.
    found
        What was there, e.g. ``"gaps of 10.0 mm after slices 12 and 40"``.
    expected
        What would have been accepted.
    remedy
        What the user can do about it.
    """

    def __init__(
        self,
        problem: str,
        *,
        source: str | PathLike[str] | None = None,
        found: object = None,
        expected: object = None,
        remedy: str | None = None,
    ) -> None:
        self.problem = _own_words(problem)
        self.source = None if source is None else str(source)
        self.found = found
        self.expected = expected
        self.remedy = remedy
        super().__init__(self._message())

    def _message(self) -> str:
        parts = [f"{self.source}: {self.problem}" if self.source else self.problem]
        if self.found is not None:
            parts.append(f"found: {self.found}")
        if self.expected is not None:
            parts.append(f"expected: {self.expected}")
        if self.remedy:
            parts.append(f"what to do: {self.remedy}")
        return "; ".join(parts)

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross processes by pickle, and the default would drop the keyword arguments.
        return _rebuild, (type(self), self.problem, self.source, self.found, self.expected, self.remedy)


def _own_words(text: str) -> str:
    """The message alone: a DataLoader makes a worker's error anew from the text of its whole stack trace."""
    if not (text.startswith("Caught ") and "Traceback (most recent call last)" in text):
        return text
    return re.split(r"^agezoo\.errors\.\w+: ", text, flags=re.MULTILINE)[-1].strip()


def _rebuild(
    cls: type[InputError], problem: str, source: str | None, found: object, expected: object, remedy: str | None
) -> InputError:
    return cls(problem, source=source, found=found, expected=expected, remedy=remedy)


class WeightsError(InputError):
    """Weights that are absent, altered, of another layout or unsafe to open."""


class TrainingDivergedError(InputError):
    """A training whose weights have become infinite or no numbers."""


class MissingExtraError(AgeZooError):
    """An optional library is not installed; the message names the pip extra that brings it."""

    def __init__(self, library: str, extra: str, purpose: str) -> None:
        self._parts = (library, extra, purpose)
        super().__init__(f"{purpose} needs {library}, which is not installed: pip install 'agezoo[{extra}]'")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), self._parts


def user_error(error: BaseException | None) -> AgeZooError | None:
    """The message meant for a user inside the errors that libraries such as MONAI wrap around it, or ``None``."""
    while error is not None:
        if isinstance(error, AgeZooError):
            return error
        error = error.__cause__ or error.__context__
    return None

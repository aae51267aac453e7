"""What a datalist says of a radiograph against what its file says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from agezoo.data.radiograph_header import check_projection, read_header, settled_kind
from agezoo.data.radiograph_picture import check_picture, is_picture
from agezoo.data.radiograph_search import only_usable
from agezoo.data.radiograph_words import KINDS
from agezoo.errors import InputError


def kind_problem(covariates: Mapping[str, Any]) -> str | None:
    """What is wrong with a row's ``modality``, in user words; None if it is a kind of image or not given."""
    kind = covariates.get("modality")
    if kind is None or kind == "" or kind in KINDS:
        return None
    return f"modality is {kind!r}, expected {' or '.join(KINDS)}"


def image_problems(
    files: list[Path], covariates: Mapping[str, Any]
) -> Iterator[tuple[Literal["error", "warning"], str]]:
    """Why a row's files hold no radiograph, or another kind than the row says; pixels are not read."""
    file = files[0]
    try:
        if len(files) > 1:
            file = only_usable(files)
        if is_picture(file):
            check_picture(file, source=file.name)
            return
        header = read_header(file, source=file.name)
        check_projection(header, source=file.name)
    except InputError as error:
        yield "error", f"{file.name} {error.problem}" + (f" ({error.found})" if error.found else "")
        return
    kind = covariates.get("modality")
    if kind in KINDS:
        for note in settled_kind(header, str(kind))[1]:
            yield "warning", f"modality is {kind} here; {note}"

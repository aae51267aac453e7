"""The one door for radiographs: whatever an image is stored as, it leaves here with bone bright and its area known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from agezoo.data.nifti import is_nifti
from agezoo.data.radiograph_area import Area, picture_area, shuttered
from agezoo.data.radiograph_grey import GreyImage, grey_image
from agezoo.data.radiograph_header import check_projection, known_kind, read_header, settled_kind
from agezoo.data.radiograph_picture import is_picture, read_picture
from agezoo.data.radiograph_polarity import looks_inverted
from agezoo.data.volume import ScanFacts
from agezoo.errors import InputError

Source = str | Path | Sequence[str | Path]

# The strip that a densitometer exports for VFA may be 100 pixels wide.
MIN_SIDE_PIXELS = 64
MAX_ELONGATION = 8.0
_FEWEST_GREYS = 16


@dataclass(frozen=True, eq=False)
class Radiograph:
    """A projection image of the lateral spine.

    Parameters
    ----------
    pixels
        (rows, columns), float32: the kept area as stored (rows from head to foot), bone bright, 0 at the darkest pixel.
        The scale is the sender's own.
    spacing_mm
        Millimetres between rows and between columns, or None where unknown.
    kind
        ``"radiograph"`` or ``"vfa"`` (vertebral fracture assessment by DXA).
    facts
        See :class:`agezoo.data.volume.ScanFacts`; ``modality`` is DICOM's, empty for a picture file.
    area
        ``(top, left, rows, columns)`` of the kept area in the stored image.
    stored_shape
        ``(rows, columns)`` of the stored image; of a picture file after turning it upright by its EXIF entry.
    """

    pixels: np.ndarray
    spacing_mm: tuple[float, float] | None
    kind: str
    facts: ScanFacts = field(default_factory=ScanFacts)
    area: tuple[int, int, int, int] = (0, 0, 0, 0)
    stored_shape: tuple[int, int] = (0, 0)

    def to_stored(self, image: np.ndarray, fill: float = 0.0) -> np.ndarray:
        """An image of the kept area's size put back into its place in the stored image; `fill` around it."""
        if image.shape != self.pixels.shape:
            raise ValueError(f"image must have the kept area's shape {self.pixels.shape}, got {image.shape}")
        stored = np.full(self.stored_shape, fill, dtype=image.dtype)
        stored[Area(*self.area).slices] = image
        return stored


def read_radiograph(source: Source, *, kind: str = "", any_body_part: bool = False) -> Radiograph:
    """Read one lateral radiograph or DXA VFA image of the spine.

    Parameters
    ----------
    source
        A DICOM, PNG, JPEG or TIFF file, or a folder or list of files that holds exactly one usable image (a study's
        frontal view, reports and slices of other scans are passed over).
    kind
        ``"radiograph"`` or ``"vfa"``; when empty the DICOM header tells.
    any_body_part
        Read frontal views and other parts of the body as well, for trying things out; the models know the lateral
        spine alone.

    Returns
    -------
    Radiograph
        Through DICOM's grey scale pipeline (see :mod:`agezoo.data.radiograph_grey`) so that images in MONOCHROME1 and
        MONOCHROME2 come out alike. Shutters, collimated strips and burnt-in borders are cut off; what is covered
        inside the remaining rectangle is as dark as its darkest pixel. Doubts are told in ``facts.notes``.

    Raises
    ------
    InputError
        If there is no image that can be read without guessing; the message says what was found and what to do.
    """
    known_kind(kind)
    path = _single_file(source, any_body_part)
    name = str(path)
    if is_picture(path):
        grey = read_picture(path, source=name)
        settled, spacing_mm, facts = known_kind(kind) or "radiograph", None, ScanFacts(n_slices=1, notes=grey.notes)
    else:
        header = read_header(path, source=name)
        notes = check_projection(header, source=name, any_body_part=any_body_part)
        settled, kind_notes = settled_kind(header, kind)
        spacing_mm, spacing_notes = header.spacing_mm
        grey = _with_shutter(grey_image(header, source=name), shuttered(header.dataset, header.shape))
        facts = header.facts(*notes, *kind_notes, *spacing_notes, *grey.notes)
    pixels, area = _kept(grey, name)
    if looks_inverted(pixels):
        facts = facts.with_notes("both sides are brighter than the middle: bone may be dark in this image; look at it")
    return Radiograph(
        pixels, spacing_mm, settled, facts, (area.top, area.left, area.rows, area.columns), grey.pixels.shape
    )


def _single_file(source: Source, any_body_part: bool) -> Path:
    files = [Path(source)] if isinstance(source, (str, Path)) else [Path(item) for item in source]
    if not files:
        raise InputError("the list of files is empty", expected="one radiograph")
    for path in files:
        if not path.exists():
            raise InputError("there is no such file or folder", source=path)
    if len(files) == 1 and files[0].is_file():
        if is_nifti(files[0]):
            raise InputError(
                "is a volume, not a radiograph",
                source=files[0],
                found="a NIfTI file",
                expected="a DICOM, PNG, JPEG or TIFF file",
                remedy="give the radiograph, or use a bundle for CT or MR",
            )
        return files[0]
    from agezoo.data.radiograph_search import only_usable

    return only_usable(files, any_body_part=any_body_part)


def _with_shutter(grey: GreyImage, covered: np.ndarray | None) -> GreyImage:
    if covered is None:
        return grey
    return GreyImage(grey.pixels, covered if grey.outside is None else covered | grey.outside, grey.notes)


def _kept(grey: GreyImage, source: str) -> tuple[np.ndarray, Area]:
    """The kept area's pixels with 0 as the darkest, after the checks that need pixels."""
    pixels = grey.pixels
    if not np.isfinite(pixels).all():
        raise InputError(
            "holds pixels that are no numbers",
            source=source,
            found=f"{np.count_nonzero(~np.isfinite(pixels))} of {pixels.size}",
            remedy="export the image again",
        )
    _check_size(pixels.shape, source)
    if grey.outside is not None:
        inside = pixels[~grey.outside]
        pixels = np.where(grey.outside, inside.min() if inside.size else 0, pixels)
    _check_not_blank(pixels, source)
    area = picture_area(pixels, grey.outside)
    kept = pixels[area.slices]
    _check_size(kept.shape, source, "after its borders were cut off")
    _check_not_blank(kept, source)
    return np.ascontiguousarray(kept - kept.min()), area


def _check_size(shape: tuple[int, ...], source: str, when: str = "") -> None:
    rows, columns = shape
    said = f"{rows} x {columns} pixels{f' {when}' if when else ''}"
    if min(rows, columns) < MIN_SIDE_PIXELS:
        raise InputError(
            "is too small",
            source=source,
            found=said,
            expected=f"at least {MIN_SIDE_PIXELS} pixels on the short side",
            remedy="export the image in its full size, not a preview",
        )
    if max(rows, columns) > MAX_ELONGATION * min(rows, columns):
        raise InputError(
            "is too long and narrow for a radiograph",
            source=source,
            found=said,
            expected=f"a long side of at most {MAX_ELONGATION:g} times the short one",
        )


def _check_not_blank(pixels: np.ndarray, source: str) -> None:
    """Refuse an image of one value, of a few values, or of noise alone."""
    rows, columns = pixels.shape
    sample = pixels[:: max(1, rows // 512), :: max(1, columns // 512)]
    low, high = np.percentile(sample, (2, 98))
    found = ""
    if high <= low:
        found = "one grey value nearly everywhere"
    elif len(np.unique(sample)) < _FEWEST_GREYS:
        found = f"only {len(np.unique(sample))} grey values"
    elif _is_noise(pixels):
        found = "noise alone"
    if found:
        raise InputError(
            "is blank or nearly so",
            source=source,
            found=found,
            expected="a radiograph",
            remedy="look at the image; export it again if it should show something",
        )


def _is_noise(pixels: np.ndarray) -> bool:
    """Whether means over blocks scatter as little as those of independent pixels do."""
    height, width = pixels.shape[0] // 16, pixels.shape[1] // 16
    blocks = pixels[: height * 16, : width * 16].reshape(16, height, 16, width).mean(axis=(1, 3))
    return bool(blocks.std() < 2.0 * pixels.std() / np.sqrt(height * width))

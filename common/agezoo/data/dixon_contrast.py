"""Which of the four Dixon contrasts an image shows: water, fat, in phase, opposed phase.

The header's ImageType goes first, because the scanner writes it: ``W``, ``WATER``, ``F``, ``FAT``, ``IP``,
``IN_PHASE``, ``OP``, ``OPP_PHASE``, ``OUT_PHASE`` and their like, as Siemens, Philips and GE have them. Then the series
description: its first word (GE's ``WATER: Ax LAVA-Flex``) or last word (``Dixon_BH_17s_W``), else the one word that
names a contrast. The protocol's name is not asked: it is that of all contrasts, whatever it says.

Two echoes that no name tells apart are told by their echo times: fat's protons turn 3.4 ppm slower than water's, so
that both are in phase after whole turns and opposed after half ones (2.3 and 4.6 ms at 1.5 T).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from agezoo.data.dicom_headers import SliceHeader

CONTRASTS = ("water", "fat", "in", "opposed")
"""Names of the contrasts."""
OTHER = "other"
"""A map or phase image of a Dixon acquisition, of no use here."""

_IMAGE_TYPES = {
    "water": {"W", "WATER"},
    "fat": {"F", "FAT"},
    "in": {"IP", "IN_PHASE", "INPHASE"},
    "opposed": {"OP", "OPP", "OOP", "OPP_PHASE", "OPPOSED_PHASE", "OUT_PHASE", "OUTPHASE", "OUT_OF_PHASE"},
}
_OTHER_IMAGE_TYPES = re.compile(
    r"FF|WF|FAT_?FRAC\w*|WATER_?FRAC\w*|F_?FRACTION|[TR]2(_?STAR|\*)?(_?MAP)?|B0(_?MAP)?|PHASE(_?MAP)?|FIELD_?MAP|GOODNESS\w*"
)
_WORDS = {
    "water": {"W", "WATER"},
    "fat": {"F", "FAT"},
    "in": {"IN", "IP", "INPHASE"},
    "opposed": {"OP", "OPP", "OPPOSED", "OOP", "OUT", "OUTPHASE", "OPPPHASE", "OPPOSEDPHASE", "OUTOFPHASE"},
}
_OTHER_WORDS = {"FF", "FATFRAC", "FRACTION", "FRAC", "PDFF", "T2STAR", "R2STAR", "R2", "B0", "MAP"}
# Words of one meaning that separators tore apart.
_COMPOUNDS = {
    "_IN_PHASE_": "_INPHASE_",
    "_OPP_PHASE_": "_OPPPHASE_",
    "_OPPOSED_PHASE_": "_OPPOSEDPHASE_",
    "_OUT_PHASE_": "_OUTPHASE_",
    "_OUT_OF_PHASE_": "_OUTOFPHASE_",
    "_FAT_SAT_": "_FATSAT_",
    "_FAT_SUPPRESSED_": "_FATSAT_",
}
_PHASE_COMPONENT = re.compile(r"P|PHASE.*|R|REAL|I|IMAGINARY|VELOCITY.*")
_COMPOSED = re.compile(r"COMP_.*|COMPOSED|COMBINED|MOBIVIEW|STITCHED")

FAT_SHIFT_PPM = 3.4
# Turns that differ by less than this from whole or half ones are in or opposed phase.
_TURN_TOLERANCE = 0.2


def named_contrast(header: SliceHeader) -> str | None:
    """The contrast that an MR image's header names, :data:`OTHER`, or None where it names none."""
    sequence = header.mr
    if sequence is None:
        return None
    # The first two values are ORIGINAL or DERIVED and PRIMARY or SECONDARY.
    kinds = sequence.image_type[2:]
    if sequence.component in {"PHASE", "REAL", "IMAGINARY"} or (kinds and _PHASE_COMPONENT.fullmatch(kinds[0])):
        return OTHER
    if any(_OTHER_IMAGE_TYPES.fullmatch(kind) for kind in kinds):
        return OTHER
    named = {contrast for contrast, values in _IMAGE_TYPES.items() if values & set(kinds)}
    if len(named) == 1:
        return named.pop()
    return contrast_of_words(sequence.description_words) if not named else OTHER


def contrast_of_words(words: Iterable[str]) -> str | None:
    """The contrast that a description's words (capitals, in order) name, :data:`OTHER`, or None."""
    text = f"_{'_'.join(words)}_"
    for torn, joined in _COMPOUNDS.items():
        text = text.replace(torn, joined)
    parts = [part for part in text.split("_") if part]
    if set(parts) & _OTHER_WORDS:
        return OTHER
    # Single letters and "in" mean anything inside a sentence, and a contrast at its end.
    at_end = _contrasts_of(parts[-1:])
    at_start = _contrasts_of(part for part in parts[:1] if len(part) > 2)
    decisive = at_end | at_start
    if not decisive:
        decisive = _contrasts_of(part for part in parts[1:-1] if len(part) > 2)
    return decisive.pop() if len(decisive) == 1 else None


def _contrasts_of(words: Iterable[str]) -> set[str]:
    return {contrast for word in words for contrast, known in _WORDS.items() if word in known}


def contrast_of_echo(echo_ms: float, frequency_mhz: float) -> str | None:
    """``"in"`` or ``"opposed"`` by how far fat's protons have turned against water's at an echo; None in between."""
    turns = FAT_SHIFT_PPM * 1e-6 * frequency_mhz * 1e6 * echo_ms * 1e-3
    if abs(turns - round(turns)) <= _TURN_TOLERANCE and round(turns) >= 1:
        return "in"
    return "opposed" if abs(turns - int(turns) - 0.5) <= _TURN_TOLERANCE else None


def is_composed(header: SliceHeader) -> bool:
    """Whether the scanner made the image by joining stations."""
    return any(_COMPOSED.fullmatch(kind) for kind in header.image_type)

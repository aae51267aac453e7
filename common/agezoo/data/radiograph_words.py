"""What the words of a DICOM header say of a projection image: its kind, its view and the part of the body.

Descriptions are free text in many spellings (``LSPINE_LAT``, ``L-Spine Lateral``, ``LWS seitl.``), so they are brought
into one form first and only whole words count. Of a description nothing but the word that decided is ever shown,
because people write names into these fields.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from pydicom.dataset import Dataset

from agezoo.data.dicom_elements import text_of, texts_of

KINDS = ("radiograph", "vfa")

_IMAGE_TEXTS = ("SeriesDescription", "ProtocolName", "AcquisitionDeviceProcessingDescription")
_STUDY_TEXTS = ("PerformedProcedureStepDescription", "RequestedProcedureDescription", "StudyDescription")
_TEXTS = (*_IMAGE_TEXTS, *_STUDY_TEXTS)

_FRONTAL = re.compile(r"\b(ap|pa|frontal|anteroposterior|posteroanterior|antero posterior|postero anterior)\b")
_LATERAL = re.compile(
    r"\b(lat|lats|latl|llat|rlat|lateral|laterale|ll|rl|lva|profil|profile|seitl|seitlich|sagittal)\b"
)
_OBLIQUE = re.compile(r"\b(obl|oblique|obliques|schrag|schraeg|lao|rao|lpo|rpo|llo|rlo)\b")

_THORACOLUMBAR = re.compile(
    r"\b((t|th|l|ls|tl|dl|ct) ?spine|lumb\w*|thoracolumb\w*|dorsolumb\w*|[lb]w[sk]|brustwirbel\w*|lendenwirbel\w*|"
    r"lombaire|lombo\w*|lsp|tsp|vfa|iva|lva|(whole|full|total|entire|complete) ?spine|"
    r"(thoracic|dorsal|thorax) (spine|vertebra\w*|wirbel\w*)|(spine|rachis|columna|colonna) (thoracic|dors\w*|whole))\b"
)
_NECK_OR_SACRUM = re.compile(r"\b(c ?spine|cervical\w*|hws|halswirbel\w*|s ?spine|sacrum|sacral|coccyx|neck)\b")
_SPINE = re.compile(
    r"\b(spine|spinal|vertebra|vertebrae|vertebral|ws|\w*wirbel\w*|rachis|rachide|colonne|colonna|columna|"
    r"scoliosis|skoliose|kyphosis|kyphose)\b"
)
_OTHER_PART = re.compile(
    r"\b(chest|thorax|thoracic|lungs?|ribs?|sternum|heart|breast|mamm\w*|abdom\w*|kub|pelvi\w*|becken|"
    r"hips?|hufte|huefte|femur|femoral|thigh|knees?|knie|patella|tibia|fibula|lower leg|legs?|ankles?|foot|feet|fuss|"
    r"toes?|heel|calcane\w*|hands?|fingers?|thumb|wrists?|handgelenk|forearm|unterarm|radius|ulna|elbows?|ellenbogen|"
    r"humerus|oberarm|(?<!\bc )arms?|shoulders?|schulter|clavicle|scapula|skull|schadel|schaedel|head|brain|facial|"
    r"orbits?|sinus(es)?|jaw|mandible|teeth|tooth|dental|(whole|total|full) ?body|extremity|extremities)\b"
)

_VFA = re.compile(r"\b(vfa|iva|lva|vertebral fracture assessment|vertebral assessment|instant vertebral)\b")
_DENSITOMETRY = re.compile(r"\b(dxa|dexa|bone densit\w*|densitometr\w*|bmd)\b")
# Makers that build bone densitometers and no general radiography; Hologic's other images are mammograms.
_DENSITOMETER = re.compile(r"\b(hologic|lunar|norland|idxa|prodigy|qdr)\b")


@dataclass(frozen=True)
class Said:
    """A word in a header that decides something: ``field`` holds ``word``, which means ``meaning``."""

    meaning: str
    field: str
    word: str

    def __str__(self) -> str:
        return f"{self.field} says {self.word!r}"


def plain_words(text: str) -> str:
    """Lower case words without accents, single spaces between; ``a.p.`` and ``A/P`` become ``ap``."""
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    text = unicodedata.normalize("NFKD", text.lower())
    text = "".join(letter for letter in text if not unicodedata.combining(letter)).replace("ß", "ss")
    text = re.sub(r"\b([ap])\s?[./-]\s?([ap])\b", r"\1\2", text)
    return " ".join(re.sub(r"[^a-z0-9]+", " ", text).split())


def kind_of(dataset: Dataset) -> Said | None:
    """Whether a header is one of a DXA VFA image (``vfa``); None where nothing says so."""
    for field in (*_TEXTS, "BodyPartExamined"):
        if found := _VFA.search(plain_words(text_of(dataset, field))):
            return Said("vfa", field, found[0])
    if text_of(dataset, "Modality").upper() == "BMD":
        return Said("vfa", "Modality", "BMD")
    for field, pattern in (
        ("Manufacturer", _DENSITOMETER),
        ("ManufacturerModelName", _DENSITOMETER),
        *((name, _DENSITOMETRY) for name in _TEXTS),
    ):
        if found := pattern.search(plain_words(text_of(dataset, field))):
            return Said("vfa", field, found[0])
    return None


def views_of(dataset: Dataset) -> list[Said]:
    """What the header's fields say of the view (``frontal``, ``lateral``, ``oblique``), the most reliable field first.

    A description that names several views (``AP/LAT``) says nothing of the single image.
    """
    said = []
    for field, text in (
        ("ViewPosition", text_of(dataset, "ViewPosition")),
        *_code_meanings(dataset, "ViewCodeSequence"),
    ):
        found = _views_in(text)
        if "oblique" in found:
            said.append(Said("oblique", field, found["oblique"]))
        elif len(found) == 1:
            said += [Said(view, field, word) for view, word in found.items()]
    said += _view_of_orientation(dataset)
    for field in _TEXTS:
        found = _views_in(text_of(dataset, field))
        if len(found) == 1:
            said += [Said(view, field, word) for view, word in found.items()]
    return said


def _views_in(text: str) -> dict[str, str]:
    words = plain_words(text)
    patterns = {"frontal": _FRONTAL, "lateral": _LATERAL, "oblique": _OBLIQUE}
    found = {view: pattern.search(words) for view, pattern in patterns.items()}
    return {view: match[0] for view, match in found.items() if match}


def _view_of_orientation(dataset: Dataset) -> list[Said]:
    """PatientOrientation names the body directions of rows and columns: left-right in either means a frontal view."""
    directions = [text[:1].upper() for text in texts_of(dataset, "PatientOrientation")]
    if len(directions) != 2 or not all(letter in {*"LRAPHF"} for letter in directions):
        return []
    across = next((letter for letter in directions if letter in "LRAP"), "")
    if not across or all(letter in "LRAP" for letter in directions):
        return []
    shown = "\\".join(directions)
    return [Said("frontal" if across in "LR" else "lateral", "PatientOrientation", shown)]


def is_turned(dataset: Dataset) -> bool:
    """Whether PatientOrientation says that rows do not run from head to foot."""
    directions = [text[:1].upper() for text in texts_of(dataset, "PatientOrientation")]
    return len(directions) == 2 and directions[1] != "F" and any(letter in {*"HF"} for letter in directions)


def part_of(dataset: Dataset) -> Said | None:
    """The part of the body: ``spine``, or the word for another part; None where nothing says so.

    Spine words win over others. The image's own descriptions come before BodyPartExamined, which is often left at the
    device's default, and this before the study's descriptions, which speak of other images too.
    """
    image = _parts_in((field, text_of(dataset, field)) for field in _IMAGE_TEXTS)
    body_part = _parts_in(
        [("BodyPartExamined", text_of(dataset, "BodyPartExamined")), *_code_meanings(dataset, "AnatomicRegionSequence")]
    )
    study = _parts_in((field, text_of(dataset, field)) for field in _STUDY_TEXTS)
    for said in (*image, *body_part):
        if said.meaning == "spine":
            return said
    if image:
        return image[0]
    for said in study:
        if said.meaning == "spine":
            return said
    return next(iter((*body_part, *study)), None)


def _parts_in(texts: Iterable[tuple[str, str]]) -> list[Said]:
    said = []
    for field, text in texts:
        words = plain_words(text)
        if found := _THORACOLUMBAR.search(words):
            said.append(Said("spine", field, found[0]))
        elif found := _NECK_OR_SACRUM.search(words):
            said.append(Said("neck or sacrum", field, found[0]))
        elif found := _SPINE.search(words):
            said.append(Said("spine", field, found[0]))
        elif found := _OTHER_PART.search(words):
            said.append(Said(found[0], field, found[0]))
    return said


def _code_meanings(dataset: Dataset, keyword: str) -> list[tuple[str, str]]:
    return [(keyword, text_of(item, "CodeMeaning")) for item in dataset.get(keyword) or []]

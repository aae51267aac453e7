"""What kind of MR image a series holds: T1-weighted, or what else, by its names and its timing.

Names are descriptions that a technician chose or the scanner's own sequence name; they decide where they say enough.
Otherwise repetition, echo and inversion time do. The bounds are those of common clinical and research protocols: a
T1-weighted spin echo has a repetition time of at most 1000 ms and an echo time of at most 30 ms, a spoiled gradient
echo at most 60 and 10 ms, a magnetisation-prepared one (MPRAGE) an inversion time of 300 to 1500 ms.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field

from pydicom.dataset import Dataset

from agezoo.data.dicom_elements import number_of, text_of, texts_of

T1 = "T1-weighted"
UNKNOWN = "of unknown weighting"

_T1_WORD = re.compile(r"S?T1\w*|3DT1\w*|\w*MP2?RAGE\w*|RAGE|\w*SPGR\w*|\w*BRAVO|(?!\w*T2)\w*TFE|TFL\w*|MDEFT")
# Told by a word even where another one says T1: maps, angiographies and reformats of T1-weighted images.
_STRONG = (
    ("a localiser", re.compile(r"LOCALI[SZ]ERS?|\w*SCOUT\w*|SURVEY|SMARTBRAIN|3PLANE|CALIBRATION")),
    ("a reformat", re.compile(r"MPRS?|MIP|MINIP|REFORMAT\w*|VRT|CURVED")),
    ("one of MP2RAGE's inversion images", re.compile(r"INV[12]")),
    ("a parameter map", re.compile(r"\w*MAPS?|MAPPING|MAPIT|FIELDMAP\w*|FMAP")),
    ("diffusion-weighted", re.compile(r"DWI|DTI|DKI|DIFF|DIFFUSION|ADC|TRACEW?|TENSOR|NODDI|COLFA|\w*EPI?DIFF\w*")),
    ("perfusion", re.compile(r"P?C?ASL|PERF|PERFUSION|CBF|CBV|MTT|TTP|DSC|DCE")),
    ("an angiography", re.compile(r"TOF\w*|MRA|MRV|\w*ANGIO\w*|VENO\w*")),
    ("susceptibility-weighted", re.compile(r"SWI\w*|SWAN|QSM")),
    ("functional", re.compile(r"\w*BOLD\w*|\w*FMRI\w*|EPFID\w*|RESTING")),
)
# Told by a word unless another one says T1, as in T1 FLAIR.
_WEAK = (
    ("FLAIR", re.compile(r"\w*FLAIR\w*|DARKFLUID|FLUID|TIRM|SPCIR\w*")),
    ("STIR", re.compile(r"STIR")),
    ("T2-weighted", re.compile(r"T2\w*|\w*T2W?|CISS\w*|FIESTA\w*|DRIVE|HASTE\w*|SSFSE\w*")),
    ("proton density", re.compile(r"PDW?|PROTON\w*")),
    ("functional", re.compile(r"REST|TASK|EP2D\w*")),
    ("a reference scan", re.compile(r"B[01]|CAL|ASSET|REF\w*|LOC|PLANE")),
)
_AGENT_WORDS = {"GD", "GAD", "GADO", "GADOLINIUM", "POST", "POSTGD", "POSTCON", "POSTCONTRAST", "CE", "KM"}
_NO_AGENT_WORDS = {"PRE", "WITHOUT", "WO", "NON", "NO", "OHNE", "NATIV"}

_SPIN_ECHO_T1_MS = (1000.0, 30.0)
_GRADIENT_ECHO_T1_MS = (60.0, 10.0)
_PREPARED_T1_INVERSION_MS = (300.0, 1500.0)
_T2_ECHO_MS = 45.0
_PROTON_MHZ_PER_TESLA = 42.577


@dataclass(frozen=True, slots=True)
class MRSequence:
    """How an MR image was acquired, as far as its header tells; times in ms.

    Attributes
    ----------
    words
        Single words of the series' and protocol's descriptions and the sequence's name, in capitals. They may hold
        anything a technician wrote and never go into a message.
    image_type
        DICOM ImageType in capitals.
    scanning
        ScanningSequence: ``SE``, ``GR``, ``IR``, ``EP``, ``RM``.
    is_3d
        Whether a volume was excited rather than single slices; None where the header does not tell.
    has_agent
        Whether a contrast agent is named.
    component
        DICOM ComplexImageComponent in capitals (``MAGNITUDE``, ``PHASE``, ``REAL``, ``IMAGINARY``), often empty.
    description_words
        Words of the series' description alone, in capitals and in order.
    frequency_mhz
        Frequency of the imaged protons: ImagingFrequency, or else from the field strength.
    acquired_s
        AcquisitionTime in seconds since midnight.
    table_mm
        Position of the table along the scanner's axis, by TablePosition or Siemens' private element.
    patient_position
        ``HFS``, ``FFS`` ...: which way the patient lay.
    """

    words: tuple[str, ...] = field(repr=False)
    image_type: tuple[str, ...]
    scanning: tuple[str, ...]
    is_3d: bool | None
    repetition_ms: float | None
    echo_ms: float | None
    inversion_ms: float | None
    has_agent: bool
    component: str = ""
    description_words: tuple[str, ...] = field(repr=False, default=())
    frequency_mhz: float | None = None
    acquired_s: float | None = None
    table_mm: float | None = None
    patient_position: str = ""

    @property
    def kind(self) -> str:
        """:data:`T1`, :data:`UNKNOWN`, or what it is instead, in a few words."""
        if self._is_reformat():
            return "a reformat"
        if self.image_type[2:3] and re.fullmatch(r"P|PHASE.*|R|REAL|I|IMAGINARY|VELOCITY.*", self.image_type[2]):
            return "a phase image"
        strong = _first_kind(self.words, _STRONG)
        if strong:
            return strong
        # Siemens calls the quantitative T1 map of MP2RAGE "T1 Images", the T1-weighted image "UNI Images".
        if {"MP2RAGE", "IMAGES"} <= set(self.words) and "UNI" not in self.words:
            return "a parameter map"
        says_t1 = any(_T1_WORD.fullmatch(word) for word in self.words)
        weak = _first_kind(self.words, _WEAK)
        if says_t1 and weak not in ("T2-weighted", "proton density"):
            return T1
        if weak and not says_t1:
            return weak
        # Neither names a weighting, or both do.
        return self._kind_by_timing()

    def _is_reformat(self) -> bool:
        words = {word for kind in self.image_type for word in re.split(r"[^A-Z0-9]+", kind)}
        return bool(words & {"MPR", "MIP", "MINIP", "REFORMATTED", "REFORMAT", "PROJECTION", "VRT"})

    def _kind_by_timing(self) -> str:
        repetition, echo, inversion = self.repetition_ms, self.echo_ms, self.inversion_ms
        if "EP" in self.scanning:
            return "echo-planar"
        if repetition is None or echo is None:
            return UNKNOWN
        if echo > _T2_ECHO_MS:
            return "FLAIR" if inversion is not None and inversion > _PREPARED_T1_INVERSION_MS[1] else "T2-weighted"
        low, high = _PREPARED_T1_INVERSION_MS
        if "SE" not in self.scanning:
            is_prepared = inversion is not None and low <= inversion <= high
            is_spoiled = repetition <= _GRADIENT_ECHO_T1_MS[0] and echo <= _GRADIENT_ECHO_T1_MS[1]
            return T1 if is_prepared or is_spoiled else UNKNOWN
        if repetition <= _SPIN_ECHO_T1_MS[0] and echo <= _SPIN_ECHO_T1_MS[1]:
            return T1
        return UNKNOWN if inversion else "proton density"


def _first_kind(words: tuple[str, ...], kinds: tuple[tuple[str, re.Pattern[str]], ...]) -> str:
    return next((kind for kind, pattern in kinds if any(pattern.fullmatch(word) for word in words)), "")


def _names_agent(text: str, words: set[str]) -> bool:
    named = bool(_AGENT_WORDS & words) or re.search(r"\+ ?C\b|\bC ?\+", text) is not None
    return named and not _NO_AGENT_WORDS & words


def sequence_of(image: Dataset) -> MRSequence:
    """The facts from one image's header (from one frame's, for an enhanced multi-frame object)."""
    names = ("SeriesDescription", "ProtocolName", "SequenceName", "PulseSequenceName", "AcquisitionContrast")
    text = " ".join(text_of(image, name) for name in names).upper()
    words = tuple(dict.fromkeys(re.findall(r"[A-Z0-9]+", text)))
    dimensions = text_of(image, "MRAcquisitionType").upper()
    agent = text_of(image, "ContrastBolusAgent").upper()
    return MRSequence(
        words=words,
        image_type=tuple(part.upper() for part in texts_of(image, "ImageType")),
        scanning=tuple(part.upper() for part in texts_of(image, "ScanningSequence")),
        is_3d={"3D": True, "2D": False}.get(dimensions),
        repetition_ms=number_of(image, "RepetitionTime"),
        echo_ms=number_of(image, "EchoTime"),
        inversion_ms=number_of(image, "InversionTime"),
        has_agent=agent not in {"", "NO", "NONE", "N"} or _names_agent(text, set(words)),
        component=text_of(image, "ComplexImageComponent").upper(),
        description_words=tuple(re.findall(r"[A-Z0-9]+", text_of(image, "SeriesDescription").upper())),
        frequency_mhz=_frequency_mhz(image),
        acquired_s=_seconds(text_of(image, "AcquisitionTime")),
        table_mm=_table_mm(image),
        patient_position=text_of(image, "PatientPosition").upper(),
    )


def _frequency_mhz(image: Dataset) -> float | None:
    stated, field_tesla = number_of(image, "ImagingFrequency"), number_of(image, "MagneticFieldStrength")
    if stated:
        return stated
    # Some writers give gauss.
    tesla = None if field_tesla is None else field_tesla / 1e4 if field_tesla > 100 else field_tesla
    return tesla * _PROTON_MHZ_PER_TESLA if tesla else None


def _seconds(time: str) -> float | None:
    match = re.fullmatch(r"(\d{2}):?(\d{2}):?(\d{2}(?:\.\d*)?)", time)
    return int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3]) if match else None


def _table_mm(image: Dataset) -> float | None:
    stated = number_of(image, "TablePosition")
    if stated is not None or (0x0019, 0x1013) not in image:
        return stated
    owner = image.get((0x0019, 0x0010))
    if owner is None or "SIEMENS MR HEADER" not in str(owner.value):
        return None
    value = image[0x0019, 0x1013].value
    if isinstance(value, bytes):
        value = struct.unpack("<3i", value) if len(value) == 12 else None
    try:
        return float(value[2])
    except (TypeError, ValueError, IndexError):
        return None

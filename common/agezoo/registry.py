"""The bundles of the zoo and the facts about each that the command line, the docs and the tests share.

Nothing here imports torch or reads a file, so that ``agezoo --help`` stays quick.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from agezoo.errors import InputError


@dataclass(frozen=True)
class BundleFacts:
    """What the tools need to know of one bundle without opening it.

    Attributes
    ----------
    name
        Folder name under ``bundles/`` and the name on the command line.
    title
        One line for people.
    modalities
        DICOM modalities that its reader accepts.
    age_range_years
        Lowest and highest chronological age that the published model was trained on; ages outside are reported
        by ``agezoo check``.
    paper
        The publication that it implements.
    state
        ``"ready"`` or ``"planned"``.
    reader
        What one image is: ``"volume"`` (a series of slices or a NIfTI file), ``"brain"`` (such a volume, a T1-weighted
        MRI of the head or brain), ``"body"`` (Dixon MR of the whole body in several stations: a zip or folder of DICOM,
        or NIfTI volumes of water and fat) or ``"radiograph"`` (one projection image: a DICOM file, PNG or JPEG).
    saliency
        Method of the pictures that ``agezoo predict`` writes unless another is asked for.
    further_stages
        Overlays of ``train.json`` that train what stands on its weights (setting ``stage1_weights``), for a cascade.
    """

    name: str
    title: str
    modalities: tuple[str, ...]
    age_range_years: tuple[float, float]
    paper: str
    state: str
    reader: str = "volume"
    saliency: str = "score_cam"
    further_stages: tuple[str, ...] = ()


BUNDLES: dict[str, BundleFacts] = {
    facts.name: facts
    for facts in (
        BundleFacts(
            name="ct_age",
            title="age from thorax-abdomen CT (two projections, ResNet-18, aleatoric uncertainty)",
            modalities=("CT",),
            age_range_years=(20.0, 85.0),
            paper="Kerber et al., PLOS ONE 2023, 18(11):e0292993",
            state="ready",
        ),
        BundleFacts(
            name="spine_age",
            title="spine age from lateral spine radiographs and DXA VFA (EfficientNet-B4, mean-variance loss)",
            modalities=("CR", "DX", "OT"),
            age_range_years=(40.0, 99.0),
            paper="npj Aging 2025, s41514-025-00271-8",
            state="ready",
            reader="radiograph",
            saliency="hires_cam",
        ),
        BundleFacts(
            name="brain_tsan",
            title="brain age from T1 MRI (two-stage cascade with ranking losses)",
            modalities=("MR",),
            age_range_years=(18.0, 97.0),
            paper="Cheng et al., IEEE TMI 2021, arXiv 2106.03052",
            state="ready",
            reader="brain",
            saliency="grad_cam",
            further_stages=("train_stage2",),
        ),
        BundleFacts(
            name="wholebody_mr",
            title="age from neck-to-knee Dixon MR (3D ResNet-18, population Grad-CAM atlas)",
            modalities=("MR",),
            age_range_years=(44.0, 85.0),
            paper="Starck et al., MELBA 2024:029, arXiv 2307.07439",
            state="ready",
            reader="body",
            saliency="hires_cam",
        ),
    )
}


def bundle_facts(name: str) -> BundleFacts:
    """Look a bundle up by name; raise :class:`InputError` that lists the known names otherwise."""
    try:
        return BUNDLES[name]
    except KeyError:
        raise InputError("no such bundle", found=name, expected=", ".join(BUNDLES)) from None


def bundle_root(name: str) -> Path:
    """Folder of a bundle: in a checkout ``bundles/<name>``, in a packaged bundle the folder that holds ``agezoo``.

    Raises
    ------
    InputError
        If neither is there, which happens when the wheel is installed without a checkout.
    """
    bundle_facts(name)
    package = Path(__file__).resolve().parent
    roots = [package.parent.parent / "bundles" / name]
    # A packaged bundle's folder may have been renamed, but never stands for another bundle of the zoo.
    if package.parent.name == name or package.parent.name not in BUNDLES:
        roots.append(package.parent)
    for root in roots:
        if (root / "configs" / "metadata.json").is_file():
            return root
    raise InputError(
        "the bundle's folder is not beside the package",
        source=name,
        expected="a checkout of the repository, or a packaged bundle with agezoo inside",
        remedy="run from a checkout, or download the bundle's zip and work in its folder",
    )


def bundle_version(root: str | Path) -> str:
    """Version in a bundle's ``configs/metadata.json``."""
    return str(json.loads((Path(root) / "configs" / "metadata.json").read_text())["version"])

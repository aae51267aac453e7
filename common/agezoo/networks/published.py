"""The weights that the papers' authors released: where they are, how a copy is recognised, and on what terms.

Nothing here imports torch or touches the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agezoo.errors import WeightsError


@dataclass(frozen=True)
class PublishedFile:
    """One released file.

    Attributes
    ----------
    name
        Its name at the authors'.
    fold
        Cross-validation fold that its training left out.
    git_blob
        Git's id of its content, by which a copy is recognised wherever it comes from.
    """

    name: str
    fold: int
    git_blob: str


@dataclass(frozen=True)
class PublishedWeights:
    """All released files of one bundle.

    Attributes
    ----------
    bundle
        Name of the bundle.
    base_url
        Folder on the web that holds the files.
    page
        Where a person can look at them with a browser.
    files
        The files, which belong together as an ensemble.
    settings
        Settings of the bundle's config under which its network has the files' layout.
    licence
        SPDX id of the authors' licence.
    notice
        Their licence text, which every copy has to carry.
    citation
        What to cite.
    """

    bundle: str
    base_url: str
    page: str
    files: tuple[PublishedFile, ...]
    licence: str
    notice: str = field(repr=False)
    citation: str
    settings: Mapping[str, float] = field(default_factory=dict)

    def url(self, file: PublishedFile, base_url: str | None = None) -> str:
        """Address of one file, at the authors' or at a mirror with the same file names."""
        return f"{(base_url or self.base_url).rstrip('/')}/{file.name}"

    def licence_text(self) -> str:
        """What lies beside the installed files: whose they are, what was done to them, and the licence."""
        return (
            f"The weights in this folder were trained and released by the authors of\n\n  {self.citation}\n\n"
            f"at {self.page}\n\n"
            "Their files were converted to bare state dicts; the numbers are unchanged. The authors' licence:\n\n"
            f"{self.notice}"
        )

    def by_hand(self) -> str:
        """How to get the files where this program cannot."""
        return (
            f"download {self.files[0].name} to {self.files[-1].name} from {self.page} with a browser, on any computer, "
            f"and run: agezoo weights import {self.bundle} FILE..."
        )


_MIT_NOTICE = """MIT License

Copyright (c) 2023 Bjarne Kerber

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""

PUBLISHED: dict[str, PublishedWeights] = {
    "ct_age": PublishedWeights(
        bundle="ct_age",
        base_url="https://raw.githubusercontent.com/BjarneKerber/age_estimation/main/model",
        page="https://github.com/BjarneKerber/age_estimation/tree/main/model",
        files=(
            PublishedFile("resnet_cv_0.tar", 0, "89e529c46e3d49df599cfae8df4a47c74852224d"),
            PublishedFile("resnet_cv_1.tar", 1, "3db6271e503a25b69125bbac1320317db70d9d28"),
            PublishedFile("resnet_cv_2.tar", 2, "970d5b1d6367a6ea617bc75aa0d8914399571c9b"),
            PublishedFile("resnet_cv_3.tar", 3, "8bd6e9d4248c1bf828dc48eb12dc22834593e4d3"),
            PublishedFile("resnet_cv_4.tar", 4, "a48214a4da9c530c59c0de1689a184eba1a48b57"),
        ),
        settings={"trunk_width": 64},
        licence="MIT",
        notice=_MIT_NOTICE,
        citation="Kerber B, Hepp T, Küstner T, Gatidis S. Deep learning-based age estimation from clinical computed "
        "tomography image data of the thorax and abdomen in the adult population. PLOS ONE 2023;18(11):e0292993. "
        "https://doi.org/10.1371/journal.pone.0292993",
    )
}
"""Bundle -> what its authors released."""


@dataclass(frozen=True)
class BrowserOnlyWeights:
    """Weights that their authors share on a page which no program can fetch from, and whose checksums are not known.

    Attributes
    ----------
    bundle
        Name of the bundle.
    page
        Where a person finds them.
    way
        What to do there, as the end of "open PAGE with a browser and ...".
    files
        The arguments of ``agezoo weights import``.
    licence
        SPDX id of the authors' licence.
    citation
        What to cite.
    """

    bundle: str
    page: str
    way: str
    files: str
    licence: str
    citation: str

    def by_hand(self) -> str:
        """How to get them."""
        command = f"agezoo weights import {self.bundle} {self.files}"
        return f"open {self.page} with a browser and {self.way}; then run: {command}"


BROWSER_ONLY: dict[str, BrowserOnlyWeights] = {
    "brain_tsan": BrowserOnlyWeights(
        bundle="brain_tsan",
        page="https://github.com/Milan-BUAA/TSAN-brain-age-estimation",
        way='download both checkpoints, ScaleDense and second-stage ScaleDense, from the cloud page under "Pre-trained '
        'Model"',
        files="STAGE1 STAGE2",
        licence="MIT",
        citation="Cheng J, Liu Z, Guan H, Wu Z, Zhu H, Jiang J, Wen W, Tao D, Liu T. Brain age estimation from MRI "
        "using cascade networks with ranking loss. IEEE Transactions on Medical Imaging 2021. "
        "https://arxiv.org/abs/2106.03052",
    )
}
"""Bundle -> what its authors share with people alone."""

NOT_AUTHENTICATED = (
    "their checksums are not known here, so an import opens them safely and checks their layout, and cannot tell "
    "whether they are the authors' numbers: their origin is imported, not published"
)


def published_weights(bundle: str) -> PublishedWeights:
    """Look a bundle's released weights up.

    Raises
    ------
    WeightsError
        If its authors released none, or none that can be fetched.
    """
    if bundle in BROWSER_ONLY:
        raise WeightsError(
            "the published weights cannot be fetched, because their page needs a browser",
            source=bundle,
            remedy=f"{BROWSER_ONLY[bundle].by_hand()} (in either order; {NOT_AUTHENTICATED})",
        )
    try:
        return PUBLISHED[bundle]
    except KeyError:
        raise WeightsError(
            "no published weights are known for this bundle",
            found=bundle,
            expected=", ".join(PUBLISHED),
            remedy="train your own (agezoo crossval) or import a file (agezoo weights import)",
        ) from None

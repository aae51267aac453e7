"""Installing weights that were made elsewhere: the published ones, fetched or brought as files, and a user's own.

A file is authenticated before it is opened, opened without running code, checked strictly against the bundle's network
and saved anew with its record. Everything happens in a folder aside that takes the place of the earlier one at the
end: whatever goes wrong, what was installed before stays as it was.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from agezoo.errors import WeightsError
from agezoo.networks.brain_checkpoints import brain_weights
from agezoo.networks.published import PUBLISHED, PublishedFile, PublishedWeights, published_weights
from agezoo.networks.weights import WeightsFile, describe, fit_strictly, open_safely, recorded_settings, save_weights
from agezoo.networks.weights_conversion import bare_state_dict, configured_network, git_blob_id
from agezoo.networks.weights_download import download
from agezoo.networks.weights_place import Installation, InstallPlace, disk_errors_explained
from agezoo.registry import bundle_version


def fetch_published(
    bundle: str,
    *,
    url: str | None = None,
    out: str | Path | None = None,
    force: bool = False,
    released: PublishedWeights | None = None,
    root: str | Path | None = None,
    progress: bool = True,
    timeout_s: float = 30.0,
    pause_s: float = 2.0,
) -> Installation:
    """Download the weights that the authors of a bundle's paper released, authenticate and install them, all or none.

    Parameters
    ----------
    bundle
        Name of the bundle.
    url
        Folder of a mirror with the authors' file names; the authors' own by default. The files' ids decide, not the
        place they come from.
    out
        Folder to install into instead of the bundle's ``models/published``.
    force
        Fetch again although everything is there and unaltered.
    released
        What was released; that of the bundle by default.
    root
        Folder of the bundle.
    progress
        Show progress bars on a terminal.
    timeout_s, pause_s
        See :func:`agezoo.networks.weights_download.download`.

    Raises
    ------
    WeightsError
        If a file cannot be fetched, is not the released one, wants to run code or has another layout.
    """
    released = released or published_weights(bundle)
    place = InstallPlace.of(bundle, root, out, "published")
    if not force and (present := _present(place.folder, released)):
        return Installation(place.folder, present, installed=False)

    def bring(file: PublishedFile, path: Path) -> str:
        address = released.url(file, url)
        download(
            address,
            path,
            by_hand=released.by_hand(),
            timeout_s=timeout_s,
            pause_s=pause_s,
            progress=progress,
        )
        return address

    return _install_released(place, released, bring)


def import_weights(
    bundle: str,
    files: Sequence[str | Path],
    *,
    out: str | Path | None = None,
    released: PublishedWeights | None = None,
    root: str | Path | None = None,
) -> Installation:
    """Install weights from files at hand: all the released ones in any order, or a user's own.

    Released files are recognised by their content, whatever they are called, and become ``published`` as if fetched.
    Own files get the origin that a record beside them states (it must fit the file), else ``imported``. Of brain_tsan
    the two stages may come as two files, see :func:`agezoo.networks.brain_checkpoints.brain_weights`.

    Parameters
    ----------
    bundle, out, released, root
        As in :func:`fetch_published`; own files go to ``models/imported``.
    files
        State dicts written by ``torch.save``, also nested under ``state_dict`` or with a leading ``module.``.

    Raises
    ------
    WeightsError
        If a file is missing, altered, unsafe or of another layout; if only some of the released files are given, or
        own files besides.
    """
    paths = [Path(file) for file in files]
    released = released or PUBLISHED.get(bundle)
    if not paths:
        raise WeightsError("no file is given")
    with disk_errors_explained(paths[0].parent):
        ids = {path: git_blob_id(path) for path in paths}
    if len(set(ids.values())) != len(paths):
        raise WeightsError("the same weights are given twice", found=", ".join(path.name for path in paths))
    known = {file.git_blob: file for file in released.files} if released else {}
    recognised = {known[blob].name: path for path, blob in ids.items() if blob in known}
    if released is None or not recognised:
        _refuse_false_release(ids, released)
        return _install_own(InstallPlace.of(bundle, root, out, "imported"), paths)
    absent = [file.name for file in released.files if file.name not in recognised]
    others = [path.name for path, blob in ids.items() if blob not in known]
    if absent or others:
        raise WeightsError(
            "the published weights are installed all together or not at all",
            found=f"{len(recognised)} of them" + (f", and {', '.join(others)}, which is none" if others else ""),
            expected=f"also {', '.join(absent)}" if absent else f"the {len(known)} released files alone",
        )

    def bring(file: PublishedFile, path: Path) -> str:
        shutil.copyfile(recognised[file.name], path)
        return released.url(file)

    return _install_released(InstallPlace.of(bundle, root, out, "published"), released, bring)


def _install_released(
    place: InstallPlace, released: PublishedWeights, bring: Callable[[PublishedFile, Path], str]
) -> Installation:
    network = configured_network(place.root, released.settings)
    with place.fresh() as fresh:
        for file in released.files:
            raw = fresh / file.name
            source = bring(file, raw)
            found = git_blob_id(raw)
            if found != file.git_blob:
                raise WeightsError(
                    f"this is not the released {file.name}; it was not opened",
                    source=source,
                    found=f"git blob {found}, {raw.stat().st_size} bytes",
                    expected=f"git blob {file.git_blob}",
                    remedy=f"try again, as a proxy may have answered with a page of its own; or {released.by_hand()}",
                )
            fit_strictly(network, bare_state_dict(open_safely(raw), raw), raw)
            raw.unlink()
            record = {
                "origin": "published",
                "bundle": place.bundle,
                "bundle_version": bundle_version(place.root),
                "fold": file.fold,
                "source": released.url(file),
                "git_blob": file.git_blob,
                "licence": released.licence,
                "citation": released.citation,
                "overrides": dict(released.settings),
            }
            save_weights(network.state_dict(), fresh / f"fold_{file.fold}.pt", record)
        (fresh / "LICENSE.txt").write_text(released.licence_text(), encoding="utf-8")
    return place.installation()


def _install_own(place: InstallPlace, paths: Sequence[Path]) -> Installation:
    if place.bundle == "brain_tsan":
        return _install_brain(place, paths)
    with place.fresh() as fresh:
        for number, path in enumerate(paths):
            given = describe(path)
            network = configured_network(place.root, recorded_settings(given))
            fit_strictly(network, bare_state_dict(open_safely(path), path), path)
            # The name alone: where a file lay on somebody's disk is nobody else's business.
            own = {"origin": "imported", "bundle": place.bundle, "source": path.name, "source_sha256": given.sha256}
            record = {**own, **{k: v for k, v in given.record.items() if k not in ("sha256", "members", "stands_for")}}
            save_weights(network.state_dict(), fresh / f"member_{number}.pt", record)
    return place.installation()


def _install_brain(place: InstallPlace, paths: Sequence[Path]) -> Installation:
    with place.fresh() as fresh:
        for number, made in enumerate(brain_weights(paths)):
            network = configured_network(place.root, made.record["overrides"])
            fit_strictly(network, made.state, made.source)
            save_weights(network.state_dict(), fresh / f"member_{number}.pt", {"bundle": place.bundle, **made.record})
    return place.installation()


def _present(folder: Path, released: PublishedWeights) -> tuple[WeightsFile, ...] | None:
    """The released files if all of them are installed and unaltered."""
    files = []
    for file in released.files:
        try:
            files.append(describe(folder / f"fold_{file.fold}.pt"))
        except WeightsError:
            return None
        if files[-1].record.get("git_blob") != file.git_blob:
            return None
    return tuple(files)


def _refuse_false_release(ids: Mapping[Path, str], released: PublishedWeights | None) -> None:
    """A released file that was cut or changed must not come in as somebody's own weights."""
    expected = {file.name: file.git_blob for file in released.files} if released else {}
    for path, found in ids.items():
        if path.name in expected:
            raise WeightsError(
                "the file is called like a released one and is another; it was not opened",
                source=path,
                found=f"git blob {found}, {path.stat().st_size} bytes",
                expected=f"git blob {expected[path.name]}",
                remedy="download it again; if these are your own weights, give the file another name",
            )

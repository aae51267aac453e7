"""``agezoo weights``: fetch, import, list and verify the weights of a bundle, and fetch what it starts from."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agezoo.commands.arguments import add_bundle, add_verb
from agezoo.errors import WeightsError

if TYPE_CHECKING:
    from agezoo.networks.hub_file import HubFile
    from agezoo.networks.weights_inventory import WeightsEntry
    from agezoo.networks.weights_place import Installation


def add_parser(verbs: Any) -> None:
    """Add the verb with its six actions."""
    parser = add_verb(
        verbs,
        "weights",
        "fetch the published weights, import files, list and verify what is installed",
        "Weights of a bundle. Published files are recognised by their content, opened without running any code that\n"
        "may hide in them, checked against the bundle's network and installed all together or not at all. What was\n"
        "installed before stays when anything fails.",
        "  agezoo weights fetch ct_age\n"
        "  agezoo weights import ct_age downloads/resnet_cv_*.tar\n"
        "  agezoo weights import brain_tsan STAGE1 STAGE2\n"
        "  agezoo weights list ct_age\n"
        "  agezoo weights verify ct_age\n"
        "  agezoo weights imagenet spine_age --out efficientnet-b4.pth\n"
        "  agezoo weights kinetics wholebody_mr --out r3d_18.pth",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    fetch = actions.add_parser("fetch", help="download the weights that the paper's authors released and install them")
    add_bundle(fetch)
    fetch.add_argument("--url", metavar="BASE", help="folder of a mirror that holds the files under the authors' names")
    _add_out(fetch)
    fetch.add_argument("--force", action="store_true", help="fetch again although they are installed and unaltered")
    fetch.set_defaults(run=run_fetch)

    import_ = actions.add_parser("import", help="install weights from files: the released ones, or your own")
    add_bundle(import_)
    import_.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="all released files in any order, or own; of brain_tsan one file for each stage, or whole weights",
    )
    _add_out(import_)
    import_.set_defaults(run=run_import)

    list_ = actions.add_parser("list", help="what is installed and what can be fetched")
    add_bundle(list_)
    list_.set_defaults(run=run_list)

    verify = actions.add_parser(
        "verify", help="compute every checksum anew; exit status 1 unless all files are as recorded"
    )
    add_bundle(verify)
    verify.add_argument(
        "paths", nargs="*", type=Path, metavar="PATH", help="files or folders instead of the installed ones"
    )
    verify.set_defaults(run=run_verify)

    for action, name, run in (("imagenet", "ImageNet", run_imagenet), ("kinetics", "Kinetics-400", run_kinetics)):
        start = actions.add_parser(
            action, help=f"download the {name} weights that a training can start from (setting pretrained)"
        )
        add_bundle(start)
        start.add_argument("--out", type=Path, required=True, metavar="FILE", help="file to write, or a folder for it")
        start.add_argument("--url", metavar="BASE", help="folder of a mirror that holds the file under the same name")
        start.set_defaults(run=run)


def run_fetch(args: argparse.Namespace) -> int:
    """Fetch and say where the weights are."""
    from agezoo.networks.published import published_weights
    from agezoo.networks.weights_install import fetch_published

    done = fetch_published(args.bundle, url=args.url, out=args.out, force=args.force)
    if not done.installed:
        print(f"already installed and unaltered: {done.folder} (--force fetches again)")
        return 0
    _tell(done)
    released = published_weights(args.bundle)
    print(f"licence: {released.licence}, see LICENSE.txt there; please cite: {released.citation}")
    return 0


def run_import(args: argparse.Namespace) -> int:
    """Import and say where the weights are."""
    from agezoo.networks.weights_install import import_weights

    _tell(import_weights(args.bundle, args.files, out=args.out))
    return 0


def run_list(args: argparse.Namespace) -> int:
    """Print what is installed and what can be fetched."""
    from agezoo.networks.published import BROWSER_ONLY, NOT_AUTHENTICATED, PUBLISHED
    from agezoo.networks.weights_inventory import weights_entries
    from agezoo.registry import bundle_root

    models = bundle_root(args.bundle) / "models"
    entries = weights_entries(models)
    print(f"installed in {models}:" if entries else f"nothing is installed in {models}")
    for entry in entries:
        print(f"  {_line(entry, models)}")
    if entries:
        print(f"asked by default: {_default(models.parent)}")
    released = PUBLISHED.get(args.bundle)
    if released is not None:
        print(f"published, {released.licence} licence (agezoo weights fetch {args.bundle}):")
        for file in released.files:
            print(f"  {file.name:<20}fold {file.fold}  git blob {file.git_blob[:12]}  {released.url(file)}")
    if args.bundle in BROWSER_ONLY:
        shared = BROWSER_ONLY[args.bundle]
        print(f"published, {shared.licence} licence: {shared.by_hand()}")
        print(f"  ({NOT_AUTHENTICATED})")
    return 0


def run_verify(args: argparse.Namespace) -> int:
    """Print ``ok`` or what is wrong for every file."""
    from agezoo.networks.weights_inventory import weights_entries
    from agezoo.registry import bundle_root

    models = bundle_root(args.bundle) / "models"
    absent = [str(path) for path in args.paths if not path.exists()]
    if absent:
        raise WeightsError("no such file or folder", source=", ".join(absent))
    entries = [entry for place in args.paths or [models] for entry in weights_entries(place)]
    if not entries:
        places = ", ".join(map(str, args.paths or [models]))
        raise WeightsError("no weights there", source=places, remedy=f"agezoo weights list {args.bundle}")
    for entry in entries:
        print(f"{entry.state:<10}{entry.path}")
    return 0 if all(entry.state == "ok" for entry in entries) else 1


def run_imagenet(args: argparse.Namespace) -> int:
    """Fetch and say how a training starts from the file."""
    from agezoo.networks.imagenet_download import imagenet_file

    return _fetch_start(imagenet_file(args.bundle), args)


def run_kinetics(args: argparse.Namespace) -> int:
    """Fetch and say how a training starts from the file."""
    from agezoo.networks.kinetics import kinetics_file

    return _fetch_start(kinetics_file(args.bundle), args)


def _fetch_start(file: HubFile, args: argparse.Namespace) -> int:
    from agezoo.networks.hub_file import fetch_hub_file

    path, fetched = fetch_hub_file(file, args.out, url=args.url)
    print(f"fetched and checked: {path}" if fetched else f"already there and unaltered: {path}")
    print(f"start a training from it with --pretrained {path}")
    return 0


def _add_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder to install into instead of the bundle's own")


def _tell(done: Installation) -> None:
    origins = "+".join(sorted({file.origin for file in done.files}))
    print(f"installed {len(done.files)} {origins} weight files, checked: {done.folder}")
    if done.kept is not None:
        print(f"your own {done.kept} stays the first choice; ask for these with --weights {done.folder}")
    elif done.model is None:
        print(f"ask for them with --weights {done.folder}")


def _default(root: Path) -> str:
    from agezoo.networks.weights import ensemble_origin, find_weights

    try:
        files = find_weights(root)
    except WeightsError as error:
        return f"none ({error.problem})"
    return f"{', '.join(file.path.name for file in files)} (origin {ensemble_origin(files)})"


def _line(entry: WeightsEntry, models: Path) -> str:
    fold = "" if entry.fold is None else f"fold {entry.fold}"
    return (
        f"{entry.path.relative_to(models).as_posix():<28}{entry.origin or '?':<12}{entry.sha256[:12] or '?':<14}"
        f"{fold:<8}{entry.size_bytes / 1e6:7.1f} MB  {entry.state}"
    )

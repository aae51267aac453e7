"""Store the folds of a cross-validation on phantoms in half precision, as a bundle ships them.

python scripts/phantom_weights.py crossval bundles/wholebody_mr/models/phantom
agezoo calibrate crossval/out_of_fold.csv --weights bundles/wholebody_mr/models/phantom
"""

from __future__ import annotations

import argparse
from pathlib import Path

from agezoo.networks.weights import describe, read_state_dict, save_weights


def main() -> None:
    """Halve every ``fold_N/model.pt`` of the first folder into ``fold_N.pt`` of the second, each with its record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crossval", type=Path, help="folder that agezoo crossval wrote")
    parser.add_argument("out", type=Path, help="models/phantom of the bundle")
    args = parser.parse_args()
    files = sorted(args.crossval.glob("fold_*/model.pt"))
    if not files:
        raise SystemExit(f"{args.crossval}: no fold_N/model.pt")
    for path in files:
        file = describe(path)
        if file.origin != "phantom":
            raise SystemExit(f"{path}: weights of origin {file.origin!r}, not of phantoms")
        halved = {name: t.half() if t.is_floating_point() else t for name, t in read_state_dict(path).items()}
        stored = save_weights(halved, args.out / f"{path.parent.name}.pt", {**file.record, "stored": "float16"})
        print(f"{stored.path}: {stored.path.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()

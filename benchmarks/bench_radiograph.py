"""Time and memory of preparing a radiograph: agezoo against a plain pydicom, scikit-image and float64 recipe.

    python benchmarks/bench_radiograph.py
    python benchmarks/bench_radiograph.py --file radiograph.dcm

Both read the same file, every run in a fresh process; memory is the peak of the resident set over what it held once the
libraries were imported. Without ``--file`` a lateral radiograph of the phantom, enlarged to 3000 x 1500 pixels at 16
bit, is written to a temporary folder. The plain recipe knows none of the checks: it decodes, applies the lookup
tables, inverts MONOCHROME1, equalises, crops and resizes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

REPEATS = 5


def resident_bytes(field: str) -> int:
    """VmRSS (now) or VmHWM (peak) of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {field}: this benchmark needs Linux")


def plain_recipe(path: str) -> np.ndarray:
    """The published steps in the most straightforward way."""
    import pydicom
    from pydicom.pixels import apply_modality_lut, apply_voi_lut
    from skimage.exposure import equalize_hist
    from skimage.transform import resize

    data = pydicom.dcmread(path)
    image = apply_voi_lut(apply_modality_lut(data.pixel_array, data), data).astype(np.float64)
    if data.PhotometricInterpretation == "MONOCHROME1":
        image = image.max() - image
    image = np.round(255 * (image - image.min()) / np.ptp(image)).astype(np.uint8)
    image = equalize_hist(image)
    image = (image - image.min()) / np.ptp(image)
    edge = round(0.05 * image.shape[1])
    image = image[:, edge : image.shape[1] - edge]
    scale = min(1024 / image.shape[0], 512 / image.shape[1])
    small = resize(image, (round(image.shape[0] * scale), round(image.shape[1] * scale)), order=1, anti_aliasing=True)
    canvas = np.zeros((1024, 512))
    top, left = (1024 - small.shape[0]) // 2, (512 - small.shape[1]) // 2
    canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
    return canvas


def run_worker(which: str, source: str) -> None:
    """Prepare the image a few times and print the measurements as JSON."""
    if which == "agezoo":
        from agezoo.engines import config_part
        from agezoo.registry import bundle_root

        steps = config_part(bundle_root("spine_age"), "train.json", "preprocessing")

        def prepare() -> np.ndarray:
            return np.asarray(steps({"image": source, "modality": ""})["image"])[0]
    else:

        def prepare() -> np.ndarray:
            return plain_recipe(source)

    prepare()  # imports and first use of libraries
    held = resident_bytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # starts the peak anew
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        canvas = prepare()
        seconds.append(time.perf_counter() - started)
    peak = resident_bytes("VmHWM") - held
    print(json.dumps({"seconds": min(seconds), "peak_bytes": peak, "canvas": np.round(canvas, 3).tolist()}))


def large_phantom(folder: Path) -> Path:
    """A phantom radiograph as a 3000 x 1500, 16-bit file."""
    import pydicom
    from skimage.transform import resize

    from agezoo.phantoms.spine_cohort import write_spine_cohort

    cohort = write_spine_cohort(folder / "cohort", subjects=1, vfa_subjects=0, seed=3, workers=1, progress=False)
    data = pydicom.dcmread(cohort.folder / cohort.table["image"].iloc[0])
    pixels = data.pixel_array
    large = resize(pixels, (3000, 1500), order=1, preserve_range=True) * (65535 / max(int(pixels.max()), 1))
    if data.file_meta.TransferSyntaxUID.is_compressed:
        data.decompress()
    data.Rows, data.Columns = large.shape
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 0
    for name in ("WindowCenter", "WindowWidth", "VOILUTSequence", "ModalityLUTSequence", "PixelPaddingValue"):
        if name in data:
            delattr(data, name)
    data.PixelData = large.astype(np.uint16).tobytes()
    path = folder / "large.dcm"
    data.save_as(path)
    return path


def main() -> None:
    """Measure both and print their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", type=Path, help="a radiograph; a large phantom by default")
    parser.add_argument("--worker", choices=["agezoo", "plain"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        run_worker(args.worker, str(args.file))
        return
    with tempfile.TemporaryDirectory() as folder:
        source = args.file or large_phantom(Path(folder))
        found = {}
        for which in ("plain", "agezoo"):
            command = [sys.executable, __file__, "--worker", which, "--file", str(source)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[which] = json.loads(done.stdout.splitlines()[-1])
    ours, plain = found["agezoo"], found["plain"]
    difference = np.abs(np.subtract(ours["canvas"], plain["canvas"])).mean()
    for which, result in found.items():
        print(f"{which:<7}{result['seconds']:8.3f} s {result['peak_bytes'] / 1e6:8.0f} MB")
    print(f"ratio of time {ours['seconds'] / plain['seconds']:.2f}, of memory "
          f"{ours['peak_bytes'] / plain['peak_bytes']:.2f}; mean absolute difference {difference:.4f}")  # fmt: skip


if __name__ == "__main__":
    main()

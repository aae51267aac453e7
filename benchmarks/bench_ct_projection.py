"""Time and memory of reading and projecting a CT: agezoo against the plain float64 recipe, side by side.

    python benchmarks/bench_ct_projection.py
    python benchmarks/bench_ct_projection.py --file scan.nii.gz --file dicom_folder

Both read the same file. Every run is a fresh process; its memory is the peak of the resident set over what it
held once the libraries were imported. Without ``--file`` a body-like volume of 512 x 512 x 300 voxels is
written to a temporary folder as NIfTI (gzip) and as a DICOM series.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

TIME_LIMIT, MEMORY_LIMIT, DIFFERENCE_LIMIT = 1 / 4, 1 / 3, 0.01


def resident_bytes(field: str) -> int:
    """Read VmRSS (now) or VmHWM (peak); unlike ru_maxrss, VmHWM is not inherited from the parent process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {field}: this benchmark needs Linux")


def run_worker(which: str, source: str, output: str) -> None:
    """Project one scan, write the projection and print the measurements as JSON."""
    if which == "agezoo":
        from monai.transforms import Compose

        from agezoo.transforms import CentralSlabProjectiond, LoadVolumed, MaskToBodyd, ResampleToGridd, ScaleToUnitd

        steps = Compose(
            [
                LoadVolumed("image"),
                ResampleToGridd("image"),
                MaskToBodyd("image"),
                CentralSlabProjectiond("image"),
                ScaleToUnitd("image"),
            ]
        )

        def project() -> np.ndarray:
            return steps({"image": source})["image"].numpy()[0]
    else:
        from ct_projection_reference import read_dicom_series, read_nifti, reference_projection

        if Path(source).is_dir():
            import pydicom  # noqa: F401 - counted with the libraries, not with the work

        def project() -> np.ndarray:
            read = read_dicom_series if Path(source).is_dir() else read_nifti
            return reference_projection(read(source))

    before = resident_bytes("VmRSS")
    start = time.perf_counter()
    image = project()
    seconds = time.perf_counter() - start
    np.save(output, image)
    print(json.dumps({"seconds": seconds, "bytes": resident_bytes("VmHWM") - before}))


def measure(which: str, source: Path, folder: Path, repeats: int) -> tuple[float, float, np.ndarray]:
    """Median seconds, largest bytes and the projection of `repeats` fresh processes."""
    output = folder / f"{which}.npy"
    runs = []
    for _ in range(repeats):
        command = [sys.executable, __file__, "--worker", which, "--file", str(source), "--output", str(output)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    return float(np.median([run["seconds"] for run in runs])), max(run["bytes"] for run in runs), np.load(output)


def compare(title: str, source: Path, folder: Path, repeats: int) -> None:
    """Measure both on one scan and print the table."""
    plain_s, plain_bytes, plain = measure("reference", source, folder, repeats)
    ours_s, ours_bytes, ours = measure("agezoo", source, folder, repeats)
    difference = float(np.abs(ours - plain).mean())
    print(f"\n{title}")
    print(f"  plain float64 recipe  {plain_s:7.2f} s  {plain_bytes / 2**20:7.0f} MiB")
    print(f"  agezoo.transforms     {ours_s:7.2f} s  {ours_bytes / 2**20:7.0f} MiB")
    print(f"  time ratio            {verdict(ours_s / plain_s, TIME_LIMIT)}")
    print(f"  memory ratio          {verdict(ours_bytes / plain_bytes, MEMORY_LIMIT)}")
    print(f"  mean |difference|     {verdict(difference, DIFFERENCE_LIMIT)} of the 0..1 range")


def verdict(value: float, limit: float) -> str:
    """Figure, limit and whether it holds."""
    return f"{value:.3g} (limit {limit:.2g}: {'met' if value <= limit else 'NOT MET'})"


def body_like_volume(shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """int16 HU volume in LAS: noisy trunk with lungs, a spine and vessels, and a table that does not touch it."""
    rng = np.random.default_rng(seed)
    nx, ny, nz = shape
    x, y = np.meshgrid(np.linspace(-1, 1, nx), np.linspace(-1, 1, ny), indexing="ij")
    volume = np.empty(shape, dtype=np.int16, order="F")
    for k in range(nz):
        z = k / (nz - 1)
        plane = np.full((nx, ny), -1000.0)
        plane[(np.abs(y + 0.85) < 0.02) & (np.abs(x) < 0.7)] = 150
        radius = (x / (0.75 + 0.1 * z)) ** 2 + (y / 0.6) ** 2
        plane[radius < 1] = -100
        plane[radius < 0.8] = 50
        if z > 0.55:
            for side in (-1, 1):
                plane[((x - 0.35 * side) / 0.22) ** 2 + (y / 0.35) ** 2 < np.sin(np.pi * (z - 0.5) / 0.55)] = -850
        plane[(x + 0.05) ** 2 + (y + 0.1) ** 2 < 0.005] = 200
        plane[x**2 + (y + 0.32) ** 2 < 0.012] = 300 if k % 14 < 11 else 80
        volume[:, :, k] = np.round(plane + rng.normal(0, 20, plane.shape))
    return np.maximum(volume, -1024, out=volume)


def write_nifti(volume: np.ndarray, path: Path) -> None:
    """Write the volume with 0.8 x 0.8 x 1.5 mm voxels, stored in LAS like the public test set."""
    import nibabel

    nibabel.save(nibabel.Nifti1Image(volume, np.diag([-0.8, 0.8, 1.5, 1.0])), path)


def write_dicom_series(volume: np.ndarray, folder: Path) -> None:
    """Write the volume as one uncompressed axial CT series of a made-up person."""
    import pydicom
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    folder.mkdir()
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    nx, ny, nz = volume.shape
    for k in range(nz):
        dataset = pydicom.Dataset()
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = study, series, frame
        dataset.PatientID, dataset.PatientName, dataset.StudyDate = "BENCH", "BENCH", "20240101"
        dataset.PatientAge, dataset.PatientSex = "050Y", "F"
        dataset.Modality, dataset.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.SeriesNumber, dataset.InstanceNumber = 1, k + 1
        dataset.Rows, dataset.Columns = ny, nx
        dataset.PixelSpacing, dataset.SliceThickness = [0.8, 0.8], 1.5
        dataset.ImagePositionPatient = [-0.4 * nx, -0.4 * ny, 1.5 * k]
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit, dataset.PixelRepresentation = 15, 0
        dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = 1, -1024, "HU"
        # Rows run to the back of the patient, columns to the left.
        pixels = (volume[:, ::-1, k].T.astype(np.int32) + 1024).astype("<u2")
        dataset.PixelData = np.ascontiguousarray(pixels).tobytes()
        dataset.save_as(folder / f"{k:04d}.dcm", enforce_file_format=True)


def main() -> None:
    """Parse the command line and run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", action="append", help="scan to use instead of the synthetic one (repeatable)")
    parser.add_argument("--repeats", type=int, default=3, help="fresh processes per measurement (default 3)")
    parser.add_argument("--size", type=int, nargs=3, default=(512, 512, 300), help="voxels of the synthetic volume")
    parser.add_argument("--worker", choices=("agezoo", "reference"), help=argparse.SUPPRESS)
    parser.add_argument("--output", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        run_worker(options.worker, options.file[0], options.output)
        return
    print(f"reading and projecting a CT, {os.cpu_count()} CPU cores, median of {options.repeats} fresh processes")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.file:
            for source in options.file:
                compare(Path(source).name, Path(source), folder, options.repeats)
            return
        size = " x ".join(map(str, options.size))
        volume = body_like_volume(tuple(options.size))
        write_nifti(volume, folder / "volume.nii.gz")
        compare(f"NIfTI (.nii.gz), {size}", folder / "volume.nii.gz", folder, options.repeats)
        write_dicom_series(volume, folder / "series")
        compare(f"DICOM series, {size}", folder / "series", folder, options.repeats)


if __name__ == "__main__":
    main()

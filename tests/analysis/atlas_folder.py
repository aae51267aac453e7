"""A small atlas folder whose regions, groups and trends are known."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

REGIONS = ("heart", "aorta", "spine", "back_muscles", "liver", "left_kidney", "pelvis", "fat")
#: Enrichment of the cases' mean map in each region; what is left of the map lies in no region.
ENRICHMENT = dict(zip(REGIONS, (3.0, 2.5, 2.0, 1.6, 1.0, 0.8, 0.7, 0.6), strict=True))
PLANTED = {"heart": 0.4, "aorta": 0.3, "spine": 0.2, "back_muscles": 0.1, "liver": 0.0}
SHAPE = (24, 18, 40)
SPACING_MM = 20.0


def label_volume() -> tuple[np.ndarray, np.ndarray]:
    """Labels 1.. of boxes in an elliptic trunk, and the trunk's mask; axes towards left, front and head."""
    x, y, z = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    mask = (((x - 11.5) / 10.5) ** 2 + ((y - 8.5) / 7.5) ** 2 < 1) & (z >= 1) & (z < 39)
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[mask] = 8
    inner = (((x - 11.5) / 8.5) ** 2 + ((y - 8.5) / 5.5) ** 2 < 1) & (z >= 2) & (z < 38)
    labels[inner] = 0
    boxes = {
        "heart": ((11, 16), (9, 13), (28, 34)), "aorta": ((12, 14), (6, 8), (12, 28)),
        "spine": ((10, 13), (3, 6), (4, 38)), "back_muscles": ((13, 16), (3, 6), (4, 34)),
        "liver": ((4, 11), (6, 12), (20, 27)), "left_kidney": ((15, 18), (5, 8), (14, 20)),
        "pelvis": ((5, 18), (7, 12), (3, 8)),
    }  # fmt: skip
    for number, name in enumerate(REGIONS[:-1], start=1):
        labels[tuple(slice(*part) for part in boxes[name])] = number
    return labels, mask


def write_atlas_folder(
    folder: Path,
    *,
    n: int = 60,
    repeats: int = 0,
    failed: int = 0,
    women_heart: float = 0.0,
    heart_per_decade: float = 0.0,
    accelerated_aorta: float = 0.0,
    n_shuffles: int = 99,
    noise: float = 0.15,
    phantom: bool = True,
    seed: int = 0,
) -> Path:
    """Write the folder.

    Parameters
    ----------
    n, repeats, failed
        People, how many of them have a second scan, and further scans without a map.
    women_heart, heart_per_decade, accelerated_aorta
        Differences of the share, planted in these regions.
    noise
        SD of a person's share over the mean share.
    """
    rng = np.random.default_rng(seed)
    labels, mask = label_volume()
    volume = np.array([(labels == number)[mask].mean() for number in range(1, len(REGIONS) + 1)])
    mean_share = volume * np.array(list(ENRICHMENT.values()))
    age = rng.uniform(45, 75, n)
    sex = np.where(np.arange(n) % 2 == 0, "F", "M")
    gap = rng.normal(0, 3, n)
    ager = np.select([gap > 2, gap < -2], ["accelerated", "decelerated"], "typical")
    shares = mean_share * (1 + noise * rng.normal(size=(n, len(REGIONS))))
    shares[:, 0] += women_heart * (sex == "F") + heart_per_decade * (age - 60) / 10
    shares[:, 1] += accelerated_aorta * (ager == "accelerated")
    rows = []
    for i in [*range(n), *range(repeats)]:
        session = str(1 + (len(rows) >= n))
        rows.append(
            {
                "subject_id": f"{i:04d}", "session": session, "age_years": age[i], "sex": sex[i],
                "predicted_age_years": age[i] + gap[i], "gap_years": gap[i], "corrected_gap_years": gap[i],
                "ager": ager[i], "age_group": "45-54" if age[i] < 55 else "55-64" if age[i] < 65 else "65-74",
                "registration_correlation": 0.9 - 0.02 * abs(rng.normal()),
                "registration_overlap": 0.93 - 0.01 * abs(rng.normal()), "error": "",
                **{f"share:{name}": shares[i, j] for j, name in enumerate(REGIONS)},
                **{f"signed:{name}": 0.3 * (j < 2) - 0.1 + 0.02 * rng.normal() for j, name in enumerate(REGIONS)},
            }
        )  # fmt: skip
    rows += [
        {"subject_id": f"f{i}", "session": "1", "age_years": 60.0, "sex": "M", "error": "registration: <overlap> low"}
        for i in range(failed)
    ]
    cases = pd.DataFrame(rows)
    for name in ("template", "population"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    cases.to_csv(folder / "cases.csv", index=False)
    numbers = range(1, len(REGIONS) + 1)
    pd.DataFrame({"region": REGIONS, "label": numbers, "volume_share": volume}).to_csv(
        folder / "regions.csv", index=False
    )
    pd.DataFrame({"subject_id": cases["subject_id"], "weights_origin": "phantom" if phantom else "user"}).to_csv(
        folder / "predictions.csv", index=False
    )
    _write_volumes(folder, labels, mask, shares, sex, ager, cases["age_group"].to_numpy()[:n], n_shuffles, rng)
    return folder


def _write_volumes(folder, labels, mask, shares, sex, ager, age_group, n_shuffles, rng):
    affine = np.diag([-SPACING_MM, SPACING_MM, SPACING_MM, 1.0])
    affine[:3, 3] = [240, -180, -400]

    def save(name, values):
        nib.save(nib.Nifti1Image(values, affine), folder / f"{name}.nii.gz")

    z = np.indices(SHAPE)[2]
    save("template/water", (mask * (0.6 + 0.3 * (labels > 0) * (labels < 8) + 0.1 * np.sin(z))).astype(np.float32))
    save("template/fat", (0.8 * (labels == 8)).astype(np.float32))
    save("template/labels", labels)
    save("template/mask", mask.astype(np.uint8))
    (folder / "template/labels.json").write_text(json.dumps({name: i + 1 for i, name in enumerate(REGIONS)}))
    ages = {f"age_{word.replace('-', '_')}": age_group == word for word in sorted(set(age_group))}
    groups = {
        "all": sex != "", "female": sex == "F", "male": sex == "M", **ages, "accelerated": ager == "accelerated",
        "decelerated": ager == "decelerated",
    }  # fmt: skip
    # The map of a person is constant in each region; its mean and SD over people follow from the shares.
    sizes = np.array([(labels == number).sum() for number in range(1, len(REGIONS) + 1)])
    null = {}
    for name, rows in groups.items():
        n = int(rows.sum())
        if not n:
            continue
        density = (
            np.concatenate([0.8 / mask.sum() * (1 + 0.2 * rng.normal(size=(n, 1))), shares[rows] / sizes], axis=1)
            * mask.sum()
        )
        spread = density.std(axis=0, ddof=1) if n > 1 else np.zeros(density.shape[1])
        save(f"population/{name}_mean", np.where(mask, density.mean(axis=0)[labels], 0).astype(np.float32))
        save(f"population/{name}_sd", np.where(mask, spread[labels], 0).astype(np.float32))
        save(f"population/{name}_count", (mask * n).astype(np.int32))
        signed = np.where((labels == 1) | (labels == 2), 0.2, -0.1) * mask
        save(f"population/{name}_signed_mean", signed.astype(np.float32))
        null[name] = sizes / mask.sum() * (1 + 0.3 / np.sqrt(n) * rng.normal(size=(n_shuffles, len(REGIONS))))
    np.savez(folder / "population/null.npz", **null)

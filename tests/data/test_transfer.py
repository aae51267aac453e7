"""A second cohort for transfer learning: who is fine-tuned on and who is left for the test."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from agezoo.data.transfer import transfer_split
from agezoo.errors import InputError


def write_list(folder: Path, n_vfa: int = 60, n_radiographs: int = 20) -> Path:
    """People of two modalities; every tenth of the VFA people has two images."""
    rows = []
    for index in range(n_vfa):
        for session in ("first", "second") if index % 10 == 0 else ("first",):
            rows.append(
                {
                    "image": f"v{index}_{session}.dcm",
                    "subject_id": f"V{index}",
                    "session": session,
                    "age_years": 65 + index * 25 / n_vfa,
                    "sex": "FM"[index % 2],
                    "covariates": {"modality": "vfa"},
                }
            )
    training = [
        {"image": f"r{i}.dcm", "subject_id": f"R{i}", "age_years": 40 + i, "covariates": {"modality": "radiograph"}}
        for i in range(n_radiographs)
    ]
    path = folder / "datalist.json"
    path.write_text(json.dumps({"training": training, "test": rows}))
    return path


def people(rows: list[dict]) -> set[str]:
    return {row["subject_id"] for row in rows}


def test_parts_are_disjoint_people_of_one_modality_in_the_wished_sizes(tmp_path: Path) -> None:
    parts = transfer_split(write_list(tmp_path), fraction=0.3, validation_fraction=0.2, modality="vfa", seed=3)
    assert {name: len(people(rows)) for name, rows in parts.items()} == {"training": 14, "validation": 4, "test": 42}
    assert not people(parts["training"]) & people(parts["validation"])
    assert not (people(parts["training"]) | people(parts["validation"])) & people(parts["test"])
    everyone = people(parts["training"]) | people(parts["validation"]) | people(parts["test"])
    assert everyone == {f"V{i}" for i in range(60)}
    assert sum(map(len, parts.values())) == 66, "both images of a person go the same way"


def test_the_parts_are_alike_in_age_and_sex(tmp_path: Path) -> None:
    parts = transfer_split(write_list(tmp_path, n_vfa=200), modality="vfa", seed=0)
    chosen = parts["training"] + parts["validation"]
    ages = [np.mean([row["age_years"] for row in rows]) for rows in (chosen, parts["test"])]
    assert abs(ages[0] - ages[1]) < 1.0
    women = [np.mean([row["sex"] == "F" for row in rows]) for rows in (chosen, parts["test"])]
    assert abs(women[0] - women[1]) < 0.1


def test_the_same_seed_gives_the_same_people(tmp_path: Path) -> None:
    path = write_list(tmp_path)
    first, again, other = (transfer_split(path, modality="vfa", seed=seed) for seed in (1, 1, 2))
    assert people(first["test"]) == people(again["test"])
    assert people(first["test"]) != people(other["test"])


def test_a_modality_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no rows of modality 'dxa'.*radiograph, vfa.*finetune_modality to null"):
        transfer_split(write_list(tmp_path), modality="dxa")


def test_too_few_people(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found: 3 people; expected: at least 4"):
        transfer_split(write_list(tmp_path, n_vfa=3), modality="vfa")


@pytest.mark.parametrize("fractions", [(0.0, 0.2), (1.0, 0.2), (0.3, 0.0), (0.3, 1.0)])
def test_fractions_out_of_range(tmp_path: Path, fractions: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="a fraction is out of range"):
        transfer_split(write_list(tmp_path), fraction=fractions[0], validation_fraction=fractions[1])

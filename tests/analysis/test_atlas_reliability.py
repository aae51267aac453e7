"""Agreement of atlases of different people against what its variances give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from agezoo.analysis.atlas_input import AtlasInput
from agezoo.analysis.atlas_reliability import ENOUGH, reliability


def atlas(shares: np.ndarray, person: np.ndarray | None = None) -> AtlasInput:
    n, r = shares.shape
    regions = pd.DataFrame({"region": [f"r{i}" for i in range(r)], "volume_share": np.linspace(0.01, 0.05, r)})
    return AtlasInput(
        Path("atlas"), pd.DataFrame(), pd.DataFrame(), regions, shares, shares * np.nan,
        np.arange(n) if person is None else person, {"all": np.ones(n, dtype=bool)}, {}, {}, False, (),
    )  # fmt: skip


def noisy(n: int, r: int, noise: float, seed: int = 0) -> np.ndarray:
    """Shares whose enrichments are a profile of variance 1 over regions plus noise of each person."""
    rng = np.random.default_rng(seed)
    profile = np.linspace(-1, 1, r)
    profile = 5 + profile / profile.std()
    return (profile + noise * rng.normal(size=(n, r))) * np.linspace(0.01, 0.05, r)


def test_agreement_follows_from_the_variances() -> None:
    found = reliability(atlas(noisy(400, 40, 6.0)), n_splits=100)
    # Of two means over n people: 1 / (1 + noise^2 / n).
    expected = 1 / (1 + 36 / found.curve["n_people"])
    np.testing.assert_allclose(found.curve["correlation"], expected, atol=0.06)
    assert found.curve["n_people"].iloc[[0, -1]].tolist() == [5, 200]
    assert found.split_half == pytest.approx(found.curve["correlation"].iloc[-1])
    assert found.spearman_brown == pytest.approx(1 / (1 + 36 / 400), abs=0.03)
    assert (found.curve["low"] <= found.curve["correlation"]).all()
    assert found.enough_people is None


def test_how_many_people_are_enough() -> None:
    found = reliability(atlas(noisy(400, 40, 1.0)), n_splits=100)
    assert found.enough_people is not None
    at = found.curve.set_index("n_people")["low"]
    assert at[found.enough_people] >= ENOUGH
    assert at[at.index < found.enough_people].iloc[-1] < ENOUGH
    # 1 / (1 + 1 / n) is 0.95 at 19 people; the lower end of the draws comes later.
    assert 19 < found.enough_people < 80


def test_regions_that_only_differ_in_size_do_not_agree() -> None:
    rng = np.random.default_rng(1)
    flat = np.linspace(0.01, 0.05, 30) * (1 + 0.2 * rng.normal(size=(200, 30)))
    assert reliability(atlas(flat), n_splits=50).split_half == pytest.approx(0, abs=0.35)


def test_scans_of_one_person_stay_together() -> None:
    shares = noisy(40, 30, 6.0)
    found = reliability(atlas(np.tile(shares, (5, 1)), np.tile(np.arange(40), 5)), n_splits=100)
    assert found.split_half == pytest.approx(reliability(atlas(shares), n_splits=100).split_half, abs=1e-9)


@pytest.mark.parametrize("shape", [(9, 20), (40, 2)])
def test_too_little_says_nothing(shape: tuple[int, int]) -> None:
    found = reliability(atlas(np.random.default_rng(0).uniform(size=shape)))
    assert (found.split_half, found.spearman_brown, found.enough_people, len(found.curve)) == (None, None, None, 0)


def test_maps_that_are_all_alike_say_nothing() -> None:
    assert reliability(atlas(np.ones((20, 5)) * np.linspace(0.01, 0.05, 5))).split_half is None

"""The check against planted ageing by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from agezoo.analysis.atlas_planted import check_planted


def table() -> pd.DataFrame:
    regions = pd.DataFrame(
        {
            "group": "all",
            "region": ["heart", "aorta", "liver", "fat", "empty"],
            "share": [0.3, 0.1, 0.05, 0.4, 0.0],
            "volume_share": [0.1, 0.1, 0.02, 0.5, 0.0],
            "enrichment": [3.0, 1.0, 2.5, 0.8, float("nan")],
            "rank_enrichment": [1.0, 3.0, 2.0, 4.0, float("nan")],
            "enrichment_corrected": [4.0, 2.0, float("nan"), 0.1, float("nan")],
            "rank_corrected": [1.0, 2.0, float("nan"), 3.0, float("nan")],
            "rank_share": [2.0, 3.0, 4.0, 1.0, 5.0],
        }
    )
    return pd.concat([regions, regions.assign(group="male", enrichment=9.0)], ignore_index=True)


def test_ranks_auroc_and_mass() -> None:
    check = check_planted(table(), {"aorta": 0.3, "heart": 0.7, "fat": 0.0, "tail": 0.2})
    assert check.table["region"].tolist() == ["heart", "aorta"]
    assert check.table["rank_enrichment"].tolist() == [1, 3]
    assert (check.n_regions, check.first) == (4, 1)
    # Heart beats liver and fat, the aorta beats fat alone.
    assert check.auroc == pytest.approx(3 / 4)
    # The liver is too small for the map: both planted regions come first among the three that are not.
    assert (check.n_corrected, check.first_corrected, check.auroc_corrected) == (3, 2, 1.0)
    assert (check.share, check.volume_share) == pytest.approx((0.4, 0.2))
    assert check.absent == ("tail",)
    assert check.weight_enrichment is check.weight_share is None


def test_weights_against_enrichment_and_share() -> None:
    check = check_planted(table(), {"heart": 0.5, "liver": 0.3, "fat": 0.2})
    assert check.weight_enrichment == pytest.approx(1.0)
    # Ranks 3, 2, 1 against 2, 1, 3: 1 - 6 (1 + 1 + 4) / (3 * 8).
    assert check.weight_share == pytest.approx(-0.5)


def test_without_known_cells_nothing_is_corrected() -> None:
    plain = table().assign(enrichment_corrected=float("nan"), rank_corrected=float("nan"))
    check = check_planted(plain, {"heart": 1.0})
    assert (check.n_corrected, check.first_corrected, check.auroc_corrected) == (0, None, None)


@pytest.mark.parametrize("planted", [{}, {"heart": 1, "aorta": 1, "liver": 1, "fat": 1}])
def test_without_planted_or_other_regions_there_is_no_auroc(planted: dict[str, float]) -> None:
    check = check_planted(table(), planted)
    assert check.auroc is None
    assert len(check.table) == len(planted)

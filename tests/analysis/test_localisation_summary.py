"""Means, intervals and comparisons of localisation scores against numbers worked out by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from agezoo.analysis.localisation_summary import best_methods, compare_with, summarise_localisation


def _table(scores, *, network="trained", region="all_regions"):
    """Rows from method -> list of (subject, session, hit, energy)."""
    return pd.DataFrame(
        [
            {
                "subject_id": subject,
                "session": session,
                "network": network,
                "method": method,
                "region": region,
                "pointing_hit": hit,
                "energy_inside": energy,
                "area_share": 0.2,
                "background_share": 0.5,
                "seconds": 2.0,
            }
            for method, rows in scores.items()
            for subject, session, hit, energy in rows
        ]
    )


SCORES = {
    "sharp": [("a", "1", 1, 0.5), ("a", "2", 1, 0.7), ("b", "1", 0, 0.3), ("c", "1", 0, 0.5)],
    "blunt": [("a", "1", 1, 0.2), ("a", "2", 1, 0.3), ("b", "1", 1, 0.2), ("c", "1", 0, 0.1)],
}


def test_means_and_chance():
    sharp, blunt = summarise_localisation(_table(SCORES), n_bootstrap=0)
    assert (sharp["method"], sharp["n"]) == ("sharp", 4)
    assert sharp["pointing_game"]["value"] == 0.5
    assert sharp["energy_inside"]["value"] == pytest.approx(0.5)
    assert sharp["energy_ratio"]["value"] == pytest.approx(2.5)
    assert blunt["energy_ratio"]["value"] == pytest.approx(1.0)
    assert (sharp["background_share"], sharp["seconds"]) == (0.5, 2.0)


def test_intervals_draw_whole_subjects():
    # Five subjects whose two scans agree: drawing scans instead of subjects would narrow the interval by root two.
    rows = [(s, n, 1, e) for s, e in zip("abcde", (0.1, 0.3, 0.5, 0.7, 0.9), strict=True) for n in ("1", "2")]
    (summary,) = summarise_localisation(_table({"m": rows}), n_bootstrap=4000, seed=1)
    low, high = summary["energy_inside"]["interval"]
    # SD of the mean of five draws from these values: sqrt(0.08 / 5).
    assert high - low == pytest.approx(2 * 1.96 * (0.08 / 5) ** 0.5, rel=0.1)


def test_without_known_seconds_there_are_none():
    (summary,) = summarise_localisation(_table({"m": SCORES["sharp"]}).assign(seconds=float("nan")), n_bootstrap=0)
    assert summary["seconds"] is None


def test_difference_is_taken_case_by_case_of_the_trained_network():
    table = pd.concat(
        [_table(SCORES), _table({"sharp": [("a", "1", 0, 9.0)]}, network="untrained"), _table(SCORES, region="spine")]
    )
    found = compare_with(table, "blunt", n_bootstrap=0)
    assert list(found) == ["sharp"]
    assert found["sharp"]["value"] == pytest.approx((0.3 + 0.4 + 0.1 + 0.4) / 4)
    assert compare_with(table, "absent", n_bootstrap=0) == {}


def test_best_by_energy_and_by_pointing():
    summary = summarise_localisation(_table(SCORES), n_bootstrap=0)
    assert best_methods(summary) == {"energy_inside": "sharp", "pointing_game": "blunt"}

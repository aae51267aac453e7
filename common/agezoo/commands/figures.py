"""The main figures of a report as lines for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def summary_lines(metrics: Mapping[str, Any]) -> list[str]:
    """One line per section of a report's ``metrics.json``."""
    sections = {metrics["section"]: metrics, **metrics["other_sections"]}
    return [f"{name}: {_line(figures)}" for name, figures in sections.items()]


def _line(figures: Mapping[str, Any]) -> str:
    if "mae_years" in figures:
        parts = [
            f"n {figures['n']}",
            f"MAE {figures['mae_years']:.2f} years",
            f"guessing the mean {figures['mae_of_guessing_the_mean_years']:.2f}",
            f"r {figures['pcc']:.2f}" if figures.get("pcc") is not None else "",
        ]
        if figures.get("n_failed"):
            parts.append(f"{figures['n_failed']} without a prediction")
    else:
        shown = [(k, v) for k, v in figures.items() if isinstance(v, int | float)]
        parts = [f"{k} {v:.2f}" for k, v in shown[:5]]
    return ", ".join(p for p in parts if p)

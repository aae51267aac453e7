"""Seconds that ``agezoo analyse`` takes on a table of 40,000 people, and its Cox fit against statsmodels' own.

    python benchmarks/bench_analysis.py
    python benchmarks/bench_analysis.py --rows 5000

The table is simulated (follow-up of the spine phantom, five folds). The ratio is that of one Cox fit with three
covariates by agezoo, which sums over sorted risk sets, to the same fit by statsmodels' PHReg; both give the same hazard
ratio.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from agezoo.analysis.analyse import analyse_table
from agezoo.analysis.cox import fit_cox
from agezoo.analysis.plan import AnalysisPlan, EndPoint
from agezoo.phantoms.spine_follow_up import simulate_follow_up

END_POINTS = ("any_fracture", "vertebral_fracture", "nonvertebral_fracture")


def seconds(call: Callable[[], Any]) -> tuple[float, Any]:
    """Wall-clock seconds of a call, and its result."""
    started = time.perf_counter()
    result = call()
    return time.perf_counter() - started, result


def main() -> None:
    """Print the seconds of the whole analysis and of one fit both ways."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=40_000)
    rows = parser.parse_args().rows
    table = simulate_follow_up(rows, seed=1, prediction_noise_sd_years=3.0)
    table["fold"] = np.arange(rows) % 5
    plan = AnalysisPlan(
        labels=["prevalent_vertebral_fracture", "osteoporosis"],
        end_points=[
            EndPoint(name=n, time=f"time_{n}_years", event=f"event_{n}", competing=f"competing_death_{n}")
            for n in END_POINTS
        ],
        models={
            "model 1": ["age_years", "sex"],
            "model 2": ["age_years", "sex", "bmi", "smoking", "prevalent_vertebral_fracture"],
            "model 3": ["age_years", "sex", "bmi", "smoking", "prevalent_vertebral_fracture", "osteoporosis"],
        },
    )
    with tempfile.TemporaryDirectory() as folder:
        whole, result = seconds(lambda: analyse_table(table, folder, plan))
    print(f"agezoo analyse, {rows} people, 2 labels, 3 end points x 3 models, raw and corrected: {whole:.1f} s, "
          f"{len(result['files'])} tables and figures")  # fmt: skip

    from statsmodels.duration.hazard_regression import PHReg

    gap = table["predicted_age_years"] - table["age_years"]
    columns = {"gap": gap, "age": table["age_years"], "man": (table["sex"] == "M").astype(float)}
    covariates = pd.DataFrame(columns)
    follow_up, event = table["time_any_fracture_years"].to_numpy(), table["event_any_fracture"].to_numpy(dtype=float)
    ours, fit = seconds(lambda: fit_cox(follow_up, event, covariates))
    model = PHReg(follow_up, covariates.to_numpy(), status=event, ties="efron")
    theirs, plain = seconds(lambda: model.fit(disp=False))
    print(f"one Cox fit: {ours:.2f} s against {theirs:.2f} s of PHReg.fit alone (ratio {ours / theirs:.2f}); "
          f"log hazard ratio of the gap {fit.coefficients[0]:.6f} and {plain.params[0]:.6f}")  # fmt: skip


if __name__ == "__main__":
    main()

"""How well bodies of a phantom cohort lie on a template, organ by organ: laid on it, affine, deformed.

    python benchmarks/bench_body_registration.py
    python benchmarks/bench_body_registration.py COHORT --subjects 10

A cohort is a folder of ``agezoo phantom wholebody_mr``, whose masks tell where the organs are. A template of 6 mm
voxels is built from its first people and others are registered to it, both as ``agezoo atlas`` does; their masks are
carried along. Printed is the mean Dice coefficient with the template's labels: *start* with the bodies' outlines laid
on each other, *affine* after elastix's first stage, *deformed* after its B-spline; then seconds of one core and peak
memory. Without a cohort, one of 8 coarse people is written to a temporary folder.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from agezoo.transforms.body.body_registration import BodyWarp
    from agezoo.transforms.body.body_template import BodyTemplate, CoarseBody
    from agezoo.workflows.atlas_cases import AtlasCase


def cases_of(folder: Path) -> list[AtlasCase]:
    """First visit of everybody in a phantom cohort."""
    from agezoo.workflows.atlas_cases import AtlasCase

    table = pd.read_csv(folder / "cohort.csv").drop_duplicates("subject_id")
    return [
        AtlasCase(
            index=index,
            row={"image": str(folder / row["image"]), "subject_id": row["subject_id"], "listed_image": row["image"]},
            mask=str(folder / row["mask"]),
            age_years=row["age_years"],
            sex=row["sex"],
            predicted_age_years=None,
            gap_years=None,
            corrected_gap_years=None,
            ager="",
            age_group="",
        )
        for index, row in enumerate(table.to_dict("records"))
    ]


def measure(folder: Path, n_subjects: int, n_template: int, spacing_mm: float) -> None:
    """Register people who are not in the template to it and print Dice, seconds and memory."""
    from agezoo.phantoms.body_labels import PLANTED_WEIGHTS
    from agezoo.transforms.body.body_registration import register_body
    from agezoo.workflows.atlas_template import build_template
    from agezoo.workflows.atlas_work import read_coarse

    cases = cases_of(folder)
    # Half of those who may enter the template are measured for it and pass by.
    of_template, others = cases[: 2 * n_template], cases[2 * n_template :][:n_subjects]
    started = time.perf_counter()
    template = build_template(of_template, spacing_mm=spacing_mm, n_subjects=n_template)
    print(f"template of {n_template} bodies: {time.perf_counter() - started:.0f} s")
    dices: list[dict[str, Any]] = []
    seconds: dict[str, list[float]] = {"read": [], "register": [], "carry": []}
    for case in others:
        clock = [time.perf_counter()]
        body = read_coarse(dict(case.row), spacing_mm)
        clock.append(time.perf_counter())
        warp = register_body(body, template.body)
        clock.append(time.perf_counter())
        warp.points_mm(template.body)
        clock.append(time.perf_counter())
        for name, taken in zip(seconds, np.diff(clock), strict=True):
            seconds[name].append(float(taken))
        for stage, placed in stages(body, template, warp):
            dices += [
                {"stage": stage, "region": region, "dice": value}
                for region, value in overlaps(case.mask, template, placed)
            ]
    mean = pd.DataFrame(dices).groupby(["region", "stage"], sort=False)["dice"].mean().unstack()
    mean["better"] = mean["deformed"] > mean["affine"]
    mean["planted"] = [PLANTED_WEIGHTS.get(str(region), 0.0) for region in mean.index]
    print(f"{len(others)} bodies of {folder.name}, template {template.body.shape} voxels of {spacing_mm:g} mm")
    print(mean.round(3).to_string())
    print(f"mean {mean['start'].mean():.3f}, {mean['affine'].mean():.3f}, {mean['deformed'].mean():.3f}")
    for name, values in seconds.items():
        print(f"{name}: {np.mean(values):.2f} s a body (most {max(values):.2f})")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


def stages(body: CoarseBody, template: BodyTemplate, warp: BodyWarp) -> Iterator[tuple[str, BodyWarp]]:
    """The body laid on the template, moved as a whole, and deformed."""
    from agezoo.transforms.body.body_registration import starting_place, unmoved

    yield "start", unmoved(body, starting_place(body, template.body))
    whole = replace(warp.warp, coefficients=np.zeros_like(warp.warp.coefficients))
    yield "affine", replace(warp, warp=whole)
    yield "deformed", warp


def overlaps(mask: str, template: BodyTemplate, placed: BodyWarp) -> Iterator[tuple[str, float]]:
    """Dice of every region of the template."""
    from agezoo.transforms.brain.input_state import dice
    from agezoo.workflows.atlas_work import carried_labels

    labels, names = carried_labels(mask, placed.points_mm(template.body))
    assert template.labels is not None
    for region, value in template.names.items():
        yield region, dice(np.equal(labels, names.get(region, -1)), np.equal(template.labels, value))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure a given cohort, or a small one of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohort", nargs="?", type=Path, metavar="COHORT")
    parser.add_argument("--subjects", type=int, default=10, help="how many bodies are registered")
    parser.add_argument("--template-subjects", type=int, default=12, help="how many the template is made of")
    parser.add_argument("--spacing-mm", type=float, default=6.0, help="edge of the template's voxels")
    options = parser.parse_args(arguments)
    print(f"load of the machine before: {os.getloadavg()[0]:.1f}")
    if options.cohort is not None:
        measure(options.cohort, options.subjects, options.template_subjects, options.spacing_mm)
        return
    from agezoo.phantoms.body_cohort import ensure_body_cohort

    with tempfile.TemporaryDirectory() as folder:
        cohort = Path(ensure_body_cohort(Path(folder) / "cohort", subjects=8, seed=0, quick=True))
        measure(cohort, 4, 2, options.spacing_mm)


if __name__ == "__main__":
    main()

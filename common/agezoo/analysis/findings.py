"""What an analysis hands to the report: tables, plots and what must be said beside them."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from agezoo.analysis.plots.catalogue import Plot


@dataclass(frozen=True)
class FindingTable:
    """One table of results.

    Attributes
    ----------
    name
        File name without suffix, unique within an analysis, e.g. ``"hazard_ratios"``.
    caption
        Heading.
    frame
        Plain columns; intervals as two columns ``<figure>_low`` and ``<figure>_high``; not a number where a figure is
        not defined. Goes into a CSV as it is; the page rounds.
    reading
        How to read it, one or two sentences.
    """

    name: str
    caption: str
    frame: pd.DataFrame
    reading: str = ""


@dataclass(frozen=True)
class Finding:
    """One section of an analysis.

    Attributes
    ----------
    name
        Heading, e.g. ``"Survival"``.
    description
        What was done, on which rows, raw or corrected ages, fitted where.
    tables, plots
        Results; plot names are unique within an analysis.
    notes
        What a reader must know: rows left out and why, assumptions that do not hold, what could not be computed.
    headlines
        The main results as single lines, for a terminal and for the head of the page.
    """

    name: str
    description: str
    tables: tuple[FindingTable, ...] = ()
    plots: tuple[Plot, ...] = ()
    notes: tuple[str, ...] = field(default=())
    headlines: tuple[str, ...] = field(default=())

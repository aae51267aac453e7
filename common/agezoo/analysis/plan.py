"""What to analyse in a prediction table: labels, end points, covariates, groups."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agezoo.errors import InputError

Method = Literal["none", "beheshti", "cole", "quadratic", "age_level"]
Name = Annotated[str, Field(min_length=1)]


class EndPoint(BaseModel):
    """A time-to-event outcome.

    Attributes
    ----------
    name
        For tables and figures, e.g. ``"any_fracture"``.
    time, event
        Columns: years of follow-up from the image, and 1 where the event ended it, 0 where censoring did.
    competing
        Column that is 1 where another event (usually death) ended the follow-up and made this one impossible.
    """

    model_config = ConfigDict(extra="forbid")

    name: Name
    time: Name
    event: Name
    competing: Name | None = None


class AnalysisPlan(BaseModel):
    """Everything that ``agezoo analyse`` is told besides the table.

    Attributes
    ----------
    prediction
        Column of the raw predicted age.
    correction
        Bias correction of the ages that are analysed beside the raw ones.
    reference_group
        People whom the bias correction is fitted on, and no others: ``column=value`` (e.g. ``diagnosis=CN``), or a
        column of 0 and 1; None: everybody. A correction that is fitted on patients too takes part of their gap away.
    by
        Column (for example ``modality``) whose values are corrected and calibrated apart.
    labels
        Binary columns to discriminate, e.g. ``osteoporosis``; also ``column=value`` and ``column=value/other``, e.g.
        ``diagnosis=AD/HC``.
    end_points
        Time-to-event outcomes.
    models
        Name -> covariate columns of nested models, smallest first; each is fitted with and without the gap.
        ``age_years`` and ``sex`` are the table's own columns.
    groups
        Columns whose values are compared (diagnosis); ``column=value`` names the group that the others are compared
        with, otherwise the largest.
    site
        Column of the scanner or hospital, for shifts between them.
    horizons_years
        Times at which the time-dependent AUC is taken; None: the quartiles of the event times.
    """

    model_config = ConfigDict(extra="forbid")

    prediction: Name = "predicted_age_years"
    correction: Method = "beheshti"
    reference_group: Name | None = None
    by: Name | None = None
    labels: list[Name] = Field(default_factory=list)
    end_points: list[EndPoint] = Field(default_factory=list)
    models: dict[str, list[Name]] = Field(default_factory=lambda: {"model 1": ["age_years", "sex"]})
    groups: list[Name] = Field(default_factory=list)
    site: Name | None = None
    horizons_years: list[Annotated[float, Field(gt=0)]] | None = None


def read_plan(path: str | os.PathLike[str]) -> AnalysisPlan:
    """Read a plan from a JSON file.

    Raises
    ------
    InputError
        If the file is absent, not JSON, or not of the form; every fault is named.
    """
    path = Path(path)
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError("the plan cannot be read", source=path, found=error.strerror) from None
    except ValueError as error:
        raise InputError("the plan is not JSON", source=path, found=str(error)) from None
    return checked_plan(document, source=path)


def checked_plan(document: Any, *, source: str | os.PathLike[str]) -> AnalysisPlan:
    """A plan from plain types; :class:`InputError` names every fault."""
    try:
        return AnalysisPlan.model_validate(document)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, d['loc']))}: {d['msg']}" for d in error.errors())
        raise InputError("not a plan of an analysis", source=source, found=faults) from None

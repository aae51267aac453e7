"""Spill-over between the regions of an atlas: what a coarse map puts beside the place that it speaks of.

The cells of a class-activation map are often larger than an organ. Spread over the image, each cell's value reaches as
far as its neighbours, so that a small region beside a bright one looks bright. Emission tomography has the same
trouble and a remedy for it: how much of each region's brightness is seen in every other is worked out from the
regions' shapes and the width of the blur (geometric transfer matrix; Rousset, Ma and Evans, J Nucl Med 1998), and the
brightnesses that together give what was seen are solved for.

The width is taken as one cell, that of linear interpolation between cells. What the network itself smears beyond that
stays, so the correction is rather too small than too large. Regions are assumed to be even inside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.optimize import nnls

from agezoo.analysis.bootstrap import FloatArray

MIN_RECOVERY = 1 / 3
"""Regions that keep less of their own brightness are too small for the map: they get no corrected value."""

_FWHM_PER_SD = 2.3548


@dataclass(frozen=True, eq=False)
class Spill:
    """How brightness spreads between the R regions of an atlas and the rest of the body, which comes last.

    Attributes
    ----------
    matrix
        Row i, column j: brightness seen in i on average if j alone had brightness 1, shape ``(R + 1, R + 1)``.
    volume_shares
        Share of the body, shape ``(R + 1,)``.
    cell_mm
        Edges of the map's cells.
    """

    matrix: FloatArray
    volume_shares: FloatArray
    cell_mm: tuple[float, ...]

    @property
    def recovery(self) -> FloatArray:
        """Share of each region's own brightness that is seen in it (recovery coefficient), shape ``(R,)``, 0 to 1."""
        return np.diag(self.matrix)[:-1].copy()

    def without(self, shares: FloatArray) -> FloatArray:
        """Enrichments before the spill-over, from the regions' shares of the map.

        Parameters
        ----------
        shares
            Share of the map in each region, shape ``(N, R)``.

        Returns
        -------
        ndarray
            Shape ``(N, R)``, 0 or more, 1 being the body's average; not a number for regions below ``MIN_RECOVERY``.
        """
        volume = self.volume_shares
        there = volume > 0
        # A large region's mean is known better, and where no brightness fits, it counts more.
        weight = np.sqrt(volume[there])
        matrix = self.matrix[np.ix_(there, there)] * weight[:, None]
        seen = np.concatenate([shares, 1 - shares.sum(axis=1, keepdims=True)], axis=1)[:, there] / volume[there]
        found = np.full((len(shares), len(volume)), np.nan)
        for row, values in enumerate(seen):
            solved = nnls(matrix, values * weight)[0]
            found[row, there] = solved / (solved @ volume[there])
        found = found[:, :-1]
        found[:, ~(self.recovery >= MIN_RECOVERY)] = np.nan
        return found


def spill_over(
    labels: NDArray[np.integer],
    mask: NDArray[np.bool_],
    values: Sequence[int],
    *,
    cell_mm: Sequence[float],
    spacing_mm: Sequence[float],
) -> Spill:
    """How regions of a template blur into each other in a map of coarse cells.

    Parameters
    ----------
    labels
        Label of each voxel, shape (X, Y, Z).
    mask
        The body, of the same shape.
    values
        Label of each of R regions.
    cell_mm
        Edges of the map's cells along the axes: the blur's full width at half maximum.
    spacing_mm
        Edges of a voxel.
    """
    inside = labels[mask]
    members = [inside == value for value in values]
    members.append(~np.isin(inside, np.asarray(values)))
    sd_voxels = np.asarray(cell_mm, dtype=float) / np.asarray(spacing_mm, dtype=float) / _FWHM_PER_SD
    matrix = np.full((len(members), len(members)), np.nan)
    volume = np.zeros(mask.shape, dtype=np.float32)
    for column, own in enumerate(members):
        volume[mask] = own
        blurred = gaussian_filter(volume, sd_voxels, mode="constant")[mask]
        for row, there in enumerate(members):
            if there.any():
                matrix[row, column] = blurred[there].mean(dtype=np.float64)
    shares = np.array([own.mean() for own in members])
    return Spill(matrix, shares, tuple(float(edge) for edge in cell_mm))


def cell_edges(facts: Mapping[str, Any]) -> tuple[float, float, float] | None:
    """Edges in mm of the cells of an atlas' maps, from ``atlas.json``; None if it does not tell."""
    edges = facts.get("map_cell_mm")
    if not isinstance(edges, list) or len(edges) != 3 or not all(isinstance(edge, (int, float)) for edge in edges):
        return None
    return float(edges[0]), float(edges[1]), float(edges[2])

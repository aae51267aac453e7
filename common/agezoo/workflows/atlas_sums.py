"""Running sums of maps over a population, whose size does not depend on the number of cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class CarriedMap:
    """One case's map on the template, at the V voxels of its body.

    Attributes
    ----------
    absolute, signed
        float32 (V,); the absolute one sums to 1 over the body, the signed one is scaled by the same factor.
    seen
        bool (V,): where the case's field of view reaches.
    shuffled_shares
        (K, R), see :meth:`agezoo.workflows.atlas_shuffles.RegionShares.of_shuffled`.
    """

    absolute: np.ndarray
    signed: np.ndarray
    seen: np.ndarray
    shuffled_shares: np.ndarray


class AtlasSums:
    """Counts, sums and sums of squares per group, float64.

    Maps are of one size by construction (they sum to 1), so that plain sums of squares lose nothing that matters; they
    merge by adding, which running means do not.

    Parameters
    ----------
    groups
        Names of the G groups.
    n_voxels
        V, of the template's body.
    n_shuffles, n_regions
        K and R.
    """

    def __init__(self, groups: Sequence[str], n_voxels: int, n_shuffles: int, n_regions: int) -> None:
        self.groups = tuple(groups)
        g = len(self.groups)
        self.n_cases = np.zeros(g, dtype=np.int64)
        self.counts = np.zeros((g, n_voxels), dtype=np.int64)
        self.sums = np.zeros((g, n_voxels))
        self.squares = np.zeros((g, n_voxels))
        self.signed_sums = np.zeros((g, n_voxels))
        self.shuffled_sums = np.zeros((g, n_shuffles, n_regions))

    def add(self, groups: Sequence[str], carried: CarriedMap) -> None:
        """Count a case in its groups."""
        absolute = np.where(carried.seen, carried.absolute, 0).astype(float)
        signed = np.where(carried.seen, carried.signed, 0).astype(float)
        for name in groups:
            place = self.groups.index(name)
            self.n_cases[place] += 1
            self.counts[place] += carried.seen
            self.sums[place] += absolute
            self.squares[place] += absolute**2
            self.signed_sums[place] += signed
            self.shuffled_sums[place] += carried.shuffled_shares

    def merge(self, other: AtlasSums) -> None:
        """Add the sums of other cases."""
        for name, values in self.as_arrays().items():
            values += other.as_arrays()[name]

    def n(self, group: str) -> int:
        """Cases of a group."""
        return int(self.n_cases[self.groups.index(group)])

    def count(self, group: str) -> np.ndarray:
        """(V,) how many cases' fields of view reach a voxel."""
        return self.counts[self.groups.index(group)]

    def mean(self, group: str) -> np.ndarray:
        """(V,) mean of the absolute map over the cases that reach a voxel; 0 where none does."""
        return self._over_count(self.sums, group)

    def signed_mean(self, group: str) -> np.ndarray:
        """(V,) the same of the signed map."""
        return self._over_count(self.signed_sums, group)

    def sd(self, group: str) -> np.ndarray:
        """(V,) SD of the absolute map between cases (n - 1); 0 where fewer than two reach a voxel."""
        count, mean = self.count(group).astype(float), self.mean(group)
        squares = self.squares[self.groups.index(group)]
        variance = np.divide(squares - count * mean**2, count - 1, out=np.zeros_like(mean), where=count > 1)
        return np.sqrt(np.maximum(variance, 0))

    def shuffled_shares(self, group: str) -> np.ndarray:
        """(K, R) mean over the group's cases."""
        result: np.ndarray = self.shuffled_sums[self.groups.index(group)] / max(self.n(group), 1)
        return result

    def as_arrays(self) -> dict[str, np.ndarray]:
        """Everything, for ``numpy.savez``."""
        names = ("n_cases", "counts", "sums", "squares", "signed_sums", "shuffled_sums")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_arrays(cls, groups: Sequence[str], arrays: Mapping[str, np.ndarray]) -> AtlasSums:
        """Inverse of :meth:`as_arrays`."""
        _, n_shuffles, n_regions = arrays["shuffled_sums"].shape
        result = cls(groups, 0, n_shuffles, n_regions)
        for name in result.as_arrays():
            setattr(result, name, arrays[name])
        return result

    def _over_count(self, sums: np.ndarray, group: str) -> np.ndarray:
        place = self.groups.index(group)
        count = self.counts[place]
        return np.divide(sums[place], count, out=np.zeros(count.shape), where=count > 0)

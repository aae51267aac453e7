"""What chance gives: shares of regions in maps that were moved and turned within the body."""

from __future__ import annotations

import hashlib

import numpy as np
from scipy import ndimage


class RegionShares:
    """Shares of a map's mass in regions, and the same for shuffled maps.

    Parameters
    ----------
    labels
        Values of the regions (X, Y, Z).
    mask
        The body, bool.
    values
        Label of each of the R regions in order.
    """

    def __init__(self, labels: np.ndarray, mask: np.ndarray, values: list[int]) -> None:
        self.n_regions = len(values)
        self._box: tuple[slice, ...] = ndimage.find_objects(mask.astype(np.uint8))[0]
        place = np.full(256, self.n_regions, dtype=np.int64)
        place[values] = np.arange(self.n_regions)
        # One class more for the body beside all regions, and one for what is outside the body.
        regions = np.where(mask, place[labels], self.n_regions + 1)
        self._regions = np.ascontiguousarray(regions[self._box]).ravel()
        self.volume_shares = self._sums(mask.astype(np.float32)[self._box])[0] / mask.sum()

    def of(self, absolute: np.ndarray) -> np.ndarray:
        """Shares (R,) of a map (X, Y, Z) that is not below 0; its mass is that in the body."""
        sums, mass = self._sums(absolute[self._box])
        return sums / mass

    def means(self, signed: np.ndarray) -> np.ndarray:
        """Mean value (R,) of a map in each region; NaN for a region without voxels."""
        sums, _ = self._sums(signed[self._box])
        sizes = np.bincount(self._regions, minlength=self.n_regions)[: self.n_regions]
        return np.divide(sums, sizes, out=np.full(self.n_regions, np.nan), where=sizes > 0)

    def of_shuffled(self, absolute: np.ndarray, n_shuffles: int, *, key: str, seed: int = 0) -> np.ndarray:
        """Shares (K, R) of maps that keep their smoothness and lose their place.

        Each is turned over along some of the axes by chance, moved along all three by any number of voxels, what leaves
        the body's bounding box on one side coming in on the other, and cut to the body again.

        Parameters
        ----------
        absolute
            Map (X, Y, Z), not below 0.
        n_shuffles
            K.
        key, seed
            The case's name and a number: equal ones give equal moves, whatever else runs before or beside.
        """
        box = np.ascontiguousarray(absolute[self._box], dtype=np.float32)
        # Any move is then a cut out of a block that repeats the map once along every axis.
        repeated = np.tile(box, (2, 2, 2))
        digest = hashlib.sha256(f"{seed}\t{key}".encode()).digest()
        generator = np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))
        shares = np.zeros((n_shuffles, self.n_regions))
        for number in range(n_shuffles):
            mass = 0.0
            while not mass > 0:
                moves = generator.integers(0, box.shape)
                turns = generator.integers(0, 2, size=3)
                moved = repeated[tuple(slice(m, m + n) for m, n in zip(moves, box.shape, strict=True))]
                sums, mass = self._sums(moved[tuple(slice(None, None, -1 if turn else 1) for turn in turns)])
            shares[number] = sums / mass
        return shares

    def _sums(self, box: np.ndarray) -> tuple[np.ndarray, float]:
        sums = np.bincount(self._regions, weights=box.ravel(), minlength=self.n_regions + 2)
        return sums[: self.n_regions], float(sums[: self.n_regions + 1].sum())

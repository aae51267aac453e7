"""The best division of voxels into two kinds, from evidence for each and from bonds between neighbours."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

# The flow is counted in whole numbers.
_UNITS = 1000.0
_LARGEST = float(2**30)


def minimum_cut(evidence: np.ndarray, ends: np.ndarray, bonds: np.ndarray) -> np.ndarray:
    """Which nodes are of the first kind.

    Of all divisions the one that costs least is found: a node costs the size of its evidence where the division speaks
    against it, and two nodes that are parted cost their bond. This is a minimum cut in a network of flow, found exactly
    (Greig, Porteous and Seheult, J R Stat Soc B 1989).

    Parameters
    ----------
    evidence
        For each node (N,): above 0 for the first kind, below 0 for the second; a few units at most.
    ends
        The two nodes of each bond, integers (2, M), each pair once.
    bonds
        Cost of parting them, (M,), at least 0.

    Returns
    -------
    numpy.ndarray
        bool (N,); nodes that nothing speaks for are of the second kind.
    """
    n = len(evidence)
    source, sink = n, n + 1
    own = np.rint(np.clip(evidence * _UNITS, -_LARGEST, _LARGEST)).astype(np.int32)
    costs = np.rint(np.minimum(bonds * _UNITS, _LARGEST)).astype(np.int32)
    first, second = np.flatnonzero(own > 0), np.flatnonzero(own < 0)
    rows = np.concatenate([ends[0], ends[1], np.full(len(first), source), second])
    columns = np.concatenate([ends[1], ends[0], first, np.full(len(second), sink)])
    capacity = np.concatenate([costs, costs, own[first], -own[second]])
    network = sparse.csr_matrix((capacity, (rows, columns)), shape=(n + 2, n + 2))
    left = network - csgraph.maximum_flow(network, source, sink).flow
    # The first kind is what flow can still reach.
    left.eliminate_zeros()
    reached = np.zeros(n + 2, dtype=bool)
    reached[csgraph.breadth_first_order(left, source, return_predecessors=False)] = True
    return reached[:n]

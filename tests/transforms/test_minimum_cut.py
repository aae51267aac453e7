"""The cheapest division of a graph in two, against all divisions of small graphs."""

from __future__ import annotations

from itertools import product

import numpy as np

from agezoo.transforms.body.minimum_cut import minimum_cut


def cost(kinds: np.ndarray, evidence: np.ndarray, ends: np.ndarray, bonds: np.ndarray) -> float:
    against = np.where(kinds, np.minimum(evidence, 0), -np.maximum(evidence, 0))
    return float(np.abs(against).sum() + bonds[kinds[ends[0]] != kinds[ends[1]]].sum())


def test_no_division_of_a_small_graph_costs_less():
    random = np.random.default_rng(0)
    for _ in range(20):
        ends = np.array([(a, b) for a in range(8) for b in range(a) if random.random() < 0.4]).T
        evidence, bonds = random.normal(0, 1, 8).round(2), random.gamma(1.0, 0.5, ends.shape[1]).round(2)
        found = cost(minimum_cut(evidence, ends, bonds), evidence, ends, bonds)
        least = min(cost(np.array(kinds), evidence, ends, bonds) for kinds in product([False, True], repeat=8))
        assert abs(found - least) < 1e-6


def test_without_bonds_each_follows_its_own_evidence():
    ends = np.array([[0, 1], [1, 2]])
    np.testing.assert_array_equal(minimum_cut(np.array([1.0, -0.5, 0.25]), ends, np.zeros(2)), [True, False, True])


def test_a_weak_dissenter_follows_its_neighbours():
    ends = np.array([[0, 1], [1, 2]])
    assert minimum_cut(np.array([1.0, -0.5, 1.0]), ends, np.ones(2)).all()

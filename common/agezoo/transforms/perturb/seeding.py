"""What perturbations of volumes and of radiographs share: names that must be known, and chance that can be repeated."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np

from agezoo.errors import InputError
from agezoo.transforms.perturb.perturbation import Perturbation


def one_of(catalogue: Mapping[str, Perturbation], name: str) -> Perturbation:
    """The perturbation of exactly this name.

    Raises
    ------
    InputError
        For an unknown name, and for what several begin with.
    """
    if name in catalogue:
        return catalogue[name]
    is_family = any(known.startswith(f"{name}_") for known in catalogue)
    what = "one perturbation at a time" if is_family else "no such perturbation"
    raise InputError(what, found=name, expected=", ".join(catalogue))


def chance(seed: int, name: str) -> np.random.Generator:
    """Source of chance that depends on the seed and the perturbation's name alone, not on its grade."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])

"""Images for the saliency tests."""

from __future__ import annotations

import numpy as np
import pytest
import torch


@pytest.fixture
def image_2d() -> torch.Tensor:
    """Noise on a grey field, (1, 1, 32, 32), nowhere background."""
    return torch.tensor(np.random.default_rng(5).uniform(0.3, 1.0, (1, 1, 32, 32)), dtype=torch.float32)


@pytest.fixture
def image_3d() -> torch.Tensor:
    """The same in 3D, (1, 1, 16, 16, 16)."""
    return torch.tensor(np.random.default_rng(6).uniform(0.3, 1.0, (1, 1, 16, 16, 16)), dtype=torch.float32)

"""Bodies on noise: nothing is shown beside them, what is taken away becomes noise, and maps lie where cells look."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from agezoo.errors import InputError
from agezoo.explain.attribution import explain
from agezoo.explain.layer_view import cam_grid
from agezoo.explain.localisation import energy_inside
from agezoo.explain.noise_background import noise_options
from agezoo.networks.whole_body_resnet import WholeBodyResNet
from agezoo.transforms.noise_fill import background_field
from agezoo.transforms.standardise_body import standardise_body

SHAPE = (56, 42, 91)
SPOT = (40, 14, 70)


def ellipsoid() -> np.ndarray:
    radii = np.array([20, 15, 44])[:, None, None, None]
    centre = (np.array(SHAPE) // 2)[:, None, None, None]
    return np.asarray((((np.indices(SHAPE) - centre) / radii) ** 2).sum(axis=0) <= 1)


def body_image(spot: float = 6.0) -> np.ndarray:
    """(1, *SHAPE): an even body on noise, with a bright ball at its left, back and upper part."""
    offset = np.indices(SHAPE) - np.array(SPOT)[:, None, None, None]
    water = np.where(ellipsoid(), 1 + 0.1 * np.random.default_rng(1).random(SHAPE), 0)
    water[(offset**2).sum(axis=0) <= 9] += spot
    return standardise_body(water[None].astype(np.float32))


class Brightest(nn.Module):
    """Age from what is bright in each cell: the strides are those of the whole-body network, 8, 16 and 16 voxels."""

    cam_layer = "cells"

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv3d(1, 1, (3, 7, 7), stride=(1, 2, 2), padding=(1, 3, 3), bias=False)
        nn.init.constant_(self.stem.weight, 1 / 147)
        self.cells = nn.Sequential(*(nn.MaxPool3d(3, 2, 1) for _ in range(3)))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return 50 + 10 * torch.relu(self.cells(self.stem(image)) - 2).mean(dim=(2, 3, 4))


@pytest.mark.parametrize("method", ["grad_cam", "grad_cam_plus_plus", "hires_cam", "score_cam"])
def test_a_map_lies_where_the_cells_of_unequal_strides_look(method):
    image = body_image()
    options = noise_options(image)
    found = explain(Brightest(), image, method, signed=True, **options)
    grid = cam_grid(Brightest(), image)
    assert grid.steps == (8, 16, 16)
    assert grid.counts == (7, 3, 6)
    # The cell whose middle is nearest to the spot.
    place = np.unravel_index(int(np.argmax(found)), SHAPE)
    assert np.abs(np.array(place) - SPOT).max() <= 8
    assert (np.abs(np.array(place) - SPOT) <= np.array(grid.steps) / 2).all()
    assert not found[~options["body"]].any()


def test_the_networks_own_cells_lie_on_strides_of_8_16_and_16():
    network = WholeBodyResNet(stem_channels=2).eval()
    grid = cam_grid(network, body_image())
    assert (grid.steps, grid.first, grid.counts) == ((8, 16, 16), (0, 0, 0), (7, 3, 6))
    assert cam_grid(network, body_image(), "backbone.layer3").steps == (4, 8, 8)


@pytest.mark.parametrize("method", ["grad_cam", "grad_cam_plus_plus", "hires_cam", "score_cam", "occlusion"])
def test_the_networks_map_says_nothing_of_the_noise(method):
    if method == "occlusion":
        pytest.importorskip("captum")
    torch.manual_seed(0)
    network = WholeBodyResNet(stem_channels=2).eval()
    image = body_image()[:, ::2, ::2, ::2]
    image[0][~ellipsoid()[::2, ::2, ::2]] = background_field(image.shape)[0][~ellipsoid()[::2, ::2, ::2]]
    options = noise_options(image)
    found = explain(network, image, method, signed=True, **options)
    assert np.abs(found).max() == pytest.approx(1)
    assert not found[~ellipsoid()[::2, ::2, ::2]].any()


def test_what_score_cam_takes_away_becomes_noise():
    seen = []

    class Watched(Brightest):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            if not isinstance(image, torch.Tensor):
                raise TypeError("not to be traced, so that every image is seen")
            seen.append(image.clone())
            return super().forward(image)

    image = body_image()
    options = noise_options(image)
    explain(Watched(), image, "score_cam", **options)
    field = torch.from_numpy(np.array(background_field(image.shape)))
    outside = torch.from_numpy(~options["body"])
    for batch in seen:
        for one in batch:
            # The noise beside the body is never touched.
            assert torch.allclose(one[0][outside], field[0][outside], atol=1e-5)
    assert any(torch.allclose(one, field, atol=1e-5) for batch in seen for one in batch)


def test_without_a_mask_the_blank_image_tells_the_body():
    image = body_image()
    found = explain(Brightest(), image, "grad_cam", blank_value=background_field(image.shape))
    masked = explain(Brightest(), image, "grad_cam", **noise_options(image))
    # A voxel of the body may happen to have the noise's value.
    assert (np.abs(found - masked) > 1e-6).sum() <= 3
    spread = explain(Brightest(), image, "grad_cam", mask_outside_patient=False)
    assert energy_inside(spread, ~ellipsoid()) > 0.02


def test_bodies_and_blanks_that_do_not_fit_are_refused():
    image = body_image()
    with pytest.raises(InputError, match="body and image"):
        explain(Brightest(), image, "grad_cam", body=np.ones((3, 4, 5)))
    with pytest.raises(InputError, match="blank image does not fit"):
        explain(Brightest(), image, "score_cam", body=ellipsoid(), blank_value=np.ones((1, 3, 4, 5)))
    with pytest.raises(InputError, match="no layer"):
        explain(Brightest(), image, "grad_cam", layer=[])

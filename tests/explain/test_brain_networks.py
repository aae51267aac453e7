"""ScaleDense and the cascade are explained: planted signals in volumes are found, in their place, by every method."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from planted_brain import BRIGHT, DARK, SHAPE, ball, plant_second_stage, planted_first_stage, standardised_brain

from agezoo.explain.age_output import as_age_output
from agezoo.explain.attribution import METHODS, explain
from agezoo.explain.cell_grid import CellGrid
from agezoo.explain.fast_network import fast_age_network
from agezoo.explain.gradient_cams import gradient_cam
from agezoo.explain.layer_view import cam_grid
from agezoo.networks.age_ensemble import AgeEnsemble
from agezoo.networks.fused_brain import fuse
from agezoo.networks.scale_dense import ScaleDense
from agezoo.networks.tsan import TSAN

SEX = torch.tensor([[1.0, 0.0]])
PATIENT = ball((15, 18, 14), 12.5)


def inside_to_outside(saliency: np.ndarray, centre: tuple[int, int, int]) -> float:
    """Mean of a map's magnitude within the planted spot and its smear, by that in the rest of the patient."""
    spot = ball(centre, 4.5)
    magnitude = np.abs(saliency)
    return float(magnitude[spot & PATIENT].mean() / magnitude[PATIENT & ~spot].mean())


# Of its two maps one is alive: centred on the mean over them, nothing is left to weigh.
@pytest.mark.parametrize("method", [name for name in METHODS if name != "score_cam_centred"])
def test_every_method_finds_the_spot_that_carries_the_age(method):
    pytest.importorskip("captum")
    # In the form in which it predicts.
    network = fuse(planted_first_stage())
    saliency = explain(network, standardised_brain(), method, others=(SEX,), steps=4, signed=False)
    assert saliency.shape == SHAPE
    assert saliency.max() == 1
    assert inside_to_outside(saliency, BRIGHT) > 5
    assert not saliency[~PATIENT].any()


@pytest.mark.parametrize("method", ["grad_cam", "hires_cam", "score_cam", "integrated_gradients"])
def test_the_sign_tells_older_from_younger_in_volumes(method):
    pytest.importorskip("captum")
    for slope, sign in ((10, 1), (-10, -1)):
        saliency = explain(planted_first_stage(slope=slope), standardised_brain(), method, signed=True, steps=4)
        spot = saliency[ball(BRIGHT, 4.5)]
        assert sign * spot.sum() > 0
        assert np.abs(spot).max() == 1


def test_random_weights_do_not_show_the_spot_as_trained_ones_do():
    torch.manual_seed(3)
    ratios = []
    for _ in range(4):
        untrained = ScaleDense(2, 3)
        untrained.end_fc_with_gender[1].bias.data.fill_(60.0)
        ratios.append(inside_to_outside(explain(untrained, standardised_brain(), "grad_cam"), BRIGHT))
    planted = inside_to_outside(explain(planted_first_stage(), standardised_brain(), "grad_cam"), BRIGHT)
    assert planted > 3 * max(ratios)


@pytest.mark.parametrize("block", [0, 1, 2])
def test_cells_lie_where_stem_and_pooling_put_them(block):
    grid = cam_grid(ScaleDense(2, 3), standardised_brain(), f"block.{block}")
    # The stem reads 6 voxels to each side and is padded by 1, so that its first window has its middle at voxel 5; each
    # pooling doubles the step and moves the first cell by half a step.
    first = {0: 5.5, 1: 6.5, 2: 8.5}[block]
    assert grid.first == (first,) * 3
    assert grid.steps == (2.0 ** (block + 1),) * 3
    # Voxels behind the last full window are dropped.
    assert grid.counts == tuple((size - 10) // 2 ** (block + 1) for size in SHAPE)
    assert cam_grid(fuse(ScaleDense(8, 3)), standardised_brain(), f"block.{block}") == grid


@pytest.mark.parametrize("place", [(11, 23, 11), (18, 11, 15)])
def test_a_spark_is_shown_where_it_is(place):
    image = np.zeros((1, *SHAPE), dtype=np.float32)
    image[(0, *place)] = 5.0
    found = gradient_cam("grad_cam", planted_first_stage(), image, "block.1")
    grid = cam_grid(planted_first_stage(), image, "block.1")
    strongest = np.argwhere(found > 0.99 * found.max()).mean(axis=0)
    # A cell of 4 voxels tells no more than half a cell.
    assert np.abs(strongest - place).max() <= 2
    even = CellGrid.even(SHAPE, grid.counts)
    nearest = [round((p - f) / s) for p, f, s in zip(place, grid.first, grid.steps, strict=True)]
    off = [f + s * c - p for f, s, c, p in zip(even.first, even.steps, nearest, place, strict=True)]
    # What stretching the map over the whole image would make of it.
    assert np.abs(off).max() > 2


@pytest.fixture
def cascade() -> TSAN:
    network = TSAN(2, 3)
    network.first_stage.load_state_dict(planted_first_stage().state_dict())
    plant_second_stage(network.second_stage)
    return network.eval()


@pytest.mark.parametrize("method", ["grad_cam", "hires_cam", "input_x_gradient", "integrated_gradients"])
def test_a_cascades_map_shows_what_both_stages_found(cascade, method):
    pytest.importorskip("captum")
    image = standardised_brain(bright=5, dark=5)
    saliency = explain(cascade, image, method, others=(SEX,), signed=True, steps=4)
    # Both make older; between the stages the age is rounded, which must not hide the first one.
    for spot in (BRIGHT, DARK):
        assert saliency[ball(spot, 3.5)].sum() > 0.1 * np.abs(saliency).sum()
    alone = explain(cascade, image, "grad_cam", layer="second_stage.block.0", signed=True)
    assert np.abs(alone[ball(BRIGHT, 1.5)]).mean() < 0.1
    assert not cascade.straight_through


def test_each_stage_weighs_as_many_years_as_it_moves_the_age(cascade):
    image = standardised_brain(bright=5, dark=5)
    first, second = (
        gradient_cam("grad_cam", cascade, image, f"{stage}_stage.block.0") for stage in ("first", "second")
    )
    with torch.no_grad():
        cascade.second_stage.end_fc_with_gender[1].weight.mul_(0.2)
    np.testing.assert_allclose(gradient_cam("grad_cam", cascade, image), first + 0.2 * second, atol=1e-6)


def test_members_of_an_ensemble_are_explained_with_the_sex_and_keep_what_trains(cascade):
    cascade.freeze_first_stage()
    ensemble = AgeEnsemble([cascade, cascade])
    wanted = {name: parameter.requires_grad for name, parameter in ensemble.named_parameters()}
    image = standardised_brain(bright=5, dark=5)
    single = explain(cascade, image, "grad_cam", others=(SEX,))
    with torch.inference_mode():
        np.testing.assert_allclose(explain(ensemble, image, "grad_cam", others=(SEX,)), single, atol=1e-6)
    assert {name: parameter.requires_grad for name, parameter in ensemble.named_parameters()} == wanted
    assert not cascade.first_stage.training


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_score_cam_asks_the_fused_form(precision):
    torch.manual_seed(1)
    network = TSAN(2, 2).eval()
    network.first_stage.end_fc_with_gender[1].bias.data.fill_(62.0)
    image = torch.from_numpy(standardised_brain())[None]
    ages = as_age_output(network, None, (SEX,)).eval()
    with torch.inference_mode():
        fast = fast_age_network(ages, image, precision=precision)
        assert fast is not ages
        assert float((fast(image) - ages(image)).abs()) < {"float32": 1e-3, "bfloat16": 0.5}[precision]
        assert fast(image.expand(3, -1, -1, -1, -1)).shape == (3,)

"""What a network takes besides the image is held fixed while the image is explained."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from planted_brain import EitherSex
from torch import nn

from agezoo.errors import InputError
from agezoo.explain.attribution import explain
from agezoo.explain.captum_methods import CAPTUM_METHODS
from agezoo.explain.conditioning import Conditioned, further_inputs
from agezoo.explain.effort import expected_seconds, passes
from agezoo.explain.layer_view import cam_grid
from agezoo.networks.age_ensemble import AgeEnsemble

WOMAN, MAN = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])


# The CAMs that weigh a whole feature map weigh the only one, whatever the sex.
@pytest.mark.parametrize("method", ["hires_cam", *(name for name in CAPTUM_METHODS)])
def test_every_method_asks_for_the_age_of_the_given_sex(image_3d, method):
    pytest.importorskip("captum")
    sides = []
    for sex in (WOMAN, MAN):
        saliency = np.abs(explain(EitherSex(), image_3d, method, others=(sex,)))
        sides.append(saliency[:8].sum() / saliency.sum())
    assert sides[0] > 0.9
    assert sides[1] < 0.1


def test_score_cam_hands_the_sex_to_every_dimmed_image(image_3d):
    asked = []

    class Spy(EitherSex):
        def forward(self, image, sex=None):
            asked.append(sex)
            return super().forward(image, sex)

    explain(Spy(), image_3d, "score_cam", others=(MAN,))
    # The pass that traces the network has no numbers yet.
    given = [sex for sex in asked if isinstance(sex, torch.Tensor) and type(sex) is torch.Tensor]
    assert len(given) >= 2
    assert all((sex == MAN).all() for sex in given)


def test_members_of_an_ensemble_get_it_too(image_3d):
    ensemble = AgeEnsemble([EitherSex(), EitherSex()])
    of_both, of_one = (explain(network, image_3d, "hires_cam", others=(MAN,)) for network in (ensemble, EitherSex()))
    np.testing.assert_allclose(of_both, of_one, atol=1e-6)


def test_one_cases_inputs_serve_a_batch_of_its_images(image_3d):
    network = Conditioned(EitherSex(), (MAN,))
    images = torch.cat([image_3d, 2 * image_3d])
    torch.testing.assert_close(network(images), EitherSex()(images, MAN.expand(2, 2)))


def test_inputs_of_several_cases_are_refused(image_3d):
    with pytest.raises(InputError, match="one case"):
        explain(EitherSex(), image_3d, "grad_cam", others=(torch.zeros(2, 2),))


def test_the_sex_goes_to_networks_that_take_it_and_to_no_other():
    item = {"sex": torch.tensor([0.0, 1.0])}
    assert torch.equal(further_inputs(EitherSex(), item)[0], MAN)
    assert torch.equal(further_inputs(AgeEnsemble([EitherSex()]), item)[0], MAN)
    assert further_inputs(nn.Conv3d(1, 1, 1), item) == ()
    # Datasets from elsewhere need not know it.
    assert further_inputs(EitherSex(), {}) == ()


def test_grid_and_effort_are_told_for_such_networks(image_3d):
    assert cam_grid(EitherSex(), image_3d, others=(MAN,)).counts == (8, 8, 8)
    assert expected_seconds(EitherSex(), image_3d, ["grad_cam"], others=(MAN,))["grad_cam"] > 0
    # Windows of a seventh of 91 x 109 x 91 voxels, side by side: 7 x 8 x 7, and the image itself.
    assert passes("occlusion", maps=1, image_shape=(91, 109, 91)) == 1 + 7 * 8 * 7

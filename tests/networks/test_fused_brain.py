"""The inference form gives the published form's ages, maps and gradients from a quarter of its convolutions."""

from __future__ import annotations

import copy

import pytest
import torch
from brain_network_cases import brains, lively
from torch import Tensor, nn
from torch.nn import functional

from agezoo.errors import InputError, WeightsError
from agezoo.networks import TSAN, AgeEnsemble, ScaleDense, fuse
from agezoo.networks.fused_brain import FusedConvolution
from agezoo.networks.weights import fit_strictly

SEX = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
NETWORKS = ("stage", "cascade", "ensemble")


def network(kind: str) -> nn.Module:
    torch.manual_seed(2)
    if kind == "stage":
        return lively(ScaleDense(8, 2))
    if kind == "cascade":
        return lively(TSAN(4, 2))
    return AgeEnsemble([lively(TSAN(4, 2), seed) for seed in (0, 1)]).eval()


@pytest.mark.parametrize("kind", NETWORKS)
def test_ages_are_the_published_form_s(kind: str) -> None:
    published = network(kind)
    before = {name: tensor.clone() for name, tensor in published.state_dict().items()}
    fused = fuse(published)
    with torch.no_grad():
        expected, found = published(brains(), SEX), fused(brains(), SEX)
    assert found.shape == expected.shape
    assert torch.allclose(found, expected, atol=1e-3, rtol=0)
    assert ((expected[..., 0] > 40) & (expected[..., 0] < 80)).all()
    # The original has the same tensors as before and shares none with the copy.
    assert all(torch.equal(tensor, before[name]) for name, tensor in published.state_dict().items())
    own = {tensor.data_ptr() for tensor in published.state_dict().values()}
    assert own.isdisjoint(tensor.data_ptr() for tensor in fused.state_dict().values())


def test_folding_is_exact() -> None:
    """In double precision nothing but rounding is left of the difference, also where batch norms are far from 1."""
    published = network("cascade").double()
    for module in published.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.running_var.mul_(torch.linspace(0.05, 9, len(module.running_var), dtype=torch.float64))
    with torch.no_grad():
        expected, found = published(brains().double(), SEX), fuse(published)(brains().double(), SEX)
    assert found.dtype == torch.float64
    assert float((found - expected).abs().max()) < 1e-10


def test_no_batch_norm_is_left_and_one_convolution_of_four() -> None:
    published, fused = network("cascade"), fuse(network("cascade"))

    def count(module: nn.Module, kind: type[nn.Module]) -> int:
        return sum(isinstance(part, kind) for part in module.modules())

    assert count(published, nn.BatchNorm3d) == 2 * 2 * 10
    assert count(fused, nn.BatchNorm3d) == 0
    assert count(published, nn.Conv3d) == 2 * (2 * 8 + 1)
    assert count(fused, nn.Conv3d) == 2 * (2 * 2 + 1)
    kept = sum(p.numel() for p in fused.parameters()) / sum(p.numel() for p in published.parameters())
    assert kept < 0.9


def test_a_network_in_training_is_fused_as_it_would_evaluate() -> None:
    published = network("stage")
    expected = published(brains(), SEX)
    fused = fuse(published.train())
    assert published.training
    assert not any(module.training for module in fused.modules())
    assert torch.allclose(fused(brains(), SEX), expected, atol=1e-3)


def test_cams_find_the_same_maps_and_gradients() -> None:
    published = network("cascade").double()
    fused = fuse(published)
    assert isinstance(fused, TSAN)
    assert fused.cam_layer == published.cam_layer
    results = []
    for module in (published, fused):
        seen: list[Tensor] = []
        image = brains(1).double().requires_grad_()
        handle = module.get_submodule(module.cam_layer).register_forward_hook(lambda *a, seen=seen: seen.append(a[2]))
        with module.explaining():
            age = module.age_years(module(image, SEX[:1])).sum()
        handle.remove()
        by_maps, by_image = torch.autograd.grad(age, [seen[0], image])
        results.append((seen[0].detach(), by_maps, by_image))
    for expected, found in zip(*results, strict=True):
        assert float(expected.abs().max()) > 0
        assert torch.allclose(found, expected, atol=1e-10)


def test_small_grids_are_unfolded_and_large_ones_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways give the same maps and gradients; the choice is by voxels against channels."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(60, 7, 3, 3, 3, generator=generator, dtype=torch.float64)
    layer = FusedConvolution(weight, torch.randn(60, generator=generator, dtype=torch.float64))
    ways: list[tuple[int, ...]] = []
    by_unfolding = FusedConvolution._by_unfolding
    monkeypatch.setattr(
        FusedConvolution, "_by_unfolding", lambda self, maps: (ways.append(maps.shape), by_unfolding(self, maps))[1]
    )
    for shape in ((2, 7, 2, 3, 5), (1, 7, 3, 4, 5), (2, 7, 4, 4, 4), (1, 7, 1, 1, 1)):
        maps = torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)
        found, expected = layer(maps), functional.conv3d(maps, weight, layer.bias, padding=1)
        assert torch.allclose(found, expected, atol=1e-12)
        pull = torch.randn(expected.shape, generator=generator, dtype=torch.float64)
        (by_found,), (by_expected,) = (torch.autograd.grad((x * pull).sum(), maps) for x in (found, expected))
        assert torch.allclose(by_found, by_expected, atol=1e-12)
    assert ways == [(2, 7, 2, 3, 5), (1, 7, 3, 4, 5), (1, 7, 1, 1, 1)]


def test_fusing_again_changes_nothing() -> None:
    fused = fuse(network("stage"))
    again = fuse(fused)
    assert again is not fused
    with torch.no_grad():
        assert torch.equal(again(brains(), SEX), fused(brains(), SEX))


def test_what_holds_no_scale_dense_is_refused() -> None:
    with pytest.raises(InputError, match="no network that can be fused; found: Linear; expected: ScaleDense or TSAN"):
        fuse(nn.Linear(2, 2))


def test_weights_of_the_published_form_do_not_slip_into_the_fused() -> None:
    published = network("stage")
    with pytest.raises(WeightsError, match="another network layout"):
        fit_strictly(fuse(published), published.state_dict(), "model.pt")


def test_fused_network_keeps_the_settings_of_a_cascade() -> None:
    published = lively(TSAN(2, 2, bin_years=10, checkpointing=True))
    fused = fuse(published)
    assert fused.bin_years == 10
    assert published.first_stage.checkpointing
    with torch.no_grad():
        assert (fused(brains(), SEX)[:, 1] % 10 == 0).all()
    assert torch.equal(copy.deepcopy(fused)(brains(), SEX), fused(brains(), SEX))

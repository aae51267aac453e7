"""The spine_age network: its layers, what it emits, and what saliency, export and short batches ask of it."""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import Iterator

import pytest
import torch
from monai.networks.nets import EfficientNetBN
from torch import nn

from agezoo.errors import InputError
from agezoo.networks import AgeEnsemble, SpineAgeNet
from agezoo.networks.weights import fit_strictly

SMALL = {"variant": 0, "hidden": 16}


@pytest.fixture(scope="module")
def network() -> SpineAgeNet:
    """B0 with lively batch-norm averages, in evaluation mode; not to be changed."""
    torch.manual_seed(0)
    made = SpineAgeNet(**SMALL)
    for module in made.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return made.eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(2, 1, 64, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True)
def _no_gradients_by_default() -> Iterator[None]:
    with torch.no_grad():
        yield


def test_published_network_is_b4_with_1792_maps_and_sixty_ages() -> None:
    with torch.device("meta"):
        made = SpineAgeNet()
        logits, maps = made(torch.zeros(2, 1, 1024, 512)), made.features(torch.zeros(2, 1, 1024, 512))
    assert logits.shape == (2, 60)
    assert maps.shape == (2, 1792, 32, 16)
    assert [type(layer) for layer in made.head] == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Dropout]
    assert (made.head.fc.in_features, made.head.fc.out_features, made.head.dropout.p) == (1792, 512, 0.5)
    # 17,548,616 of EfficientNet-B4 without its classifier, less two of three colour channels of the stem's 48 kernels
    # of 3 x 3, and the head.
    head = 1792 * 512 + 512 + 2 * 512 + 512 * 60 + 60
    assert sum(p.numel() for p in made.parameters()) == 17_548_616 - 2 * 48 * 9 + head == 18_497_572


def test_trunk_computes_what_monais_network_computes(network: SpineAgeNet, images: torch.Tensor) -> None:
    """Same tensors under the same names, and the classifier put behind the pooled maps gives MONAI's output."""
    monais = EfficientNetBN("efficientnet-b0", pretrained=False, in_channels=1, num_classes=7).eval()
    own = network.features.state_dict()
    theirs = monais.state_dict()
    assert theirs.keys() - own.keys() == {"_fc.weight", "_fc.bias"}
    assert not own.keys() - theirs.keys()
    monais.load_state_dict({**theirs, **own})
    pooled = network.features(images).mean(dim=(2, 3))
    assert torch.allclose(monais._fc(pooled), monais(images), atol=1e-5)


def test_all_numbers_are_finite_and_none_is_missing_after_a_round_trip(network: SpineAgeNet) -> None:
    state = network.state_dict()
    assert all(torch.isfinite(value).all() for value in state.values())
    assert not [name for name in state if "age" in name], "the ages are no weights"
    torch.manual_seed(1)
    other = SpineAgeNet(**SMALL)
    stream = io.BytesIO()
    torch.save(state, stream)
    stream.seek(0)
    fit_strictly(other, torch.load(stream, weights_only=True), "model.pt")
    image = torch.rand(1, 1, 64, 32)
    assert torch.equal(other.eval()(image), network(image))


def test_age_is_the_expectation_over_40_to_99(network: SpineAgeNet) -> None:
    logits = torch.full((3, 60), -1e4)
    logits[0, 0] = logits[1, 59] = 0.0
    logits[2, 20] = logits[2, 25] = 0.0
    assert network.age_years(logits).tolist() == pytest.approx([40.0, 99.0, 62.5])
    assert network.age_years(torch.zeros(1, 60, dtype=torch.float16)).tolist() == pytest.approx([69.5])


def test_age_of_an_ensemble_is_its_members_mean(network: SpineAgeNet, images: torch.Tensor) -> None:
    other = copy.deepcopy(network)
    other.logits.bias += torch.linspace(0, 5, 60)
    output = AgeEnsemble([network, other])(images)
    assert output.shape == (2, 2, 60)
    ages = network.age_years(output)
    assert torch.allclose(ages, (network.age_years(output[:, 0]) + network.age_years(output[:, 1])) / 2)
    assert (network.age_years(output[:, 1]) > network.age_years(output[:, 0])).all()


def test_age_keeps_its_digits_under_autocast(network: SpineAgeNet) -> None:
    logits = torch.randn(4, 60, generator=torch.Generator().manual_seed(3))
    expected = network.age_years(logits.double())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.allclose(network.age_years(logits).double(), expected, atol=1e-3)


@pytest.mark.parametrize("shape", [(60,), (2, 59), (2, 1, 1, 60)])
def test_another_output_has_no_age(network: SpineAgeNet, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"the network emits \(B, 60\) or \(B, M, 60\)"):
        network.age_years(torch.zeros(shape))


def test_hooks_see_the_last_maps_and_the_age_s_gradient_by_them(network: SpineAgeNet, images: torch.Tensor) -> None:
    """The gradient by the maps, checked by a step along it."""
    seen: list[torch.Tensor] = []
    handle = dict(network.named_modules())[network.cam_layer].register_forward_hook(lambda *a: seen.append(a[2]))
    try:
        with torch.enable_grad():
            age = network.age_years(network(images.requires_grad_())).sum()
    finally:
        handle.remove()
    (maps,) = seen
    before = maps.detach().clone()
    (gradient,) = torch.autograd.grad(age, maps)
    assert maps.shape == gradient.shape == (2, 1280, 2, 1)
    assert torch.equal(maps, before), "nothing works on the maps in place"
    assert torch.allclose(maps, network.features(images), atol=1e-6)
    assert maps.min() > -0.2785, "the swish's minimum"
    direction = torch.randn(maps.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    network = copy.deepcopy(network).double()

    def age_of(moved: torch.Tensor) -> float:
        return float(network.age_years(network.logits(network.head(network.pool(moved).flatten(1)))).sum())

    step = 1e-4
    slope = (age_of(maps.double() + step * direction) - age_of(maps.double() - step * direction)) / (2 * step)
    assert float((gradient.double() * direction).sum()) == pytest.approx(slope, rel=1e-3)


def test_no_activation_works_in_place(network: SpineAgeNet) -> None:
    assert not [name for name, module in network.named_modules() if getattr(module, "inplace", False)]


def test_one_image_is_enough_for_evaluation_and_does_not_depend_on_its_batch(
    network: SpineAgeNet, images: torch.Tensor
) -> None:
    assert torch.allclose(network(images[:1]), network(images)[:1], atol=1e-4)


def test_one_image_is_too_few_for_training(images: torch.Tensor) -> None:
    training = SpineAgeNet(**SMALL).train()
    with pytest.raises(
        InputError, match=r"batch_size: .* batches of one image; found: a batch of 1; expected: at least 2"
    ):
        training(images[:1])
    assert training(images).shape == (2, 60)


@pytest.mark.parametrize("way", ["script", "trace"])
def test_exported_network_computes_the_same(network: SpineAgeNet, images: torch.Tensor, way: str) -> None:
    with warnings.catch_warnings():
        # PyTorch announces the end of TorchScript, which MONAI's ckpt_export still writes.
        warnings.simplefilter("ignore", DeprecationWarning)
        exported = torch.jit.script(network) if way == "script" else torch.jit.trace(network, images[:1])
        stream = io.BytesIO()
        torch.jit.save(exported, stream)
        stream.seek(0)
        loaded = torch.jit.load(stream)
    assert torch.allclose(loaded(images), network(images), atol=1e-5)


def test_settings_reach_their_layers() -> None:
    made = SpineAgeNet(
        variant=0, in_channels=3, ages=(20, 29), hidden=8, dropout=0.3, bn_momentum=0.1, drop_connect=0.4
    )
    norms = [module for module in made.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    assert len(norms) > 40
    assert {module.momentum for module in norms} == {0.1}
    assert made.head.dropout.p == 0.3
    rates = [block.drop_connect_rate for stack in made.features._blocks for block in stack]
    # B0 has 16 blocks; the chance grows evenly from 0.
    assert rates == pytest.approx([0.4 * index / 16 for index in range(16)])
    assert made.logits.out_features == 10
    assert made.eval()(torch.rand(1, 3, 40, 33)).shape == (1, 10)
    assert made.age_years(torch.zeros(1, 10)).tolist() == pytest.approx([24.5])


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(InputError, match="variant: no such EfficientNet; found: 8; expected: 0 to 7"):
        SpineAgeNet(variant=8)
    with pytest.raises(ValueError, match="a later last age"):
        SpineAgeNet(variant=0, ages=(99, 40))

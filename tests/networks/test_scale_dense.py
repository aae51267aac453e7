"""ScaleDense: its layers and names are the published ones, and small GPUs, half precision and export keep its ages."""

from __future__ import annotations

import copy
import re

import pytest
import torch
from brain_network_cases import brains, lively
from torch import Tensor, nn
from torch.nn import functional

from agezoo.errors import InputError
from agezoo.networks import ScaleDense

SEX = torch.tensor([[1.0, 0.0], [0.0, 1.0]])


@pytest.fixture(scope="module")
def network() -> ScaleDense:
    """Three blocks, in evaluation mode; not to be changed."""
    torch.manual_seed(0)
    return lively(ScaleDense(stem_channels=8, n_blocks=3))


def published_age(state: dict[str, Tensor], image: Tensor, sex: Tensor, n_blocks: int) -> Tensor:
    """The published layers, written down from their description with nothing but functions."""

    def norm(x: Tensor, name: str) -> Tensor:
        mean, var = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        return functional.batch_norm(x, mean, var, state[f"{name}.weight"], state[f"{name}.bias"])

    def linear(x: Tensor, name: str) -> Tensor:
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    def asymmetric(x: Tensor, name: str) -> Tensor:
        paddings = {"conv1": (1, 1, 1), "conv2": (0, 0, 1), "conv3": (1, 0, 0), "conv4": (0, 1, 0)}
        return torch.stack(
            [
                norm(functional.conv3d(x, state[f"{name}.{branch}.0.weight"], padding=padding), f"{name}.{branch}.1")
                for branch, padding in paddings.items()
            ]
        ).sum(dim=0)

    x = functional.elu(functional.conv3d(image, state["pre.0.weight"], state["pre.0.bias"], padding=1, dilation=2))
    for number in range(n_blocks):
        name = f"block.{number}.block"
        y = functional.elu(norm(asymmetric(x, f"{name}.0"), f"{name}.1"))
        y = functional.elu(norm(asymmetric(y, f"{name}.3"), f"{name}.4"))
        squeezed = functional.adaptive_avg_pool3d(y, 1).flatten(1)
        y = y * linear(linear(squeezed, f"{name}.6.FC1").relu(), f"{name}.6.FC2").sigmoid()[..., None, None, None]
        x = torch.cat([functional.max_pool3d(x, 2), functional.max_pool3d(y, 2)], dim=1)
    features = functional.elu(linear(functional.adaptive_avg_pool3d(x, 1).flatten(1), "deep_fc.0"))
    sexes = functional.elu(linear(linear(sex, "male_fc.0"), "male_fc.1"))
    both = torch.cat([features, sexes], dim=1)
    return linear(linear(both, "end_fc_with_gender.0"), "end_fc_with_gender.1").relu()


def test_published_size() -> None:
    with torch.device("meta"):
        made = ScaleDense()
        assert made(torch.zeros(2, 1, 91, 109, 91), torch.zeros(2, 2)).shape == (2, 1)
        shapes = [tuple(made.pre(torch.zeros(1, 1, 91, 109, 91)).shape[1:])]
        for block in made.block:
            shapes.append(tuple(block(torch.zeros(1, *shapes[-1])).shape[1:]))
    assert shapes == [
        (8, 81, 99, 81),
        (24, 40, 49, 40),
        (72, 20, 24, 20),
        (216, 10, 12, 10),
        (648, 5, 6, 5),
        (1944, 2, 3, 2),
    ]
    # Published: 102.4 million. Per block of c channels: two asymmetric convolutions with 36 weights for each pair of
    # channels, ten batch norms of 2 c, squeeze and excitation with biases.
    blocks = 0
    for c in (8, 24, 72, 216, 648):
        hidden = 2 * c // 16
        blocks += 36 * (c * 2 * c + 2 * c * 2 * c) + 10 * 2 * 2 * c + 2 * (2 * c) * hidden + hidden + 2 * c
    stem = 8 * 7**3 + 8
    heads = (1944 * 32 + 32) + (2 * 16 + 16 + 16 * 8 + 8) + (40 * 16 + 16 + 16 + 1) + (32 * 16 + 16 + 16 + 1)
    assert sum(p.numel() for p in made.parameters()) == stem + blocks + heads == 102_378_307
    assert made.cam_layer == "block.2"


def test_names_are_those_of_the_published_checkpoints() -> None:
    with torch.device("meta"):
        names = set(ScaleDense().state_dict())
    norm = "(weight|bias|running_mean|running_var|num_batches_tracked)"
    published = [
        r"pre\.0\.(weight|bias)",
        rf"block\.[0-4]\.block\.(0|3)\.conv[1-4]\.(0\.weight|1\.{norm})",
        rf"block\.[0-4]\.block\.(1|4)\.{norm}",
        r"block\.[0-4]\.block\.6\.FC[12]\.(weight|bias)",
        r"deep_fc\.0\.(weight|bias)",
        r"male_fc\.[01]\.(weight|bias)",
        r"end_fc_(with|without)_gender\.[01]\.(weight|bias)",
    ]
    assert all(re.fullmatch("|".join(published), name) for name in names)
    assert len(names) == 2 + 5 * (2 * 4 * 6 + 2 * 5 + 4) + 2 + 4 + 8


def test_it_computes_the_published_layers(network: ScaleDense) -> None:
    image = brains()
    with torch.no_grad():
        age = network(image, SEX)
        assert torch.allclose(age, published_age(network.state_dict(), image, SEX, 3), atol=1e-4)
    assert age.shape == (2, 1)
    assert ((age > 30) & (age < 90)).all()
    assert abs(float(age[0] - age[1])) > 0.05, "the comparison would see a difference"


def test_an_age_is_never_negative(network: ScaleDense) -> None:
    negative = copy.deepcopy(network)
    with torch.no_grad():
        negative.end_fc_with_gender[1].bias.fill_(-200.0)
        assert negative(brains()).tolist() == [[0.0], [0.0]]


def test_unknown_sex_is_half_and_half_and_a_known_one_counts(network: ScaleDense) -> None:
    image = brains(1).expand(2, -1, -1, -1, -1)
    with torch.no_grad():
        assert torch.equal(network(image), network(image, torch.full((2, 2), 0.5)))
        women_men = network(image, SEX)
    assert abs(float(women_men[0] - women_men[1])) > 0.01


def test_only_what_is_asked_learns() -> None:
    """A parameter that wants a gradient and gets none stops a distributed training."""
    network = ScaleDense(2, 2)
    with torch.no_grad():
        network.end_fc_with_gender[1].bias.fill_(50.0)
    network(brains(), SEX).sum().backward()
    lacking = {name for name, p in network.named_parameters() if p.requires_grad != (p.grad is not None)}
    assert lacking == set()
    frozen = {name.split(".")[0] for name, p in network.named_parameters() if not p.requires_grad}
    assert frozen == {"end_fc_without_gender"}


def test_checkpointing_changes_no_number() -> None:
    plain = ScaleDense(2, 3).train()
    with torch.no_grad():
        plain.end_fc_with_gender[1].bias.fill_(50.0)
    saving = copy.deepcopy(plain)
    saving.checkpointing = True
    kept: list[int] = []
    for network in (plain, saving):
        elements = 0

        def count(tensor: Tensor) -> Tensor:
            nonlocal elements
            elements += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            age = network(brains(), SEX)
        age.square().sum().backward()
        kept.append(elements)
    assert kept[1] < kept[0] / 4, "less is kept for the way back"
    pairs = zip(plain.named_parameters(), saving.parameters(), strict=True)
    assert all(torch.equal(a.grad, b.grad) for (_, a), b in pairs if a.grad is not None)
    # Batch norms count every batch once.
    assert all(torch.equal(a, b) for a, b in zip(plain.buffers(), saving.buffers(), strict=True))
    assert int(saving.block[0].block[1].num_batches_tracked) == 1


def test_phantom_grid_and_the_smallest_one() -> None:
    network = lively(ScaleDense(2, 4))
    with torch.no_grad():
        assert network(brains(1, (46, 55, 46))).shape == (1, 1)
        assert network(brains(1, (26, 26, 26))).shape == (1, 1)
        with pytest.raises(
            InputError,
            match=r"n_blocks: the image is too small.*found: 46 x 25 x 46 voxels and 4 blocks; "
            r"expected: at least 26 voxels along every axis; .*spacing_mm.*n_blocks",
        ):
            network(brains(1, (46, 25, 46)))


def test_what_is_no_brain_is_refused(network: ScaleDense) -> None:
    with pytest.raises(ValueError, match=r"\(B, 1, X, Y, Z\), got \(2, 3, 20, 20, 20\)"):
        network(torch.zeros(2, 3, 20, 20, 20))
    with pytest.raises(InputError, match="no such size of the network; found: 8, 0"):
        ScaleDense(8, 0)


def test_half_precision_does_not_round_the_age(network: ScaleDense) -> None:
    """In bfloat16, whose steps near 60 are 0.25, the ages of a batch would all be multiples of that."""
    image = brains(8)
    with torch.no_grad():
        exact = network(image)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            age = network(image)
    assert age.dtype == torch.float32
    assert len(set((age.flatten() % 0.25).tolist()) - {0.0}) > 4
    assert float((age - exact).abs().max()) < 0.5


def test_age_of_an_output(network: ScaleDense) -> None:
    assert network.age_years(torch.tensor([[50.0], [60.0]])).tolist() == [50.0, 60.0]
    assert network.age_years(torch.tensor([[[50.0], [60.0]]])).tolist() == [55.0]
    with pytest.raises(ValueError, match=r"the network emits \(B, 1\) or \(B, M, 1\), got \(2, 3\)"):
        network.age_years(torch.zeros(2, 3))


def test_the_layer_of_cams_is_there_and_feels_the_image(network: ScaleDense) -> None:
    seen: list[Tensor] = []
    layer = network.get_submodule(network.cam_layer)
    handle = layer.register_forward_hook(lambda *a: seen.append(a[2]))
    try:
        age = network(brains(1).requires_grad_())
    finally:
        handle.remove()
    (gradient,) = torch.autograd.grad(age.sum(), seen[0])
    assert seen[0].shape == gradient.shape == (1, 24, 5, 6, 4)
    assert float(gradient.abs().max()) > 0


def test_narrow_trunks_keep_a_unit_to_squeeze_into() -> None:
    assert ScaleDense(2, 1).block[0].block[6].FC1.out_features == 1
    assert isinstance(ScaleDense(2, 1).end_fc_with_gender[2], nn.ReLU)

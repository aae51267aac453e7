"""Cells are spread over the pixels that they look at, whatever strides and paddings lie in between."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.networks.nets import EfficientNetBN, ResNet
from planted import PlantedNetwork, small_conv_net
from torch import nn
from torch.nn import functional

from agezoo.explain.cell_grid import CellGrid, follow_cells
from agezoo.explain.gradient_cams import gradient_cam


def grid_of(network: nn.Module, layer: nn.Module, image: torch.Tensor) -> CellGrid:
    kept = []
    with torch.no_grad(), follow_cells(network, image) as grid_of_maps:
        handle = layer.register_forward_hook(lambda _m, _i, output: kept.append(grid_of_maps(output)))
        network(image)
        handle.remove()
    (grid,) = kept
    return grid


def seen_by(network: nn.Module, layer: nn.Module, image: torch.Tensor, cell: tuple[int, int]) -> torch.Tensor:
    """Weight of every pixel in one cell of a layer, by autograd."""
    kept = []
    handle = layer.register_forward_hook(lambda _m, _i, output: kept.append(output))
    image = image.clone().requires_grad_(True)
    network(image)
    handle.remove()
    (seen,) = torch.autograd.grad(kept[0][0, :, cell[0], cell[1]].sum(), image)
    return seen[0, 0]


def only_middle_taps(network: nn.Module) -> nn.Module:
    """The same strides and paddings, but every convolution reads the middle of its window alone; nothing else acts."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            taps = torch.zeros_like(module.weight)
            taps[:, :, module.kernel_size[0] // 2, module.kernel_size[1] // 2] = 1 / module.weight.shape[1]
            module.weight = nn.Parameter(taps)
            module.bias = None if module.bias is None else nn.Parameter(torch.zeros_like(module.bias))
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.MaxPool2d):
            parent, _, own = name.rpartition(".")
            average = nn.AvgPool2d(module.kernel_size, module.stride, module.padding)
            setattr(network.get_submodule(parent) if parent else network, own, average)
        elif hasattr(module, "_se_expand"):
            # The gate looks at the whole image; with no weight it opens everywhere alike.
            module._se_expand.weight.data.zero_()
    return network.eval()


def resnet() -> nn.Module:
    """The CT recipe's ResNet-18, narrow."""
    return ResNet(
        "basic",
        [2, 2, 2, 2],
        [4, 8, 16, 32],
        spatial_dims=2,
        n_input_channels=1,
        conv1_t_stride=2,
        bias_downsample=False,
        num_classes=2,
    ).eval()


@pytest.mark.parametrize(
    ("layer", "first", "step"), [("layer1", 0, 4), ("layer2", 0, 8), ("layer3", 0, 16), ("layer4", 0, 32)]
)
def test_resnets_cells_begin_at_the_first_pixel(layer, first, step):
    network, image = resnet(), torch.rand(1, 1, 224, 224)
    grid = grid_of(network, network.get_submodule(layer), image)
    assert grid.counts == (224 // step,) * 2
    assert (grid.first, grid.steps) == ((first, first), (step, step))


@pytest.mark.parametrize("cell", [(3, 4), (7, 2)])
def test_resnets_cells_lie_where_autograd_finds_them(cell):
    image = torch.rand(1, 1, 192, 160)
    network = only_middle_taps(resnet())
    grid = grid_of(network, network.layer3, image)
    seen = seen_by(network, network.layer3, image, cell)
    # The average that stands in for the max pooling widens the place evenly.
    middle = [float((seen.sum(1 - axis) * torch.arange(seen.shape[axis])).sum() / seen.sum()) for axis in (0, 1)]
    assert middle == pytest.approx([f + s * c for f, s, c in zip(grid.first, grid.steps, cell, strict=True)], abs=1e-3)


@pytest.mark.parametrize("model", ["efficientnet-b0", "efficientnet-b4"])
def test_efficientnets_cells_lie_where_autograd_finds_them(model):
    # Its padding differs between the two sides, and between models, because it is made for one image size.
    network = EfficientNetBN(model, pretrained=False, spatial_dims=2, in_channels=1, num_classes=2)
    image = torch.rand(1, 1, 128, 64)
    network = only_middle_taps(network)
    grid = grid_of(network, network._bn1, image)
    assert grid.counts == (4, 2)
    for cell in ((1, 0), (2, 1)):
        # The middle of a window of odd width is one pixel.
        (place,) = torch.nonzero(seen_by(network, network._bn1, image, cell)).tolist()
        assert place == [f + s * c for f, s, c in zip(grid.first, grid.steps, cell, strict=True)]
    # By hand for B4 at 380 pixels: the strided convolutions pad (0, 1), (0, 1), (2, 2), (0, 1) and (1, 2) around
    # windows of 3, 3, 5, 3 and 5 pixels: 1 + 2 * 1 + 4 * 0 + 8 * 1 + 16 * 1 = 27.
    if model == "efficientnet-b4":
        assert (grid.first, grid.steps) == ((27, 27), (32, 32))


def test_the_map_of_a_planted_spot_lies_around_the_spot():
    """Spread evenly over the image, its middle would lie 7.5 pixels off in both directions."""
    network = resnet()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data.fill_(1 / module.weight[0].numel())
    network.fc.weight.data.fill_(1)
    for row, column in ((224, 224), (220, 231), (229, 217)):
        image = torch.zeros(1, 1, 448, 448)
        image[..., row - 8 : row + 9, column - 8 : column + 9] = 1
        saliency = gradient_cam("grad_cam", network, image)
        middle = [(saliency.sum(1 - axis) * np.arange(448)).sum() / saliency.sum() for axis in (0, 1)]
        assert middle == pytest.approx([row, column], abs=1)


@pytest.mark.parametrize("shape", [(20,), (20, 12), (8, 12, 16)])
def test_even_grids_are_interpolated_as_torch_does(shape):
    maps = torch.rand(2, 3, *(size // 4 for size in shape), dtype=torch.float64)
    mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[len(shape)]
    expected = functional.interpolate(maps, size=shape, mode=mode, align_corners=False)
    torch.testing.assert_close(CellGrid.even(shape, maps.shape[2:]).spread(maps), expected)


def test_cells_at_the_first_pixel_are_interpolated_from_there():
    grid = CellGrid(image_shape=(8,), counts=(2,), first=(0.0,), steps=(4.0,))
    spread = grid.spread(torch.tensor([[[0.0, 1.0]]]))
    assert spread.tolist() == [[[0, 0.25, 0.5, 0.75, 1, 1, 1, 1]]]
    # Pixel 0 counts for the first cell alone, pixel 1 three times as much as pixel 3.
    gathered = grid.gather(torch.tensor([[[1.0, 0, 0, 0, 0, 0, 0, 0]]]))
    assert gathered[0, 0].tolist() == pytest.approx([1 / (1 + 0.75 + 0.5 + 0.25), 0])


def test_functions_without_modules_are_followed(image_2d):
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.rand(3, 1, 3, 3))
            self.seen = nn.Identity()

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            x = functional.pad(image, (1, 2, 0, 4))
            x = functional.conv2d(x, self.weight, stride=(1, 2), dilation=2, padding=1)
            x = functional.relu(x) + x.sigmoid() * x
            return self.seen(functional.avg_pool2d(x, 2)).mean(dim=(1, 2, 3))

    network = Functional()
    grid = grid_of(network, network.seen, image_2d)
    # Rows: padded by 0, dilated window starts at -1 with its middle 2 further: 1, then pooled by 2: 1.5.
    # Columns: padded by 1: -1, + 2 - 1 = 0, then pooled by 2 at steps of 2: 1.
    assert (grid.first, grid.steps) == ((1.5, 1.0), (2.0, 4.0))


def test_places_that_cannot_be_told_are_taken_as_even(image_2d):
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.seen = nn.Identity()

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            patches = image.unfold(2, 8, 8).unfold(3, 8, 8).mean(dim=(4, 5))
            return self.seen(patches).mean(dim=(1, 2, 3))

    network = Attention()
    assert grid_of(network, network.seen, image_2d) == CellGrid.even((32, 32), (4, 4))


def test_paths_of_different_places_are_taken_as_even(image_2d):
    class Crooked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.seen = nn.Identity()

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return self.seen(functional.avg_pool2d(image, 2) + functional.max_pool2d(image, 1, 2)).mean(dim=(1, 2, 3))

    network = Crooked()
    assert grid_of(network, network.seen, image_2d) == CellGrid.even((32, 32), (16, 16))


def test_no_hook_stays_when_the_network_fails(image_2d):
    network = small_conv_net()
    network.fc = nn.Linear(5, 2)
    with pytest.raises(RuntimeError, match="shape"), follow_cells(network, image_2d):
        network(image_2d)
    assert not any(module._forward_hooks for module in network.modules())


def test_block_averages_lie_in_the_middle_of_their_blocks(image_3d):
    network = PlantedNetwork((16, 16, 16))
    assert grid_of(network, network.features, image_3d) == CellGrid.even((16, 16, 16), (4, 4, 4))

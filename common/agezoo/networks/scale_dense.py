"""ScaleDense: the 3D network of asymmetric convolutions and dense scales that both stages of TSAN are built of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from agezoo.errors import InputError

FEATURES = 32
SEX_FEATURES = 8
# The stem's 7 taps, two voxels apart, reach 6 voxels to each side, of which its padding gives 1 back.
STEM_MARGIN_VOXELS = 10


class PreciseLinear(nn.Linear):
    """A small linear layer that keeps its weights' precision under autocast.

    Near 60 years half precision tells ages apart by 0.03 (float16) or 0.25 years (bfloat16), and an age at the border
    of a bin would fall into the wrong one. Autocast leaves a sum of products alone.
    """

    def forward(self, input: Tensor) -> Tensor:
        return (input.to(self.weight.dtype).unsqueeze(-2) * self.weight).sum(dim=-1) + self.bias


class NeverNegative(nn.ReLU):
    """The published last ReLU, whose gradient also passes where it cuts, but only in training.

    Otherwise a network whose ages fall below 0 for all people, which a few steps at a high learning rate can do, says
    0 for ever.
    """

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return torch.relu(input)
        return input + (torch.relu(input) - input).detach()


class SqueezeExcitation(nn.Module):
    """Scales every channel by a factor between 0 and 1 that depends on all channels' averages."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        # The published widths start at 16 channels; narrower trunks keep one unit.
        hidden = max(channels // reduction, 1)
        self.FC1 = nn.Linear(channels, hidden)
        self.FC2 = nn.Linear(hidden, channels)

    def gate(self, maps: Tensor) -> Tensor:
        """Factors, shape (B, C, 1, 1, 1), of maps of shape (B, C, X, Y, Z)."""
        averages = maps.mean(dim=(2, 3, 4))
        factors = torch.sigmoid(self.FC2(torch.relu(self.FC1(averages))))
        return factors[:, :, None, None, None]

    def forward(self, maps: Tensor) -> Tensor:
        return maps * self.gate(maps)


class AsymmetricConvolution(nn.Module):
    """Sum of a 3x3x3 convolution and of one along each axis, each with its own batch norm and none with a bias."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()

        def branch(kernel: tuple[int, int, int]) -> nn.Sequential:
            padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
            convolution = nn.Conv3d(in_channels, out_channels, kernel, padding=padding, bias=False)
            return nn.Sequential(convolution, nn.BatchNorm3d(out_channels))

        self.conv1 = branch((3, 3, 3))
        self.conv2 = branch((1, 1, 3))
        self.conv3 = branch((3, 1, 1))
        self.conv4 = branch((1, 3, 1))

    def forward(self, maps: Tensor) -> Tensor:
        return self.conv1(maps) + self.conv2(maps) + self.conv3(maps) + self.conv4(maps)


class ScaleBlock(nn.Module):
    """Twice the input's channels at half its resolution, stacked behind the max-pooled input itself.

    Input (B, C, X, Y, Z), output (B, 3 C, X // 2, Y // 2, Z // 2), whose first C channels are the input's.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        made = 2 * channels
        self.block = nn.Sequential(
            AsymmetricConvolution(channels, made),
            nn.BatchNorm3d(made),
            nn.ELU(),
            AsymmetricConvolution(made, made),
            nn.BatchNorm3d(made),
            nn.ELU(),
            SqueezeExcitation(made),
            nn.MaxPool3d(2),
        )

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([functional.max_pool3d(maps, 2), self.block(maps)], dim=1)


class ScaleTrunk(nn.Module):
    """Stem and blocks: what both stages see of the image.

    Parameters
    ----------
    stem_channels
        Channels of the stem; every block triples them.
    n_blocks
        Number of blocks; every block halves the resolution.
    checkpointing
        In training, compute each block's inner maps a second time on the way back instead of keeping them: the same
        numbers with a fraction of the memory, about a third slower.

    Attributes
    ----------
    cam_layer
        Block whose maps class-activation maps weight: the one before the last two, with cells of 16 mm at the
        published size. The last block's 2 x 3 x 2 cells would not tell one lobe from another.
    """

    def __init__(self, stem_channels: int, n_blocks: int, checkpointing: bool) -> None:
        super().__init__()
        if stem_channels < 1 or n_blocks < 1:
            raise InputError(
                "no such size of the network",
                source="stem_channels, n_blocks",
                found=f"{stem_channels}, {n_blocks}",
                expected="at least 1 each",
            )
        self.stem_channels, self.n_blocks, self.checkpointing = int(stem_channels), int(n_blocks), bool(checkpointing)
        self.out_channels = self.stem_channels * 3**self.n_blocks
        self.pre = nn.Sequential(nn.Conv3d(1, self.stem_channels, 7, padding=1, dilation=2), nn.ELU())
        self.block = nn.Sequential(*(ScaleBlock(self.stem_channels * 3**n) for n in range(self.n_blocks)))
        self.cam_layer = f"block.{max(self.n_blocks - 3, 0)}"

    def pooled(self, image: Tensor) -> Tensor:
        """Averages of the last maps, shape (B, out_channels), of images of shape (B, 1, X, Y, Z).

        Raises
        ------
        InputError
            If nothing would be left of the image after the last block.
        """
        if not torch.jit.is_scripting():
            self._check_size(image)
        maps = self.pre(image)
        for block in self.block:
            if torch.jit.is_scripting() or not (self.checkpointing and self.training and torch.is_grad_enabled()):
                maps = block(maps)
            else:
                maps = checkpointed(block, maps)
        return maps.mean(dim=(2, 3, 4))

    @torch.jit.unused
    def _check_size(self, image: Tensor) -> None:
        if torch.jit.is_tracing():
            return
        if image.ndim != 5 or image.shape[1] != 1:
            raise ValueError(f"the network takes images of shape (B, 1, X, Y, Z), got {tuple(image.shape)}")
        smallest = STEM_MARGIN_VOXELS + 2**self.n_blocks
        if min(image.shape[2:]) < smallest:
            raise InputError(
                "the image is too small for the network",
                source="n_blocks",
                found=f"{' x '.join(str(n) for n in image.shape[2:])} voxels and {self.n_blocks} blocks",
                expected=f"at least {smallest} voxels along every axis",
                remedy="take a finer grid (spacing_mm) or fewer blocks (n_blocks)",
            )


class ScaleDense(ScaleTrunk):
    """First stage of the cascade, and a brain-age network by itself.

    Parameters' names are those of the published checkpoints.

    Parameters
    ----------
    stem_channels, n_blocks, checkpointing
        See :class:`ScaleTrunk`. The published network has 8 and 5: 102.4 million parameters.

    Attributes
    ----------
    end_fc_without_gender
        Part of the published checkpoints and not asked, since sex is always given or half and half; hence frozen.

    References
    ----------
    Cheng et al., "Brain age estimation from MRI using cascade networks with ranking loss", IEEE TMI 2021.
    """

    uses_sex = True

    def __init__(self, stem_channels: int = 8, n_blocks: int = 5, checkpointing: bool = False) -> None:
        super().__init__(stem_channels, n_blocks, checkpointing)
        self.deep_fc = nn.Sequential(PreciseLinear(self.out_channels, FEATURES), nn.ELU())
        self.male_fc = sex_layers()
        self.end_fc_with_gender = nn.Sequential(
            PreciseLinear(FEATURES + SEX_FEATURES, 16), PreciseLinear(16, 1), NeverNegative()
        )
        self.end_fc_without_gender = nn.Sequential(PreciseLinear(FEATURES, 16), PreciseLinear(16, 1), nn.ReLU())
        # Parameters that never get a gradient would stop a distributed training.
        self.end_fc_without_gender.requires_grad_(False)

    def forward(self, image: Tensor, sex: Tensor | None = None) -> Tensor:
        """Ages in years, shape (B, 1), never negative.

        Parameters
        ----------
        image
            Standardised brains on the template's grid, shape (B, 1, X, Y, Z).
        sex
            Shape (B, 2): (female, male), one of them 1; None or halves where it is not known.
        """
        features = self.deep_fc(self.pooled(image))
        sex_features = self.male_fc(sex_or_unknown(sex, image))
        return self.end_fc_with_gender(torch.cat([features, sex_features], dim=1))

    @torch.jit.unused
    def age_years(self, output: Tensor) -> Tensor:
        """Age in years, shape (B,), of the network's output (B, 1) or of an ensemble's (B, M, 1)."""
        return first_column(output, 1)


def sex_layers() -> nn.Sequential:
    """What a stage makes of the sex, (B, 2) to (B, 8); no non-linearity between the two layers, as published."""
    return nn.Sequential(PreciseLinear(2, 16), PreciseLinear(16, SEX_FEATURES), nn.ELU())


def sex_or_unknown(sex: Tensor | None, image: Tensor) -> Tensor:
    """`sex` as (B, 2) = (female, male); half and half where it is not given."""
    if sex is None:
        return torch.full([image.shape[0], 2], 0.5, device=image.device)
    return sex.reshape(image.shape[0], 2)


def first_column(output: Tensor, columns: int) -> Tensor:
    """Ages, shape (B,), from an output (B, columns) or, averaged over members, (B, M, columns)."""
    if output.ndim not in (2, 3) or output.shape[-1] != columns:
        raise ValueError(f"the network emits (B, {columns}) or (B, M, {columns}), got {tuple(output.shape)}")
    ages = output[..., 0]
    return ages if ages.ndim == 1 else ages.mean(dim=1)


def checkpointed(block: nn.Module, maps: Tensor) -> Tensor:
    """A block's output, whose inner maps are computed a second time on the way back; same numbers, less memory."""

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _running_averages_kept(block)

    out: Tensor = checkpoint(block, maps, use_reentrant=False, preserve_rng_state=False, context_fn=contexts)
    return out


@contextmanager
def _running_averages_kept(block: nn.Module) -> Iterator[None]:
    """The second pass over a batch must not count in the batch norms' averages."""
    before = [(buffer, buffer.clone()) for buffer in block.buffers()]
    try:
        yield
    finally:
        for buffer, value in before:
            # Through .data, as autograd holds these buffers and would take them for altered.
            buffer.data.copy_(value)

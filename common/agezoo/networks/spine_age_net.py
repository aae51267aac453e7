"""EfficientNet with a distribution over ages, for lateral spine radiographs and DXA VFA images."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from monai.networks.nets import EfficientNetBN
from torch import Tensor, nn

from agezoo.errors import InputError

AGES = (40, 99)


class EfficientNetTrunk(EfficientNetBN):
    """MONAI's EfficientNet up to its last feature maps: without pooling, dropout and classifier.

    Input (B, channels, height, width), output (B, maps, height / 32, width / 32), rounded up; the output is that of the
    last swish, and nothing works on it in place. Parameters keep MONAI's names.

    Parameters
    ----------
    variant
        0 to 7: which EfficientNet, B0 to B7.
    in_channels
        Channels of the image.
    bn_momentum
        Weight of a new batch in the running averages of batch norm.
    drop_connect
        Chance with which the last residual block is skipped in training; it grows to this from 0 at the first.
    """

    def __init__(self, variant: int, in_channels: int, bn_momentum: float, drop_connect: float) -> None:
        norm = ("batch", {"eps": 1e-3, "momentum": float(bn_momentum)})
        super().__init__(
            f"efficientnet-b{variant}", pretrained=False, spatial_dims=2, in_channels=in_channels, norm=norm
        )
        self.out_channels = int(self._conv_head.out_channels)
        del self._avg_pooling, self._dropout, self._fc
        blocks = [block for stack in self._blocks for block in stack]  # type: ignore[attr-defined, unused-ignore]
        for index, block in enumerate(blocks):
            block.drop_connect_rate = drop_connect * index / len(blocks)
            # PyTorch's own swish saves as much memory as MONAI's, and can be exported.
            block._swish = nn.SiLU()
        self._swish = nn.SiLU()

    def forward(self, inputs: Tensor) -> Tensor:
        x = self._swish(self._bn0(self._conv_stem(self._conv_stem_padding(inputs))))
        x = self._blocks(x)
        return self._swish(self._bn1(self._conv_head(self._conv_head_padding(x))))


class SpineAgeNet(nn.Module):
    """EfficientNet, global average, fully connected layer - batch norm - ReLU - dropout, and logits over ages.

    The paper's figure gives the head's layers; their width is our choice.

    Parameters
    ----------
    variant
        0 to 7: which EfficientNet. The published one is 4, with 1792 feature maps.
    in_channels
        Channels of the image.
    ages
        First and last age in whole years; the network emits one logit for each.
    hidden
        Width of the fully connected layer.
    dropout
        Chance with which one of its outputs is left out in training.
    bn_momentum
        Weight of a new batch in the running averages of every batch norm. EfficientNet's 0.01 suits trainings of
        thousands of steps; a short one needs more, or evaluation uses averages from the start of training.
    drop_connect
        Chance with which the trunk's last residual block is skipped in training.

    Attributes
    ----------
    features
        The trunk; its output is the last feature maps, which class-activation maps weight (``cam_layer`` names it).
    head
        The layers between the average and the last one.
    logits
        The last layer.

    References
    ----------
    Tan and Le, "EfficientNet: rethinking model scaling for convolutional neural networks", ICML 2019.
    """

    cam_layer = "features"

    def __init__(
        self,
        variant: int = 4,
        in_channels: int = 1,
        ages: Sequence[int] = AGES,
        hidden: int = 512,
        dropout: float = 0.5,
        bn_momentum: float = 0.01,
        drop_connect: float = 0.2,
    ) -> None:
        super().__init__()
        first, last = (int(age) for age in ages)
        if last <= first:
            raise ValueError(f"ages must be the first and a later last age, got {tuple(ages)}")
        if variant not in range(8):
            raise InputError("no such EfficientNet", source="variant", found=variant, expected="0 to 7")
        self.ages = (first, last)
        self.features = EfficientNetTrunk(int(variant), in_channels, bn_momentum, drop_connect)
        # With the channels last in memory, a CPU needs about a third less time for a training step.
        self.features.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Sequential(
            OrderedDict(
                fc=nn.Linear(self.features.out_channels, hidden),
                norm=nn.BatchNorm1d(hidden, momentum=float(bn_momentum)),
                relu=nn.ReLU(),
                dropout=nn.Dropout(dropout),
            )
        )
        self.logits = nn.Linear(hidden, last - first + 1)

    def forward(self, image: Tensor) -> Tensor:
        """Logits over the ages, shape (B, n), of images of shape (B, channels, height, width).

        Raises
        ------
        InputError
            If a single image is given in training: batch norm then has nothing to compare it with.
        """
        if not torch.jit.is_scripting() and self.training and image.shape[0] < 2:
            raise InputError(
                "the network cannot be trained on batches of one image",
                source="batch_size",
                found=f"a batch of {image.shape[0]}",
                expected="at least 2",
                remedy="train with more images or a larger batch, and drop the last batch where one image is left",
            )
        return self.logits(self.head(self.pool(self.features(image)).flatten(1)))

    @torch.jit.unused
    def age_years(self, output: Tensor) -> Tensor:
        """Expected age in years, unrounded, shape (B,), of logits of shape (B, n) or, of an ensemble, (B, M, n)."""
        first, last = self.ages
        n = last - first + 1
        if output.ndim not in (2, 3) or output.shape[-1] != n:
            raise ValueError(f"the network emits (B, {n}) or (B, M, {n}), got {tuple(output.shape)}")
        chances = torch.softmax(output if output.dtype == torch.float64 else output.float(), dim=-1)
        ages = torch.arange(first, last + 1, dtype=chances.dtype, device=chances.device)
        # A sum of products: mixed precision would carry a matrix product out in half precision.
        expected = (chances * ages).sum(dim=-1)
        return expected if expected.ndim == 1 else expected.mean(dim=1)

"""Kinetics-400 weights of torchvision's ``r3d_18``: where they are, and their way into :class:`WholeBodyResNet`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from agezoo.errors import WeightsError
from agezoo.networks.hub_file import HubFile
from agezoo.networks.whole_body_resnet import WholeBodyResNet
from agezoo.registry import bundle_root

KINETICS_URL = "https://download.pytorch.org/models/r3d_18-b3b3357e.pth"
"""The address that torchvision has for the weights it calls ``R3D_18_Weights.KINETICS400_V1``."""

_CLASSIFIER = ("fc.weight", "fc.bias")


def kinetics_file(bundle: str) -> HubFile:
    """The file for a bundle's network.

    Raises
    ------
    WeightsError
        If the bundle's network is no :class:`WholeBodyResNet`.
    """
    config = json.loads((bundle_root(bundle) / "configs" / "train.json").read_text(encoding="utf-8"))
    network = config.get("network_def")
    name = str(network.get("_target_")) if isinstance(network, Mapping) else ""
    if name.rsplit(".", 1)[-1] != WholeBodyResNet.__name__:
        raise WeightsError(
            "no Kinetics weights can be fetched for this bundle",
            found=bundle,
            expected="a bundle whose network is a WholeBodyResNet, such as wholebody_mr",
        )
    return HubFile.at(KINETICS_URL, named_by="torchvision")


@torch.no_grad()
def load_kinetics(network: WholeBodyResNet, state: Mapping[str, Tensor], source: str | Path) -> WholeBodyResNet:
    """Load ``r3d_18`` weights into the backbone, in place, and return the network.

    Every tensor of the backbone must be there and fit, and nothing but the classifier, which is dropped, may be left
    over. The adapter then gives the mean over the image's channels to each of the three colours, so that the backbone
    begins with the grey video that the image is to it (our choice); the head is left alone.

    Parameters
    ----------
    state
        The file's tensors by name.
    source
        The file, for messages.

    Raises
    ------
    WeightsError
        If a tensor is missing, unknown or of another shape; the network is then left as it was.
    """
    wanted = network.backbone.state_dict()
    given = {name: tensor for name, tensor in state.items() if name not in _CLASSIFIER}
    for name, tensor in wanted.items():
        # Files of older versions of PyTorch lack these counters, which carry no weight.
        if name.endswith("num_batches_tracked"):
            given.setdefault(name, tensor)
    missing = [name for name in wanted if name not in given]
    unknown = sorted(given.keys() - wanted.keys())
    shapes = [name for name in wanted if name in given and given[name].shape != wanted[name].shape]
    if missing or unknown or shapes:
        width = wanted["stem.0.weight"].shape[0]
        found = given.get("stem.0.weight")
        raise WeightsError(
            "the file does not fit the network's backbone",
            source=source,
            found=f"{len(missing)} tensors missing, {len(unknown)} unknown, {len(shapes)} of another shape, e.g. "
            + ", ".join((missing + unknown + shapes)[:4])
            + (f"; a stem of {found.shape[0]} channels" if found is not None and found.ndim == 5 else ""),
            expected=f"torchvision's r3d_18 with a stem of {width} channels (setting stem_channels)",
            remedy="agezoo weights kinetics wholebody_mr --out FILE fetches the one of Kinetics-400, for stem_channels "
            "64; a narrower network starts without it",
        )
    network.backbone.load_state_dict(given, strict=True)
    network.adapter.weight.fill_(1.0 / network.in_channels)
    assert network.adapter.bias is not None
    network.adapter.bias.zero_()
    return network

"""From a file that somebody's training script wrote to the state dict of a bundle's network."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from agezoo.errors import WeightsError
from agezoo.networks.weights import checked_state_dict


def git_blob_id(path: str | Path) -> str:
    """Git's id of a file's content: the SHA-1 of ``blob <size>`` and a zero byte, followed by the content."""
    path = Path(path)
    if not path.is_file():
        raise WeightsError("no such weight file", source=path)
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def bare_state_dict(content: Any, source: Path) -> dict[str, Tensor]:
    """Tensors by the network's own names, out of the wrappings in which training scripts save them.

    Takes what lies under ``state_dict`` if there is such a part, and drops a ``module.`` that leads every name.
    """
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    state = checked_state_dict(content, source)
    if all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    return state


def configured_network(root: str | Path, settings: Mapping[str, float | list[float]]) -> nn.Module:
    """The network that the bundle's train.json defines under `settings`, with random weights."""
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    parser.read_config(str(Path(root) / "configs" / "train.json"))
    for name, value in settings.items():
        if name not in parser:
            raise WeightsError("the record of the weights names a setting that the bundle lacks", found=name)
        parser[name] = value
    network = parser.get_parsed_content("network_def")
    if not isinstance(network, nn.Module):
        raise TypeError("network_def is no network")
    return network

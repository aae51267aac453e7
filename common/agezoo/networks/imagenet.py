"""ImageNet weights of EfficientNet: from the files that other projects publish to the trunk of :class:`SpineAgeNet`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from agezoo.errors import WeightsError
from agezoo.networks.spine_age_net import EfficientNetTrunk

_CLASSIFIERS = ("_fc.", "classifier.")


def load_imagenet(trunk: EfficientNetTrunk, state: Mapping[str, Tensor], source: str | Path) -> EfficientNetTrunk:
    """Load an EfficientNet's ImageNet weights into a trunk, in place, and return it.

    Every tensor of the trunk must be there and fit, and nothing but the classifier may be left over. Three layouts are
    known by their names: MONAI's ``EfficientNetBN``, the one of efficientnet_pytorch (whose files MONAI downloads) and
    torchvision's ``efficientnet_b0`` to ``b7``. The trunk computes as MONAI does: torchvision's networks pad strided
    convolutions otherwise, and B0 to B4 have a smaller epsilon in batch norm, so its weights are a start from which the
    trunk gives similar, not equal, feature maps.

    A trunk with one input channel gets the sum over the file's three of each stem kernel: it computes from a grey image
    what the original computes from the same image three times.

    Parameters
    ----------
    state
        The file's tensors by name.
    source
        The file, for messages.

    Raises
    ------
    WeightsError
        If a tensor is missing, unknown or of another shape; the trunk is then left as it was.
    """
    wanted = trunk.state_dict()
    given = {name: tensor for name, tensor in state.items() if not name.startswith(_CLASSIFIERS)}
    names = _names_in(given, list(wanted))
    found = {name: given[theirs] for name, theirs in names.items() if theirs in given}
    for name, tensor in wanted.items():
        # Files of older versions of PyTorch lack these counters, which carry no weight.
        if name.endswith("num_batches_tracked"):
            found.setdefault(name, tensor)
    stem = found.get("_conv_stem.weight")
    if stem is not None and stem.ndim == 4 and stem.shape[1] == 3 and wanted["_conv_stem.weight"].shape[1] == 1:
        found["_conv_stem.weight"] = stem.sum(dim=1, keepdim=True)
    missing = [names[name] for name in wanted if name not in found]
    unknown = sorted(given.keys() - set(names.values()))
    shapes = [names[name] for name in found if found[name].shape != wanted[name].shape]
    if missing or unknown or shapes:
        raise WeightsError(
            "the file does not fit the trunk",
            source=source,
            found=f"{len(missing)} tensors missing, {len(unknown)} unknown, {len(shapes)} of another shape, e.g. "
            + ", ".join((missing + unknown + shapes)[:4]),
            expected=f"EfficientNet weights of the same variant, with a stem of {wanted['_conv_stem.weight'].shape[0]} "
            "kernels, in the names of MONAI, efficientnet_pytorch or torchvision",
            remedy="agezoo weights imagenet spine_age --out FILE fetches the right one",
        )
    trunk.load_state_dict(found, strict=True)
    return trunk


def _names_in(given: Mapping[str, Tensor], wanted: list[str]) -> dict[str, str]:
    """Our name of each tensor -> its name in the file's layout."""
    if any(name.startswith("features.") for name in given):
        return {name: _torchvision_name(name, wanted) for name in wanted}
    if any(re.match(r"_blocks\.\d+\.\d+\.", name) for name in given):
        return {name: name for name in wanted}
    return {name: re.sub(r"^_blocks\.\d+\.", "_blocks.", name) for name in wanted}


def _torchvision_name(name: str, wanted: list[str]) -> str:
    """``_blocks.<stack>.<number in all>.<layer>.<tensor>`` -> ``features.<1 + stack>.<number in stack>.block...``."""
    outside = {
        "_conv_stem": "features.0.0",
        "_bn0": "features.0.1",
        "_conv_head": "features.8.0",
        "_bn1": "features.8.1",
    }
    layer, _, tensor = name.partition(".")
    if layer in outside:
        return f"{outside[layer]}.{tensor}"
    _, stack, number, layer, tensor = name.split(".", 4)
    first = min(int(other.split(".")[2]) for other in wanted if other.startswith(f"_blocks.{stack}."))
    # A block that does not widen has no first convolution there, so that the others move up.
    step = 1 if f"_blocks.{stack}.{number}._expand_conv.weight" in wanted else 0
    places = {
        "_expand_conv": "0.0",
        "_bn0": "0.1",
        "_depthwise_conv": f"{step}.0",
        "_bn1": f"{step}.1",
        "_se_reduce": f"{step + 1}.fc1",
        "_se_expand": f"{step + 1}.fc2",
        "_project_conv": f"{step + 2}.0",
        "_bn2": f"{step + 2}.1",
    }
    return f"features.{int(stack) + 1}.{int(number) - first}.block.{places[layer]}.{tensor}"

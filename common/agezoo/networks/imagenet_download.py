"""The ImageNet file that MONAI itself names for an EfficientNet."""

from __future__ import annotations

import json

from agezoo.errors import WeightsError
from agezoo.networks.hub_file import HubFile
from agezoo.registry import bundle_root


def imagenet_file(bundle: str) -> HubFile:
    """The file for a bundle's trunk, from the address that MONAI has for it.

    Raises
    ------
    WeightsError
        If the bundle's network is no EfficientNet, or MONAI names no file for it.
    """
    from monai.networks.nets import efficientnet

    config = json.loads((bundle_root(bundle) / "configs" / "train.json").read_text(encoding="utf-8"))
    model = f"efficientnet-b{config.get('variant')}"
    url = efficientnet.url_map.get(model)
    if url is None:
        raise WeightsError(
            "no ImageNet weights can be fetched for this bundle",
            found=bundle,
            expected="a bundle whose train.json has an EfficientNet's variant, such as spine_age",
        )
    return HubFile.at(url)

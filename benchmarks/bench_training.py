"""Training images per second: each bundle's published network and the smaller one of its phantom overlay.

The ratio is against the forward and backward pass alone, so it tells what the engine, the augmentation and the cached
reading cost on top.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser

from agezoo.engines import CohortDataset
from agezoo.registry import bundle_root


@dataclass(frozen=True)
class Case:
    """One network to train.

    Attributes
    ----------
    bundle, title
        Bundle and what is special about the network.
    settings
        Settings of train.json that make it.
    shape
        Of one prepared image.
    images, batch
        How many prepared images are trained on in all and at a time.
    """

    bundle: str
    title: str
    settings: dict[str, float] = field(default_factory=dict)
    shape: tuple[int, int, int] = (1, 224, 224)
    images: int = 32
    batch: int = 8


CASES = (
    Case("ct_age", "published trunk"),
    Case("ct_age", "phantom overlay's quarter-width trunk", {"trunk_width": 16}),
    Case("spine_age", "published EfficientNet-B4, 1024 x 512", shape=(1, 1024, 512), images=4, batch=2),
    Case(
        "spine_age",
        "phantom overlay's EfficientNet-B0, 256 x 128",
        {"variant": 0, "hidden": 128, "canvas_height": 256, "canvas_width": 128},
        shape=(1, 256, 128),
    ),
)


def images_per_second(step: object, n_images: int) -> float:
    """Rate of a callable that handles `n_images`, after one call to warm up."""
    step()  # type: ignore[operator]
    started = time.perf_counter()
    step()  # type: ignore[operator]
    return n_images / (time.perf_counter() - started)


def measure(case: Case, folder: Path) -> tuple[float, float]:
    """Images per second of training as it is, and of forward and backward pass alone."""
    parser = ConfigParser()
    parser.read_config(str(bundle_root(case.bundle) / "configs" / "train.json"))
    for name, value in case.settings.items():
        parser[name] = value
    loss: Any = parser.get_parsed_content("loss")
    augmentation = parser.get_parsed_content("augmentation")
    network: torch.nn.Module = parser.get_parsed_content("network_def")
    network.train()
    optimiser = torch.optim.Adam(network.parameters())
    files = [folder / f"{i}.pt" for i in range(case.images)]
    for file in files:
        torch.save(torch.rand(case.shape), file)
    rows = [{"image": str(file), "age_years": 50.0} for file in files]
    dataset = CohortDataset(rows, read_prepared, augmentation, cache_dir=folder / "cache")
    batch = torch.rand(case.batch, *case.shape)
    ages = torch.full((case.batch, 1), 50.0)

    def update(images: torch.Tensor) -> None:
        optimiser.zero_grad()
        loss(network(images), ages).backward()
        optimiser.step()

    def bare() -> None:
        for _ in range(case.images // case.batch):
            update(batch)

    def whole() -> None:
        for items in torch.utils.data.DataLoader(dataset, batch_size=case.batch):
            update(items["image"])

    return images_per_second(whole, case.images), images_per_second(bare, case.images)


def read_prepared(item: dict[str, Any]) -> dict[str, Any]:
    """Stand-in for preprocessing, which training reads from the cache."""
    return {"image": torch.load(item["image"], weights_only=True)}


def main() -> None:
    """Print one line per network."""
    print(f"{torch.get_num_threads()} threads, cached images, torch {torch.__version__}")
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            together, alone = measure(case, Path(folder))
        print(f"{case.bundle}, {case.title} (batch {case.batch}): {together:.2f} images/s with reading and "
              f"augmentation, {alone:.2f} of forward and backward alone (ratio {together / alone:.2f})",
              flush=True)  # fmt: skip


if __name__ == "__main__":
    main()

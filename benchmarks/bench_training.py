"""Training images per second of ct_age: the published trunk and the phantom overlay's quarter-width one.

The ratio is against the forward and backward pass alone, so it tells what the engine, the augmentation and the cached
reading cost on top.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import torch
from monai.bundle import ConfigParser

from agezoo.engines import CohortDataset, config_part
from agezoo.registry import bundle_root

IMAGES = 32
BATCH = 8


def images_per_second(step: object, n_images: int) -> float:
    """Rate of a callable that handles `n_images`, after one call to warm up."""
    step()  # type: ignore[operator]
    started = time.perf_counter()
    step()  # type: ignore[operator]
    return n_images / (time.perf_counter() - started)


def main() -> None:
    """Print one line per trunk."""
    root = bundle_root("ct_age")
    parser = ConfigParser()
    parser.read_config(str(root / "configs" / "train.json"))
    loss = parser.get_parsed_content("loss")
    augmentation = config_part(root, "train.json", "augmentation")
    print(f"{torch.get_num_threads()} threads, batch {BATCH}, {IMAGES} cached projections, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{i}.pt" for i in range(IMAGES)]
        for file in files:
            torch.save(torch.rand(1, 224, 224), file)
        rows = [{"image": str(file), "age_years": 50.0} for file in files]
        dataset = CohortDataset(rows, read_projection, augmentation, cache_dir=Path(folder) / "cache")
        for width in (64, 16):
            parser["trunk_width"] = width
            parser.parse(reset=True)
            network = parser.get_parsed_content("network_def").train()
            optimiser = torch.optim.AdamW(network.parameters())
            batch = torch.rand(BATCH, 1, 224, 224)
            ages = torch.full((BATCH, 1), 50.0)

            def update(images: torch.Tensor, network=network, optimiser=optimiser, ages=ages) -> None:
                optimiser.zero_grad()
                loss(network(images), ages).backward()
                optimiser.step()

            def bare(update=update, batch=batch) -> None:
                for _ in range(IMAGES // BATCH):
                    update(batch)

            def whole(update=update) -> None:
                for items in torch.utils.data.DataLoader(dataset, batch_size=BATCH):
                    update(items["image"])

            alone, together = images_per_second(bare, IMAGES), images_per_second(whole, IMAGES)
            print(f"trunk width {width}: {together:.1f} images/s with reading and augmentation, "
                  f"{alone:.1f} of forward and backward alone (ratio {together / alone:.2f})")  # fmt: skip


def read_projection(item: dict) -> dict:
    """Stand-in for preprocessing, which training reads from the cache."""
    return {"image": torch.load(item["image"], weights_only=True)}


if __name__ == "__main__":
    main()

"""Score-CAM of a full-size ResNet-18: one dimmed image at a time against agezoo, in the same run on the same image.

    python benchmarks/bench_score_cam.py
    python benchmarks/bench_score_cam.py --weights model.pt --image projection.npy

Prints, per way of computing it, the best time of the repeats, how many times faster than one at a time that is, and
how the map differs from the exact one (largest difference on the 0..1 scale, correlation, structural similarity).
Without ``--weights`` it does so for a network with random weights and for one that it first trains for some minutes
to read the age off a column of bright blocks; for that one it also prints how well each method finds the blocks.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from monai.networks.nets.resnet import ResNet
from scipy import ndimage
from skimage.metrics import structural_similarity
from torch.nn import functional

from agezoo.explain.attribution import METHODS, explain
from agezoo.explain.localisation import random_map, score_maps
from agezoo.explain.score_cam import score_cam

SIZE = 224
WAYS: dict[str, dict] = {
    "agezoo, exact (default)": {},
    "agezoo, bfloat16": {"precision": "bfloat16"},
    "agezoo, 128 maps": {"max_maps": 128},
    "agezoo, bfloat16, 128 maps": {"precision": "bfloat16", "max_maps": 128},
    "agezoo, bfloat16, 96 maps": {"precision": "bfloat16", "max_maps": 96},
}


def resnet18(seed: int) -> ResNet:
    """The CT age network with seeded random weights."""
    torch.manual_seed(seed)
    return ResNet(
        block="basic",
        layers=[2, 2, 2, 2],
        block_inplanes=[64, 128, 256, 512],
        spatial_dims=2,
        n_input_channels=1,
        conv1_t_size=7,
        conv1_t_stride=2,
        shortcut_type="B",
        bias_downsample=False,
        num_classes=2,
    ).eval()


def planted_image(rng: np.random.Generator) -> tuple[torch.Tensor, float, np.ndarray]:
    """A body-like picture whose column of blocks darkens with age, the age in years, and the blocks' mask."""
    row, column = np.mgrid[:SIZE, :SIZE]
    age_years = rng.uniform(20, 85)
    centre = 112 + rng.normal(0, 6, 2)
    body = ((row - centre[0]) / rng.uniform(80, 95)) ** 2 + ((column - centre[1]) / rng.uniform(85, 105)) ** 2 < 1
    picture = 0.35 + 0.06 * ndimage.zoom(rng.normal(0, 1, (28, 28)), 8, order=1)
    for _ in range(3):
        place, radius = rng.uniform(60, 164, 2), rng.uniform(6, 14)
        disc = (row - place[0]) ** 2 + (column - place[1]) ** 2 < radius**2
        picture[disc] = rng.uniform(0.5, 0.9)
    left, top = int(centre[1] + rng.normal(0, 8)) - 9, int(centre[0] - 45)
    blocks = np.zeros((SIZE, SIZE), dtype=bool)
    for index in range(6):
        blocks[top + index * 16 : top + index * 16 + 12, left : left + 18] = True
    picture[blocks] = 0.75 - 0.15 * (age_years - 52.5) / 32.5 + 0.03 * rng.normal(0, 1, int(blocks.sum()))
    picture = np.where(body | blocks, np.clip(picture + rng.normal(0, 0.01, picture.shape), 0.02, 1), 0)
    return torch.tensor(picture, dtype=torch.float32)[None], age_years, blocks


def trained_on_planted_signal(cases: int, epochs: int) -> ResNet:
    """The network after a short training on planted pictures; prints how well it reads the age."""
    rng = np.random.default_rng(0)
    samples = [planted_image(rng) for _ in range(cases)]
    images = torch.stack([image for image, _, _ in samples])
    ages_years = torch.tensor([age for _, age, _ in samples], dtype=torch.float32)
    network = resnet18(0)
    network.fc.bias.data[0] = 52.5
    network.to(memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(network.parameters())
    batches = cases // 12
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=epochs * batches)
    for _ in range(epochs):
        network.train()
        for batch in torch.randperm(cases)[: batches * 12].split(12):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                predicted = network(images[batch].contiguous(memory_format=torch.channels_last))
            loss = functional.smooth_l1_loss(predicted[:, 0].float() / 10, ages_years[batch] / 10)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    network.eval()
    with torch.inference_mode():
        error = (network(images[:48])[:, 0] - ages_years[:48]).abs().mean()
    print(f"trained on {cases} planted pictures, mean absolute error {float(error):.1f} years")
    return network


def one_at_a_time(network: ResNet, image: torch.Tensor) -> np.ndarray:
    """The plain recipe with the baseline-subtracted weighting: 256 forward passes of one image each."""
    seen: list[torch.Tensor] = []
    handle = network.layer3.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    summed = torch.zeros(image.shape[2:], dtype=torch.float64)
    with torch.no_grad():
        whole_years = network(image)[0, 0]
        handle.remove()
        blank_years = network(torch.zeros_like(image))[0, 0]
        for one in functional.relu(seen[0][0]):
            large = functional.interpolate(one[None, None], image.shape[2:], mode="bilinear")
            if large.max() > large.min():
                mask = (large - large.min()) / (large.max() - large.min())
                weight = network(image * mask)[0, 0] - blank_years
                summed += float(weight) * large[0, 0].double()
    summed = torch.relu(summed if whole_years >= blank_years else -summed)
    return ((summed - summed.min()) / (summed.max() - summed.min())).numpy()


def compare(name: str, network: ResNet, image: torch.Tensor, repeats: int, clock: Callable[[], float]) -> None:
    """Print one table of times and agreement."""
    calls: dict[str, Callable[[], np.ndarray]] = {"one at a time": lambda: one_at_a_time(network, image)}
    for way, options in WAYS.items():
        calls[way] = lambda options=options: score_cam(network, image, **options)
    seconds: dict[str, list[float]] = {way: [] for way in calls}
    maps: dict[str, np.ndarray] = {}
    # In turns, so that whatever else the machine does meets every way alike; the fastest repeat counts.
    for _ in range(repeats):
        for way, call in calls.items():
            start = clock()
            maps[way] = call()
            seconds[way].append(clock() - start)
    reference, reference_seconds = maps["one at a time"], min(seconds["one at a time"])
    print(f"\n{name}\n{'':32s}{'seconds':>9s}{'faster':>9s}{'largest difference':>20s}{'r':>10s}{'SSIM':>8s}")
    for way, found in maps.items():
        correlation = np.corrcoef(found.ravel(), reference.ravel())[0, 1]
        similarity = structural_similarity(found.astype(float), reference, data_range=1)
        print(
            f"{way:32s}{min(seconds[way]):9.2f}{reference_seconds / min(seconds[way]):9.2f}"
            f"{np.abs(found - reference).max():20.5f}{correlation:10.5f}{similarity:8.4f}",
            flush=True,
        )


def localise(network: ResNet, cases: int) -> None:
    """Print how well each method finds the planted blocks, beside an untrained network and a random map."""
    rng = np.random.default_rng(99)
    samples = [planted_image(rng) for _ in range(cases)]
    untrained = resnet18(3)
    print(f"\n{cases} new pictures{'':20s}{'pointing game':>22s}{'energy inside':>22s}")
    print(f"{'':32s}{'trained':>11s}{'untrained':>11s}{'trained':>11s}{'untrained':>11s}")
    for method in METHODS:
        scores = [
            score_maps(
                (explain(one, image, method, signed=False, precision="bfloat16", steps=16), blocks)
                for image, _, blocks in samples
            )
            for one in (network, untrained)
        ]
        pointing, energy = [s.pointing_game for s in scores], [s.energy_inside for s in scores]
        print(f"{method:32s}{pointing[0]:11.2f}{pointing[1]:11.2f}{energy[0]:11.3f}{energy[1]:11.3f}")
    chance = score_maps(
        (random_map((SIZE, SIZE), coarse_shape=(14, 14), seed=seed) * (image[0].numpy() > 0), blocks)
        for seed, (image, _, blocks) in enumerate(samples)
    )
    print(f"{'random map inside the body':32s}{chance.pointing_game:11.2f}{'':11s}{chance.energy_inside:11.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="state dict of the ResNet-18")
    parser.add_argument("--image", type=Path, help="projection, .npy of shape (1, 224, 224)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="count one thread's processor seconds, for a machine that others keep busy",
    )
    parser.add_argument("--cases", type=int, default=6, help="pictures for the localisation table")
    parser.add_argument("--epochs", type=int, default=7)
    options = parser.parse_args()
    threads = 1 if options.cpu_time else options.threads
    torch.set_num_threads(threads)
    clock = time.process_time if options.cpu_time else time.perf_counter
    image = (
        planted_image(np.random.default_rng(7))[0] if options.image is None else torch.tensor(np.load(options.image))
    )
    image = image.reshape(1, 1, SIZE, SIZE).float()
    print(f"torch {torch.__version__}, {threads} threads, {torch.backends.cpu.get_cpu_capability()}")
    compare("random weights", resnet18(0), image, options.repeats, clock)
    if options.weights is not None:
        network = resnet18(0)
        network.load_state_dict(torch.load(options.weights, map_location="cpu", weights_only=True))
        compare(str(options.weights.name), network, image, options.repeats, clock)
        return
    network = trained_on_planted_signal(cases=240, epochs=options.epochs)
    compare("trained on a planted signal", network, image, options.repeats, clock)
    localise(network, options.cases)


if __name__ == "__main__":
    main()

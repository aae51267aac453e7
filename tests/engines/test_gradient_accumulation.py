"""Several small batches make one step, the same as that of one large batch."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from ignite.engine import Events
from monai.engines import SupervisedTrainer
from torch import nn

from agezoo.engines import GradientAccumulation
from agezoo.losses import BrainAgeLoss


def cases(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    image = torch.randn(n, 4, generator=generator, dtype=torch.float64)
    return image, 60 + 10 * image[:, :1] + torch.randn(n, 1, generator=generator, dtype=torch.float64)


def trained(
    sizes: Sequence[int],
    steps: int | None,
    *,
    epochs: int = 3,
    loss: nn.Module | None = None,
    optimizer: type[torch.optim.Optimizer] = torch.optim.SGD,
    amp: bool = False,
) -> tuple[torch.Tensor, int, list[float]]:
    """Weights after a training on batches of these sizes, the number of steps, and the losses."""
    torch.manual_seed(0)
    network = nn.Linear(4, 1, dtype=torch.float64)
    image, label = cases(sum(sizes))
    batches = [
        {"image": i, "label": y} for i, y in zip(image.split(list(sizes)), label.split(list(sizes)), strict=True)
    ]
    taken: list[int] = []
    chosen = optimizer(network.parameters(), lr=0.03)  # type: ignore[call-arg]
    chosen.register_step_post_hook(lambda *_: taken.append(1))
    losses: list[float] = []
    trainer = SupervisedTrainer(
        device=torch.device("cpu"), max_epochs=epochs, train_data_loader=batches, network=network, optimizer=chosen,
        loss_function=loss or nn.MSELoss(), decollate=False, amp=amp,
        iteration_update=None if steps is None else GradientAccumulation(steps), to_kwargs={"dtype": torch.float64},
    )  # fmt: skip
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda e: losses.append(float(e.state.output["loss"].detach()))
    )
    trainer.run()
    return nn.utils.parameters_to_vector(network.parameters()).detach(), len(taken), losses


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
@pytest.mark.parametrize(
    ("small", "steps", "large"),
    [([4] * 6, 2, [8] * 3), ([2] * 6, 3, [6] * 2), ([4] * 5, 2, [8, 8, 4]), ([2] * 3, 8, [6]), ([5, 5], 1, [5, 5])],
    ids=["whole groups", "of three", "a smaller last group", "one group smaller than the steps", "no accumulation"],
)
def test_it_equals_the_large_batch(
    small: list[int], steps: int, large: list[int], optimizer: type[torch.optim.Optimizer]
) -> None:
    weights, taken, _ = trained(small, steps, optimizer=optimizer)
    expected, steps_of_large, _ = trained(large, None, optimizer=optimizer)
    assert taken == steps_of_large == 3 * len(large)
    assert torch.allclose(weights, expected, rtol=1e-10, atol=0)


def test_the_loss_that_is_reported_is_that_of_the_batch() -> None:
    losses = trained([4] * 2, 2, epochs=1)[2]
    alone = [trained([4, 4], None, epochs=1)[2][0]]
    assert losses[0] == pytest.approx(alone[0])


@pytest.mark.filterwarnings("ignore:.*GradScaler:UserWarning", "ignore:.*GradScaler:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*CUDA is not available:UserWarning")
def test_the_path_of_mixed_precision_steps_alike() -> None:
    """Without a GPU scaler and autocast are idle, but it is they who step."""
    weights, taken, _ = trained([4] * 5, 2, amp=True)
    assert taken == 9
    assert torch.allclose(weights, trained([8, 8, 4], None)[0], rtol=1e-10, atol=0)


def test_ranks_are_those_within_a_small_batch() -> None:
    """Which is why accumulation does not replace a large batch for the ranking loss."""
    loss = BrainAgeLoss(pairs="all")
    accumulated, large = trained([4] * 2, 2, loss=loss, epochs=1)[0], trained([8], None, loss=loss, epochs=1)[0]
    assert not torch.allclose(accumulated, large)
    squared = BrainAgeLoss(ranking_weight=0)
    assert torch.allclose(trained([4] * 2, 2, loss=squared)[0], trained([8], None, loss=squared)[0], rtol=1e-10)


def test_steps_below_1_are_refused() -> None:
    with pytest.raises(ValueError, match="steps must be at least 1"):
        GradientAccumulation(0)

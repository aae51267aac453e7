"""Squared error, ranking and age difference of brain_tsan: each by hand, both stages, and a user's own sorter."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from agezoo.errors import InputError
from agezoo.losses import BrainAgeLoss, CascadeLoss, SorterRanks
from agezoo.losses.soft_rank import true_ranks

PRED, AGES = [[60.0], [62.0], [70.0]], [63.0, 62.0, 66.0]
"""Errors -3, 0 and 4 years; the first two in the wrong order."""


def double(values: object) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def parts(loss: BrainAgeLoss, pred: object = PRED, ages: object = AGES) -> list[float]:
    return [float(part) for part in loss.parts(double(pred), double(ages))]


def test_three_terms_by_hand() -> None:
    """(9 + 0 + 16) / 3; at a temperature near 0 the ranks 1, 2/3, 1/3 against 2/3, 1, 1/3; pairs 9, 49 and 16."""
    squared, ranking, difference = parts(BrainAgeLoss(temperature_years=1e-3, pairs="all"))
    assert squared == pytest.approx(25 / 3)
    assert ranking == pytest.approx((1 / 9 + 1 / 9) / 3)
    assert difference == pytest.approx((9 + 49 + 16) / 3)


def test_ranking_of_two_by_hand() -> None:
    """Predicted 60 and 61, true 50 and 40: soft ranks (2 - s) / 2 and (1 + s) / 2, s = sigmoid(-1 / 2)."""
    ranking = parts(BrainAgeLoss(temperature_years=2.0), [[60.0], [61.0]], [50.0, 40.0])[1]
    s = 1 / (1 + math.exp(0.5))
    assert ranking == pytest.approx((((2 - s) / 2 - 0.5) ** 2 + ((1 + s) / 2 - 1) ** 2) / 2)


def test_published_weights() -> None:
    squared, ranking, difference = parts(BrainAgeLoss(pairs="all"))
    assert float(BrainAgeLoss(pairs="all")(double(PRED), double(AGES))) == pytest.approx(
        squared + 10 * (ranking + 1 * difference)
    )
    other = BrainAgeLoss(ranking_weight=3, difference_weight=0.5, pairs="all")
    assert float(other(double(PRED), double(AGES))) == pytest.approx(squared + 3 * (ranking + 0.5 * difference))
    no_difference = BrainAgeLoss(difference_weight=0)
    assert float(no_difference(double(PRED), double(AGES))) == pytest.approx(squared + 10 * ranking)


def test_ranking_weight_0_leaves_the_squared_error_and_draws_nothing() -> None:
    state = torch.get_rng_state()
    assert float(BrainAgeLoss(ranking_weight=0)(double(PRED), double(AGES))) == pytest.approx(25 / 3)
    assert torch.equal(torch.get_rng_state(), state)


def test_labels_of_either_shape() -> None:
    """Broadcasting (B, 1) against (B,) would give a loss of B * B pairs without a word."""
    loss = BrainAgeLoss(pairs="all")
    assert float(loss(double(PRED), double(AGES))) == float(loss(double(PRED), double(AGES)[:, None]))


def test_random_pairs_are_a_circle_of_all_people_and_a_matter_of_the_seed() -> None:
    """Of 1, 2, 4, ... 2 ** 7 every difference tells its pair: each person is in two pairs, never with itself."""
    errors = double([2.0**i for i in range(8)])
    of_pair = {abs(2**i - 2**j) ** 2: (i, j) for i in range(8) for j in range(i)}
    assert len(of_pair) == 28
    loss = BrainAgeLoss()
    found = []
    for seed in (0, 1, 0):
        torch.manual_seed(seed)
        gradients = errors.clone().requires_grad_()
        value = loss._age_difference(gradients)
        value.backward()
        found.append(float(value.detach()))
        # d/de_i of the mean of (e_i - e_a) ** 2 + (e_i - e_b) ** 2 tells e_a + e_b = 2 ** a + 2 ** b.
        assert gradients.grad is not None
        neighbours = (2 * errors - gradients.grad * 8 / 2).round().int().tolist()
        assert all(bin(each).count("1") == 2 and not each & (1 << i) for i, each in enumerate(neighbours))
    assert found[0] == found[2] != found[1]


def test_all_pairs_are_the_mean_over_random_circles() -> None:
    """And twice the errors' variance, which is how little of an error common to all the term sees."""
    torch.manual_seed(0)
    errors = double([-3.0, 0.0, 4.0, 11.0, 2.5])
    circles = [float(BrainAgeLoss()._age_difference(errors)) for _ in range(3000)]
    every = float(BrainAgeLoss(pairs="all")._age_difference(errors))
    assert every == pytest.approx(2 * float(errors.var()))
    assert np.mean(circles) == pytest.approx(every, rel=0.02)
    assert float(BrainAgeLoss(pairs="all")._age_difference(errors + 7)) == pytest.approx(every)


@pytest.mark.parametrize("pairs", ["random", "all"])
def test_batches_of_one_and_two(pairs: str) -> None:
    loss = BrainAgeLoss(pairs=pairs)  # type: ignore[arg-type]
    pred = torch.tensor([[60.0]], requires_grad=True)
    value = loss(pred, torch.tensor([[64.0]]))
    value.backward()
    assert float(value.detach()) == 16.0, "a person alone has its rank right and no pair"
    assert pred.grad is not None
    assert pred.grad.tolist() == [[-8.0]]
    assert parts(loss, [[60.0], [65.0]], [61.0, 63.0])[2] == pytest.approx(9.0), "errors -1 and 2"


@pytest.mark.parametrize("n", [1, 2, 7])
def test_gradient_equals_finite_differences(n: int) -> None:
    generator = torch.Generator().manual_seed(n)
    ages = (40 + 40 * torch.rand(n, generator=generator, dtype=torch.float64)).round()
    pred = (ages + 3 * torch.randn(n, generator=generator, dtype=torch.float64))[:, None].requires_grad_()
    assert torch.autograd.gradcheck(lambda p: BrainAgeLoss(pairs="all")(p, ages), (pred,), eps=1e-6, atol=1e-5)

    def seeded(p: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(1)
        return BrainAgeLoss()(p, ages)

    assert torch.autograd.gradcheck(seeded, (pred,), eps=1e-6, atol=1e-5)


def test_the_minimum_is_at_the_true_ages() -> None:
    """Soft ranks of the true ages are not quite the true ranks; what that moves is below 0.001 years."""
    generator = torch.Generator().manual_seed(1)
    ages = (20 + 70 * torch.rand(16, generator=generator, dtype=torch.float64)).round()
    pred = (ages + 3).clone().requires_grad_()
    optimiser = torch.optim.LBFGS([pred], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = BrainAgeLoss(pairs="all")(pred[:, None], ages)
        loss.backward()
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    assert pred.detach().tolist() == pytest.approx(ages.tolist(), abs=1e-3)


def test_the_cascades_loss_is_that_of_its_residual_and_of_its_final_age() -> None:
    """Final ages 60, 62, 70 over bins 55, 65, 65: residuals 5, -3, 5 against 8, -3, 1 have the errors -3, 0, 4."""
    pred = double([[60.0, 55.0, 57.0], [62.0, 65.0, 63.0], [70.0, 65.0, 66.0]]).requires_grad_()
    residual_errors = (pred[:, 0] - pred[:, 1]) - (double(AGES) - pred[:, 1])
    torch.manual_seed(4)
    loss = CascadeLoss()(pred, double(AGES)[:, None])
    torch.manual_seed(4)
    assert float(loss.detach()) == pytest.approx(float(BrainAgeLoss()(double(PRED), double(AGES))))
    assert float(CascadeLoss().parts(pred, double(AGES))[0].detach()) == pytest.approx(
        float(residual_errors.square().mean().detach())
    )
    loss.backward()
    assert pred.grad is not None
    assert pred.grad[:, 1:].tolist() == [[0.0, 0.0]] * 3, "the first stage is frozen"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(dtype: torch.dtype) -> None:
    """A miss of 300 years squared is infinite in half precision, and so is every pair of them."""
    pred = torch.tensor([[300.0], [-300.0]], dtype=dtype, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = BrainAgeLoss()(pred, torch.zeros(2))
    assert loss.dtype is torch.float32
    assert float(loss.detach()) == pytest.approx(90000 + 10 * (0.0625 + 360000), rel=1e-6)
    loss.backward()
    assert pred.grad is not None
    assert pred.grad.dtype is dtype
    assert pred.grad.isfinite().all()


def test_an_unknown_age_is_an_error() -> None:
    with pytest.raises(InputError, match="age_years: an age is unknown; found: 1 of the 3 people in a batch"):
        BrainAgeLoss()(double(PRED), double([60.0, math.nan, 60.0]))


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"pred must have shape \(B, 1\), got \(3,\)"):
        BrainAgeLoss()(torch.zeros(3), torch.zeros(3))
    with pytest.raises(ValueError, match=r"pred must have shape \(B, 3\), got \(3, 1\)"):
        CascadeLoss()(torch.zeros(3, 1), torch.zeros(3))
    with pytest.raises(ValueError, match=r"one age per row of pred \(3\), got \(1,\)"):
        BrainAgeLoss()(torch.zeros(3, 1), torch.zeros(1))


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="weights cannot be negative"):
        BrainAgeLoss(ranking_weight=-1)
    with pytest.raises(ValueError, match="temperature_years must be positive"):
        BrainAgeLoss(temperature_years=0)
    with pytest.raises(ValueError, match="pairs is 'random' or 'all'"):
        BrainAgeLoss(pairs="some")  # type: ignore[arg-type]


class LinearSorter(nn.Module):
    """Knows three people: 1 at 60 years, falling by 1 / 30 a year."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(1 / 30))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 1 - (x - 60) * self.weight


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("form", ["module", "function", "file"])
def test_a_sorter_gives_the_ranks(form: str, tmp_path: Path) -> None:
    """60, 62 and 70: ranks 1, 14/15 and 2/3 against 2/3, 1 and 1/3."""
    sorter: object = LinearSorter()
    if form == "function":
        sorter = lambda x: 1 - (x - 60) / 30  # noqa: E731
    elif form == "file":
        torch.jit.script(LinearSorter()).save(tmp_path / "sorter.pt")
        sorter = tmp_path / "sorter.pt"
    loss = BrainAgeLoss(sorter=SorterRanks(sorter, batch_size=3))  # type: ignore[arg-type]
    pred = torch.tensor(PRED, requires_grad=True)
    ranking = loss.parts(pred, torch.tensor(AGES))[1]
    assert float(ranking.detach()) == pytest.approx((1 / 9 + 1 / 225 + 1 / 9) / 3, rel=1e-5)
    ranking.backward()
    assert pred.grad is not None
    assert pred.grad[0, 0] < 0, "too low a rank value is wanted of the first: older"
    assert not any(parameter.requires_grad for parameter in loss.parameters()), "the sorter is not trained"


def test_a_sorter_of_another_batch_size_is_named() -> None:
    loss = BrainAgeLoss(sorter=SorterRanks(LinearSorter(), batch_size=32))
    with pytest.raises(InputError, match=r"another number of people in a batch; found: a batch of 3; expected: 32"):
        loss(torch.tensor(PRED), torch.tensor(AGES))
    wrong = SorterRanks(lambda x: x[:, :2], batch_size=3)
    with pytest.raises(InputError, match=r"one rank per person; found: an output of shape \(1, 2\)"):
        BrainAgeLoss(sorter=wrong)(torch.tensor(PRED), torch.tensor(AGES))


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("content", ["nothing", "a pickled module", "text"])
def test_a_file_that_is_no_sorter_is_named(content: str, tmp_path: Path) -> None:
    path = tmp_path / "sorter.pt"
    if content == "text":
        path.write_text("not a sorter")
    elif content == "a pickled module":
        torch.save(LinearSorter(), path)
    message = "no such sorter" if content == "nothing" else "not a TorchScript file"
    with pytest.raises(InputError, match=message):
        SorterRanks(path, batch_size=3)


def test_a_recurrent_sorter_passes_its_gradient_on() -> None:
    """The published kind; it takes values as a sequence."""

    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(1, 4, batch_first=True, bidirectional=True)
            self.head = nn.Linear(8, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            ranks: torch.Tensor = self.head(self.lstm(x[..., None])[0])
            return ranks.squeeze(-1)

    torch.manual_seed(0)
    pred = torch.tensor(PRED, requires_grad=True)
    BrainAgeLoss(sorter=SorterRanks(Recurrent(), batch_size=3)).parts(pred, torch.tensor(AGES))[1].backward()
    assert pred.grad is not None
    assert bool((pred.grad != 0).all())
    assert true_ranks(pred[:, 0]).requires_grad is False

"""The mean age comes out of every form of output as (B,)."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from agezoo.errors import InputError
from agezoo.explain.age_output import AgeOutput, as_age_output, expected_age, mean_age

GAUSSIAN = torch.tensor([[61.0, 1.5], [42.0, 0.5]])


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (GAUSSIAN, [61.0, 42.0]),
        (torch.tensor([[61.0], [42.0]]), [61.0, 42.0]),
        (torch.tensor([61.0, 42.0]), [61.0, 42.0]),
        # Two members: (61 + 65) / 2 and (42 + 38) / 2.
        (torch.stack([GAUSSIAN, torch.tensor([[65.0, 1.0], [38.0, 1.0]])], dim=1), [63.0, 40.0]),
        ((GAUSSIAN, "features"), [61.0, 42.0]),
        ({"features": None, "mean": GAUSSIAN}, [61.0, 42.0]),
    ],
)
def test_known_forms(output, expected):
    assert mean_age(output).tolist() == expected


@pytest.mark.parametrize("output", [torch.zeros(2, 60), torch.zeros(2, 3, 3), {"logits": torch.zeros(2, 2)}, "age", ()])
def test_unknown_forms_say_what_to_pass(output):
    with pytest.raises(InputError, match="to_age="):
        mean_age(output)


def test_expected_age_of_logits():
    # Probabilities 1/4 and 3/4 at 40 and 80 years.
    logits = torch.log(torch.tensor([[1.0, 3.0]]))
    assert expected_age(torch.tensor([40.0, 80.0]))(logits).item() == pytest.approx(70.0)


def test_wrapping_twice_wraps_once():
    inner = nn.Linear(3, 2)
    wrapped = as_age_output(inner)
    assert as_age_output(wrapped) is wrapped
    assert isinstance(as_age_output(wrapped, lambda output: output[:, 1]).network, nn.Linear)
    assert AgeOutput(inner)(torch.zeros(4, 3)).shape == (4,)

"""The mean age comes out of every form of output as (B,)."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from agezoo.errors import InputError
from agezoo.explain.age_output import AgeOutput, as_age_output, expected_age, mean_age
from agezoo.networks.age_ensemble import AgeEnsemble

GAUSSIAN = torch.tensor([[61.0, 1.5], [42.0, 0.5]])


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (GAUSSIAN, [61.0, 42.0]),
        (torch.tensor([[61.0], [42.0]]), [61.0, 42.0]),
        (torch.tensor([61.0, 42.0]), [61.0, 42.0]),
        # Two members: (61 + 65) / 2 and (42 + 38) / 2.
        (torch.stack([GAUSSIAN, torch.tensor([[65.0, 1.0], [38.0, 1.0]])], dim=1), [63.0, 40.0]),
        # Two members that emit one age each.
        (torch.tensor([[[61.0], [65.0]], [[42.0], [38.0]]]), [63.0, 40.0]),
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


class KnowsItsAges(nn.Identity):
    """Puts out logits over 40 and 80 years; (B, 2) would be taken for a mean and a log SD without its own function."""

    def age_years(self, output: torch.Tensor) -> torch.Tensor:
        probabilities = torch.softmax(output, dim=-1)
        return (probabilities @ torch.tensor([40.0, 80.0])).reshape(len(output), -1).mean(dim=1)


def test_the_networks_own_function_comes_first_unless_another_is_given():
    logits = torch.log(torch.tensor([[1.0, 3.0]]))
    assert as_age_output(KnowsItsAges())(logits).item() == pytest.approx(70.0)
    ensemble = AgeEnsemble([KnowsItsAges(), KnowsItsAges()])
    assert as_age_output(ensemble)(logits).tolist() == pytest.approx([70.0])
    assert as_age_output(KnowsItsAges(), lambda output: output[:, 0])(logits).item() == 0
    assert as_age_output(as_age_output(KnowsItsAges()))(logits).item() == pytest.approx(70.0)

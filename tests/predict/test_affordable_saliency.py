"""Score-CAM takes shortcuts only where the exact map would take long."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from agezoo.networks.age_ensemble import AgeEnsemble
from agezoo.networks.weights_conversion import configured_network
from agezoo.predict.case_figures import affordable
from agezoo.registry import bundle_root


def ensemble(trunk_width: int, members: int) -> nn.Module:
    return AgeEnsemble(
        [configured_network(bundle_root("ct_age"), {"trunk_width": trunk_width}) for _ in range(members)]
    )


def test_small_networks_are_explained_exactly() -> None:
    assert affordable(ensemble(trunk_width=16, members=5)) == {}


@pytest.mark.parametrize(("native", "precision"), [(True, {"precision": "bfloat16"}), (False, {})])
def test_full_size_networks_try_half_of_their_256_maps(
    monkeypatch: pytest.MonkeyPatch, native: bool, precision: dict[str, str]
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native, raising=False)
    assert affordable(ensemble(trunk_width=64, members=1)) == {"max_maps": 128, **precision}

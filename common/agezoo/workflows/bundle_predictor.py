"""A bundle's preprocessing, network and age head in memory, for asking it many times about altered images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.transforms import Compose, MapTransform
from monai.utils import convert_to_tensor

from agezoo.engines.cohort_dataset import image_kind, sex_one_hot, transform_version
from agezoo.engines.prediction_writer import number
from agezoo.errors import InputError
from agezoo.networks.age_ensemble import AgeEnsemble
from agezoo.networks.weights import WeightsFile, recorded_settings
from agezoo.registry import bundle_facts, bundle_root
from agezoo.transforms.load import LoadVolumed
from agezoo.transforms.load_body import LoadBodyd
from agezoo.transforms.load_radiograph import LoadRadiographd
from agezoo.workflows.bundle_run import expression

_FIRST_STEPS: dict[str, type[MapTransform]] = {
    "volume": LoadVolumed,
    "brain": LoadVolumed,
    "radiograph": LoadRadiographd,
    "body": LoadBodyd,
}
_RESULTS = (
    "predicted_age_years",
    "expected_age_years",
    "first_stage_age_years",
    "discretised_age_years",
    "aleatoric_sd_years",
    "epistemic_sd_years",
)


class BundlePredictor:
    """What ``inference.json`` of a bundle does to one image, step by step and without files in between.

    Parameters
    ----------
    bundle
        Name of the bundle.
    weights
        The weight files, asked as an ensemble; see :func:`agezoo.networks.weights.find_weights`.
    device
        For example ``"cuda:0"``; the first GPU when there is one, otherwise the CPU.
    batch_size
        Images asked together; the number in ``inference.json`` if not given.

    Attributes
    ----------
    reader
        What one image is, see :class:`agezoo.registry.BundleFacts`.
    uses_sex
        Whether the network takes the sex beside the image.
    version
        Text that changes with the preprocessing, its settings or the package's version.

    Raises
    ------
    InputError
        If the bundle's preprocessing does not begin with reading its kind of image, or the weights do not fit.
    """

    def __init__(
        self,
        bundle: str,
        weights: Sequence[WeightsFile],
        *,
        device: str | None = None,
        batch_size: int | None = None,
    ) -> None:
        from monai.bundle import ConfigParser

        root = bundle_root(bundle)
        self.reader = bundle_facts(bundle).reader
        parser = ConfigParser()
        parser.read_config(str(Path(root) / "configs" / "inference.json"))
        parser["bundle_root"] = str(root)
        parser["weights"] = expression([str(w.path.resolve()) for w in weights])
        for name, value in recorded_settings(weights[0]).items():
            parser[name] = value
        if device is not None:
            parser["device"] = f"$torch.device({device!r})"
        preprocessing = parser.get_parsed_content("preprocessing")
        steps = list(getattr(preprocessing, "transforms", []))
        first = _FIRST_STEPS[self.reader]
        if not steps or not isinstance(steps[0], first):
            raise InputError(f"the bundle's preprocessing does not begin with {first.__name__}", source=bundle)
        self._load = steps[0]
        self._rest = Compose(steps[1:])
        self.version = transform_version(preprocessing)
        self._device = parser.get_parsed_content("device")
        self._network: torch.nn.Module = parser.get_parsed_content("network")
        self.uses_sex = takes_sex(self._network)
        self._head = parser.get_parsed_content("postprocessing")
        self.batch_size = int(parser.get_parsed_content("batch_size")) if batch_size is None else batch_size

    def read(self, image: str | Sequence[str], kind: str = "") -> dict[str, Any]:
        """Read a scan or radiograph: ``image``, ``image_facts``, ``reading_notes`` and ``sex``.

        The image is a MetaTensor: a volume (1, X, Y, Z) in LAS, a radiograph (1, rows, columns), bone bright. `kind` is
        ``"radiograph"`` or ``"vfa"``, for those who read both; empty: the header tells. The sex, as the header tells
        it, is in the form of :func:`agezoo.engines.cohort_dataset.sex_one_hot`.
        """
        item = {str(key): value for key, value in self._load({"image": image, "modality": kind}).items()}
        return {**item, "sex": sex_one_hot(str(item["image_facts"].get("sex") or ""))}

    def read_row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Read the image of a case (see :func:`agezoo.predict.find_cases`); its row's sex goes before the header's."""
        kind = image_kind(row)
        item = self.read(row["image"], kind) if kind else self.read(row["image"])
        return {**item, "sex": sex_one_hot(str(row["sex"]))} if row.get("sex") else item

    def prepare(self, item: Mapping[str, Any]) -> torch.Tensor:
        """The network's input, float32 without meta data, from a scan as :meth:`read` gives it; `item` is kept."""
        tensor: torch.Tensor = self.prepare_item(item)["image"]
        return tensor

    def prepare_item(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """What :meth:`prepare` gives as ``image``, with the facts and notes that preprocessing added."""
        prepared = self._rest({**item, "image_facts": dict(item.get("image_facts") or {})})
        return {**prepared, "image": convert_to_tensor(prepared["image"], dtype=torch.float32, track_meta=False)}

    def predict(
        self, images: Sequence[torch.Tensor], sexes: Sequence[torch.Tensor] | None = None
    ) -> list[dict[str, float | None]]:
        """What the age head says of prepared images, in years; None where one is not finite or the head has it not.

        `sexes` holds the ``sex`` of every image's item, shape (2,), for networks that take it; without, it is not
        known of any.

        Returns
        -------
        list of dict
            ``predicted_age_years``, ``expected_age_years`` (before rounding, of heads that round),
            ``first_stage_age_years`` and ``discretised_age_years`` (of cascades), ``aleatoric_sd_years`` and
            ``epistemic_sd_years``.
        """
        given = [sex_one_hot("")] * len(images) if sexes is None else list(sexes)
        results: list[dict[str, float | None]] = []
        with torch.inference_mode():
            for start in range(0, len(images), self.batch_size):
                stop = start + self.batch_size
                batch = torch.stack(list(images[start:stop])).to(self._device)
                others = [torch.stack(given[start:stop]).to(self._device)] if self.uses_sex else []
                for pred in self._network(batch, *others).cpu():
                    output = self._head({"pred": pred})
                    results.append({name: number(output.get(name)) for name in _RESULTS})
        return results


def takes_sex(network: torch.nn.Module) -> bool:
    """Whether a network, or every member of an ensemble, takes the sex as second argument."""
    members = network.members if isinstance(network, AgeEnsemble) else [network]
    return all(bool(getattr(member, "uses_sex", False)) for member in members)


def extent_mm(item: Mapping[str, Any]) -> tuple[float, float, float]:
    """Extent of a volume as :meth:`BundlePredictor.read` gives it towards left, front and head, in mm."""
    image = item["image"]
    spacing = np.linalg.norm(np.asarray(image.affine, dtype=float)[:3, :3], axis=0)
    x, y, z = (float(n * s) for n, s in zip(image.shape[1:], spacing, strict=True))
    return x, y, z

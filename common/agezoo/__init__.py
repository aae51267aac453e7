"""AgeZoo: MONAI bundles for biological age from medical images.

Importing the package is cheap. Its parts (``agezoo.data``, ``agezoo.networks``, ...) are imported when they are first
named, so that a bundle's config needs a single ``$import agezoo`` and ``agezoo --help`` loads no torch.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from agezoo.version import __version__

__all__ = ["__version__"]

_PARTS = (
    "analysis",
    "data",
    "engines",
    "errors",
    "explain",
    "losses",
    "networks",
    "phantoms",
    "predict",
    "registry",
    "transforms",
)


def __getattr__(name: str) -> ModuleType:
    if name in _PARTS:
        return import_module(f"agezoo.{name}")
    raise AttributeError(f"module 'agezoo' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_PARTS])

"""Packages that offer names from their modules without importing those modules until a name is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module


def lazy_names(package: str, modules: Mapping[str, str]) -> tuple[Callable[[str], object], list[str]]:
    """Build the ``__getattr__`` and ``__all__`` of a package.

    Parameters
    ----------
    package
        The package's ``__name__``.
    modules
        Public name -> module of the package that defines it.
    """

    def getattr_(name: str) -> object:
        if name in modules:
            return getattr(import_module(f"{package}.{modules[name]}"), name)
        try:
            return import_module(f"{package}.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"{package}.{name}":
                raise
            raise AttributeError(f"module {package!r} has no attribute {name!r}") from None

    return getattr_, sorted(modules)

"""What is chosen by name: one of those that come with the project, or ``module:Class``.

Either way a name stands for a class, imported when it is first asked for, in every process
that needs it. A class of one's own therefore has to lie in a module that all of them can import.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from envs.errors import ConfigError

T = TypeVar("T")
LABEL = re.compile(r"[a-z][a-z0-9_]*")
"""What a class may call itself (its attribute ``name``): it becomes a part of names of folders."""


@dataclass(frozen=True)
class Registry(Generic[T]):
    """Names of subclasses of one class."""

    field: str
    """What errors call the choice: ``action_model``."""
    base: type[T]
    known: Mapping[str, str]
    """Name -> ``module:Class``."""

    def __iter__(self) -> Iterator[str]:
        return iter(self.known)

    def find(self, choice: str | type[T]) -> type[T]:
        """The class that is meant.

        Args:
            choice: A registered name, ``module:Class``, or the class itself.

        Raises:
            ConfigError: There is no such class, or it is not of the right kind.
        """
        found = self._imported(choice) if isinstance(choice, str) else choice
        if not (isinstance(found, type) and issubclass(found, self.base)):
            raise ConfigError(
                self.field, str(choice), f"Derive it from {_path(self.base)}.",
                f"is no {self.base.__name__}",
            )  # fmt: skip
        return found

    def label(self, choice: str | type[T]) -> str:
        """The short name, fit for a folder: what the class calls itself.

        Raises:
            ConfigError: As :meth:`find`; or the name is not fit, or taken.
        """
        found = self.find(choice)
        label = getattr(found, "name", None)
        if not isinstance(label, str) or not LABEL.fullmatch(label):
            raise ConfigError(
                f"{self.field}: {_path(found)}.name", label,
                "Set the attribute to lower-case letters, digits and underscores.",
                "is not fit for names of folders",
            )  # fmt: skip
        if label in self.known and self.known[label] != _path(found):
            raise ConfigError(
                f"{self.field}: {_path(found)}.name", label, "Choose another name.",
                "is taken",
            )  # fmt: skip
        return label

    def written(self, choice: str | type[T]) -> str:
        """As configurations and saved models have it: the registered name, or ``module:Class``.

        Raises:
            ConfigError: As :meth:`label`; or no other process could import the class.
        """
        found, label = self.find(choice), self.label(choice)
        if label in self.known:
            return label
        path = _path(found)
        if found.__module__ == "__main__" or "<locals>" in path:
            raise ConfigError(
                self.field, path, "Move it to the top level of a module that can be imported.",
                "cannot be found by other processes",
            )  # fmt: skip
        return path

    def _imported(self, choice: str) -> object:
        module, colon, name = self.known.get(choice, choice).partition(":")
        if not colon:
            raise ConfigError(
                self.field, choice,
                f"Use one of {', '.join(self.known)}, or module:Class of your own.",
                f"is not a known {self.field.replace('_', ' ')}",
            )  # fmt: skip
        try:
            found: object = importlib.import_module(module)
            for part in name.split("."):
                found = getattr(found, part)
        except (ImportError, AttributeError, ValueError) as error:
            raise ConfigError(
                self.field, choice,
                "Write module:Class, with the module's folder on PYTHONPATH on every machine.",
                f"cannot be imported ({error})",
            ) from error  # fmt: skip
        return found


def _path(found: type) -> str:
    return f"{found.__module__}:{found.__qualname__}"

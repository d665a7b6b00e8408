"""Typed errors for everything a user can get wrong.

Every message names the field, the value that was given and the remedy, in one
paragraph. The command line prints that paragraph and exits with code 2; it
never shows a traceback for one of these.
"""

from __future__ import annotations


class DeepStockError(Exception):
    """Base of all errors that are the input's fault, not the program's.

    Args:
        field: What was wrong, as the user wrote it (an option, a column, a key).
        value: The offending value.
        remedy: What to do about it: one sentence, imperative.
        problem: Why the value is wrong. Optional: "is not valid" by default.
    """

    def __init__(
        self, field: str, value: object, remedy: str, problem: str = "is not valid"
    ) -> None:
        self.field = field
        self.value = value
        self.remedy = remedy
        self.problem = problem
        shown = value if isinstance(value, str) else repr(value)
        super().__init__(f"{field} = {shown} {problem}. {remedy}")

    def __reduce__(self) -> tuple[type[DeepStockError], tuple[object, ...]]:
        # Exceptions cross process borders (Ray): rebuild from the four arguments.
        return type(self), (self.field, self.value, self.remedy, self.problem)


class ScenarioError(DeepStockError):
    """A scenario, an order or an initial state has a wrong shape, sign or unit."""


class DataError(DeepStockError):
    """A data set breaks the data contract."""


class ConfigError(DeepStockError):
    """A configuration file, preset or option has a wrong key or value."""


class ClusterError(DeepStockError):
    """The Ray cluster cannot be started, joined or is too small for the job."""

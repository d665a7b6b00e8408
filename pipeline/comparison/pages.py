"""HTML pages from ``templates/``: each is one file that needs nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).parent / "templates"


def page(template: str, **context: Any) -> str:
    """Fills in a template; whatever it is given is escaped.

    Args:
        template: Name of a file in ``templates/``.
        **context: Its variables; one that is missing is an error, not a blank.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**context)

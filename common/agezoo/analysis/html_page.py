"""What every self-contained HTML page is made with: the template environment and embedded pictures."""

from __future__ import annotations

import base64
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def page_environment() -> Environment:
    """Environment of the templates beside this file: text is escaped, and a name that is missing is an error."""
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def data_uri(content: bytes, kind: str = "image/png") -> str:
    """A picture's bytes as a URI that a page can hold inside itself."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"

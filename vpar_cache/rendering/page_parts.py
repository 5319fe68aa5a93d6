"""What every page is made with: templates that escape, our own style and script, and the policy for both."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from vpar_cache.errors import printable

if TYPE_CHECKING:  # imported when a page is drawn, so that the tables alone do not pay for it
    from jinja2 import Template


@cache
def page_template(package: str, name: str) -> Template:
    """Return a template of a package. It escapes every text, and makes characters visible that cannot be seen."""
    from jinja2 import Environment, StrictUndefined

    def visible(value: Any) -> Any:
        return printable(value) if type(value) is str else value  # Markup, a str of ours, stays

    environment = Environment(
        autoescape=True, finalize=visible, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(read_asset(package, name))


@cache
def read_asset(package: str, name: str) -> str:
    """Return a file of a package, with the line ends of the text that the browser hashes."""
    return (resources.files(package) / name).read_text("utf-8").replace("\r\n", "\n")


def content_policy(style: str, script: str) -> str:
    """Return the content security policy of a page that runs this style and script alone and loads nothing."""
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

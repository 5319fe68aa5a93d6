"""The pages that are made from the program itself: each command from its help, the Python API from docstrings."""

from __future__ import annotations

import inspect
from typing import Any

import typer
import typer.main

import vpar_cache
import vpar_cache.errors
from vpar_cli.main import app

EXIT_STATUSES = """\
| exit status | meaning |
|---|---|
| 0 | done |
| 1 | done, but something was left out or found wrong |
| 2 | refused or failed: one line on stderr says why, and how to fix it |
| 130, 143 | interrupted by Ctrl-C or SIGTERM |
| 141 | nobody reads stdout any more |
"""


def command_pages() -> dict[str, str]:
    """Return the page of all commands, then that of each, by file name."""
    program: Any = typer.main.get_command(app)
    names = list(program.commands)
    rows = [f"| [vpar {name}](commands/{name}.md) | {_first_line(program.commands[name])} |" for name in names]
    tree = "\n".join(["```{toctree}", ":hidden:", "", *(f"commands/{name}" for name in names), "```"])
    overview = ["# Commands", "\n".join(["| command | |", "|---|---|", *rows]), EXIT_STATUSES, tree]
    pages = {"commands.md": "\n\n".join(overview) + "\n"}
    for name in names:
        pages[f"commands/{name}.md"] = _command_page(name, program.commands[name], program)
    return pages


def _first_line(command: Any) -> str:
    return str(command.help).partition("\n\n")[0]


def _command_page(name: str, command: Any, program: Any) -> str:
    context = typer.Context(command, parent=typer.Context(program, info_name="vpar"), info_name=name)
    examples = "\n".join(command.examples)
    parts = [f"# vpar {name}", command.help, f"```text\n{command.get_usage(context)}\n```"]
    parts.append(f"## Examples\n\n```sh\n{examples}\n```")
    for title, kind in (("Arguments", "argument"), ("Options", "option")):
        records = [
            record
            for parameter in command.get_params(context)
            if parameter.param_type_name == kind and (record := parameter.get_help_record(context))
        ]
        if records:
            rows = [f"| {_code(left)} | {_cell(right)} |" for left, right in records]
            parts.append("\n".join([f"## {title}", "", f"| {kind} | |", "|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


def _code(text: str) -> str:
    return f"`{text.replace('|', '/')}`"


def _cell(text: str) -> str:
    """Return help text as a cell of a Markdown table, in which nothing but `code` is markup."""
    for character in "\\|*_<>[]":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())


def api_page() -> str:
    """Return the page of what vpar_cache and vpar_cache.errors export, in reStructuredText for autodoc."""
    names = [name for name in vpar_cache.__all__ if not name.startswith("_")]
    functions = [name for name in names if inspect.isfunction(getattr(vpar_cache, name))]
    classes = [name for name in names if name not in functions]
    errors = [
        name
        for name, found in vars(vpar_cache.errors).items()
        if isinstance(found, type) and issubclass(found, Exception)
    ]
    members = (":members:", ":inherited-members:")
    parts = [
        "# Python API",
        "All that `vpar_cache` and `vpar_cache.errors` export. [From Python](docs/python.md) shows it at work.",
        "## Functions",
        *(_directive("autofunction", f"vpar_cache.{name}") for name in functions),
        "## Classes",
        *(_directive("autoclass", f"vpar_cache.{name}", *members) for name in classes),
        "## Errors",
        *(_directive("autoexception", f"vpar_cache.errors.{name}") for name in errors),
    ]
    return "\n\n".join(parts) + "\n"


def _directive(kind: str, name: str, *options: str) -> str:
    lines = [f".. {kind}:: {name}", *(f"   {option}" for option in options)]
    return "\n".join(["```{eval-rst}", *lines, "```"])

"""The pages for readers: their links, paths and command lines are those of the project."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from tests.support.layers import MAY_IMPORT, PROJECT
from vpar_cli.main import app

PAGES = [PROJECT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")]
PAGES += [
    *sorted((PROJECT / "docs").glob("*.md")),
    PROJECT / "benchmarks" / "RESULTS.md",
    PROJECT / "cache" / "README.md",
]
README_LINES = 130
OTHERS_OPTIONS = {
    *(
        "--array",
        "--cpus-per-task",
        "--dependency",
        "--gres",
        "--mem",
        "--parsable",
        "--requeue",
        "--wrap",
    ),  # Slurm
    *("--exclude", "--recursive"),  # aws
    *("--head", "--num-cpus"),  # ray
    "--logdir",  # tensorboard
}
"""Options of other programs, which the pages call."""

_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
_PATH = re.compile(r"`((?:vpar_cache|cli|tests|benchmarks|docs|cache)/[\w./-]*)`")
_COMMAND = re.compile(r"""(?:\s*|.*[\["'] ?|parallel .*)(vpar [a-z].*?)(?:["']\]?$|$| :::)""")
"""Also where another program starts it, as in docs/cluster.md: in quotes, or after `parallel`."""
_FENCE = re.compile(r"^```\w*\n(.*?)^```|((?:^    .*\n)+)", re.MULTILINE | re.DOTALL)


def command_lines() -> list[tuple[str, str]]:
    """(page, line) of every `vpar ...` line in code of the README and docs."""
    found = []
    for page in PAGES:
        for fenced, indented in _FENCE.findall(page.read_text("utf-8")):
            for line in (fenced or indented).splitlines():
                if match := _COMMAND.match(line):
                    found.append((page.name, match[1]))
    return found


def named_options() -> list[tuple[str, str, str]]:
    """(page, command, option) of every `vpar COMMAND ... --option ...` in the running text of a page."""
    found = []
    for page in PAGES:
        text = _FENCE.sub("", page.read_text("utf-8"))
        for command, rest in re.findall(r"`vpar ([a-z]+)\b([^`]*)`", text):
            found += [(page.name, command, option) for option in re.findall(r"--[a-z-]+", rest)]
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_link_leads_to_a_file(page: Path) -> None:
    targets = [t for t in _LINK.findall(page.read_text("utf-8")) if not re.match(r"[a-z]+:", t)]
    assert not [target for target in targets if not (page.parent / target).exists()]


def test_the_paths_that_contributing_names_exist() -> None:
    text = (PROJECT / "CONTRIBUTING.md").read_text("utf-8")
    assert not [path for path in _PATH.findall(text) if not (PROJECT / path).exists()]


def test_the_table_of_packages_is_that_of_the_layer_test() -> None:
    text = (PROJECT / "CONTRIBUTING.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)/` \|.*\| ?([\w, ]*) ?\|$", text, re.MULTILINE)
    assert {package: set(re.findall(r"\w+", imports)) for package, imports in rows} == MAY_IMPORT


def test_pages_show_commands() -> None:
    assert len(command_lines()) > 20


@pytest.mark.parametrize(("page", "line"), command_lines())
def test_a_command_line_is_one_of_the_program(page: str, line: str) -> None:
    """Every option exists and every value has the right type; nothing runs."""
    program: Any = typer.main.get_command(app)
    name, *arguments = shlex.split(line, comments=True)[1:]
    command = program.commands[name]
    command.make_context(name, arguments, resilient_parsing=False)


@pytest.mark.parametrize(("page", "command", "option"), named_options())
def test_an_option_beside_a_command_is_one_of_that_command(page: str, command: str, option: str) -> None:
    program: Any = typer.main.get_command(app)
    assert option in {opt for parameter in program.commands[command].params for opt in parameter.opts}


def test_every_option_that_a_page_names_exists() -> None:
    program: Any = typer.main.get_command(app)
    known = {"--help"} | {
        option for command in (program, *program.commands.values()) for p in command.params for option in p.opts
    }
    for page in [PROJECT / "README.md", *(PROJECT / "docs").glob("*.md")]:
        lines = [line for line in page.read_text("utf-8").splitlines() if "benchmarks/" not in line]
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", "\n".join(lines)))
        assert named <= known | OTHERS_OPTIONS, f"{page.name}: {sorted(named - known - OTHERS_OPTIONS)}"


def test_the_readme_is_short() -> None:
    assert len((PROJECT / "README.md").read_text("utf-8").splitlines()) <= README_LINES

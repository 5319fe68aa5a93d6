"""The program `vpar`: its commands, and the one place where errors become exit statuses."""

import os
import sys
import warnings
from itertools import pairwise
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from vpar_cache import __version__
from vpar_cache.errors import Stopped, VparError, printable

from . import console, interrupts
from .benchmark import benchmark
from .demo import demo
from .doctor import doctor
from .evaluate import evaluate
from .export import export
from .extract import extract
from .figure import figure
from .info import info
from .own_data import check, init
from .predict import predict
from .report import report
from .score import score
from .track import track
from .train import train
from .tune import tune
from .verify import verify

FAILED, INTERRUPTED = 2, 130


class Command(TyperCommand):
    """A command whose help shows flags without <bool>, and its docstring without the line breaks of the source.

    What follows `Examples:` in the docstring is a command line in each line, and ends the help.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        text, _, examples = (self.help or "").partition("Examples:\n")
        self.help = "\n\n".join(" ".join(part.split()) for part in text.strip().split("\n\n"))
        self.examples = [line.strip() for line in examples.splitlines() if line.strip()]
        self.epilog = "\n".join(["Examples:", *self.examples])

    def get_params(self, ctx: Any) -> list[Any]:
        return _without_bool(super().get_params(ctx))


class Group(TyperGroup):
    """The program itself, likewise."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _without_bool(super().get_params(ctx))


def _without_bool(parameters: list[Any]) -> list[Any]:
    for parameter in parameters:
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
    return parameters


app = typer.Typer(
    name="vpar",
    cls=Group,
    help="Video-based pedestrian attribute recognition on cached CLIP features.",
    epilog="Start with `vpar demo`. `vpar COMMAND --help` shows options and examples.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (  # in the order of use
    demo,
    doctor,
    init,
    check,
    extract,
    info,
    verify,
    train,
    tune,
    benchmark,
    report,
    evaluate,
    score,
    figure,
    track,
    predict,
    export,
):
    app.command(cls=Command)(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"vpar-cache {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Declare the options of the program itself, which `run` reads."""


def run() -> None:
    """Run the program.

    Exit status 0: done; 2: refused or failed, in one line; 130, 143: interrupted; 141: nobody reads stdout.
    """
    console.prepare()
    if os.name == "nt":
        sys.exit(_fail("vpar runs on Linux and macOS; on Windows install it in WSL (wsl --install)"))
    warnings.filterwarnings("ignore", module=r"PIL(\.|$)")  # what is wrong with a picture we say ourselves
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    interrupts.install()
    try:
        status = app([a for a in arguments if a != "--debug"], prog_name="vpar", standalone_mode=False)
        status = interrupts.exit_status() or status  # it may have come too late to stop the work
        sys.stdout.flush()  # what help and version wrote
    except console.ClosedPipe:
        status = console.CLOSED_PIPE
    except VparError as error:
        if debug:
            raise
        status = _fail(str(error))
    except MemoryError:
        status = _fail("out of memory; use a smaller --batch-size, or check the sizes of the input")
    except typer.TyperException as error:
        status = _fail_usage(error, arguments)
    except (Stopped, KeyboardInterrupt, typer.Abort):
        status = interrupts.exit_status() or INTERRUPTED
    if status in interrupts.STATUS.values():
        console.write_stderr(interrupts.last_words())
    sys.exit(status)


def _fail_usage(error: typer.TyperException, arguments: list[str]) -> int:
    """Print one of typer's own errors: an unknown option, a missing argument, text in place of a number."""
    context, parameter = getattr(error, "ctx", None), getattr(error, "param", None)
    command = context.command_path if context is not None else "vpar"
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    if isinstance(error, typer.BadParameter) and parameter is not None:
        given = [b for a, b in pairwise(arguments) if a in parameter.opts]
        message = f"{given[-1]!r}: {message}" if given else message
    return _fail(f"{message} See `{command} --help`.") if message else FAILED


def _fail(message: str) -> int:
    """Print one line."""
    console.write_stderr(f"error: {printable(' '.join(message.split()))}\n")
    return FAILED

"""The application: its commands, and what an error looks like."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from hypermnesia import __version__
from hypermnesia.cli.check import check_command
from hypermnesia.cli.compare import compare_command
from hypermnesia.cli.doctor import doctor_command
from hypermnesia.cli.explain import explain_command
from hypermnesia.cli.export import export_command
from hypermnesia.cli.figures import figures_command
from hypermnesia.cli.list import list_command
from hypermnesia.cli.report import report_command
from hypermnesia.cli.reproduce import reproduce_command
from hypermnesia.cli.resume import resume_command
from hypermnesia.cli.run import run_command
from hypermnesia.cli.signals import Noted, noting
from hypermnesia.cli.tune import tune_command
from hypermnesia.errors import HypermnesiaError, printable

app = typer.Typer(
    name="hypermnesia",
    help="""Continual learning with hypernetworks: one meta-model keeps the weights of every task.

    For example:

    hypermnesia doctor

    hypermnesia run split-digits --method hnet,finetune --seeds 0-2
    """,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("run")(run_command)
app.command("resume")(resume_command)
app.command("compare")(compare_command)
app.command("reproduce")(reproduce_command)
app.command("report")(report_command)
app.command("tune")(tune_command)
app.command("figures")(figures_command)
app.command("check")(check_command)
app.command("explain")(explain_command)
app.command("export")(export_command)
app.command("list")(list_command)
app.command("doctor")(doctor_command)

# Newer versions of typer carry their own copy of click: the same class has two homes.
_CommandLineError: Any = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)


def _show_version(wanted: bool) -> None:
    if not wanted:
        return
    typer.echo(f"hypermnesia {__version__}")
    raise typer.Exit


@app.callback()
def _options(
    show_version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Options that belong to no command."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; an error is one line on stderr and 2.

    Args:
        arguments: what was typed after the program's name; by default `sys.argv[1:]`.
    """
    logging.basicConfig(format="%(message)s", stream=sys.stderr, level=logging.WARNING)
    logging.getLogger("hypermnesia").setLevel(logging.INFO)
    noted = Noted()
    try:
        with noting(noted):
            code = _main(arguments)
    except (Exception, KeyboardInterrupt):  # a signal may come before typer listens, or after
        if noted.code is None:
            raise
        code = noted.code
    return noted.code if code and noted.code else code


def _main(arguments: Sequence[str] | None) -> int:
    try:
        code = app(arguments, prog_name="hypermnesia", standalone_mode=False)
    except HypermnesiaError as error:
        return _fail(str(error))
    except OSError as error:
        path = f": {error.filename!s:.60}" if error.filename else ""
        rule, cure = "files and folders must be usable", "choose another path"
        return _fail(f"{rule}; got {error.strerror or error}{path}; {cure}")
    except typer.Abort:
        return 130
    except _CommandLineError as error:
        message = error.format_message()  # empty where the help was shown instead
        return _fail(message) if message else 2
    return code if isinstance(code, int) else 0


def _fail(message: str) -> int:
    typer.echo("error: " + printable(" ".join(message.split())), err=True)
    return 2

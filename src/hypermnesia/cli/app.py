"""The application: its commands, one line for an error, exit codes, signals."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import Annotated, Any

import typer

from hypermnesia import __version__
from hypermnesia.cli import inspection, own_data, training
from hypermnesia.errors import HypermnesiaError, printable


class Interrupted(KeyboardInterrupt):
    """A SIGINT or SIGTERM.

    CPython ends a program started with `-m` by SIGINT when a plain KeyboardInterrupt passes through
    `exec` of a string (`run_eval_code_obj`), as dataclasses use, even if it is handled.
    """


@dataclass
class Outcome:
    """How a command ends.

    Attributes:
        code: its exit code.
        signal_code: 128 + the number of the last signal; None without any.
    """

    code: int = 0
    signal_code: int | None = None


@contextmanager
def signals_recorded(outcome: Outcome) -> Iterator[None]:
    """Raise `Interrupted` on SIGINT and SIGTERM, and record which it was; ignored ones stay so.

    In the middle of an import, code that is not ours may swallow the exception or fail in another
    way because of it. The record then says what really happened.
    """

    def interrupt(number: int, _frame: FrameType | None) -> None:
        outcome.signal_code = 128 + number
        raise Interrupted

    if threading.current_thread() is not threading.main_thread():  # may not set handlers
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    handled = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, interrupt) for number in handled}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


app = typer.Typer(
    name="hypermnesia",
    help="""Continual learning with hypernetworks: one meta-model keeps the weights of every task.

    For example:

    hypermnesia doctor

    hypermnesia run split-digits --method hnet,finetune --seeds 0-2

    hypermnesia fit data.csv --target y --out learner
    """,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for _command in (
    training.run_command,
    training.resume_command,
    training.compare_command,
    training.reproduce_command,
    own_data.fit_command,
    own_data.predict_command,
    own_data.score_command,
    own_data.tasks_command,
    inspection.report_command,
    training.tune_command,
    inspection.figures_command,
    inspection.check_command,
    inspection.explain_command,
    inspection.export_command,
    inspection.list_command,
    inspection.doctor_command,
):
    app.command(_command.__name__.removesuffix("_command"))(_command)

# Newer versions of typer carry their own copy of click: the same class has two homes.
_CommandLineError: Any = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hypermnesia {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    show_version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Options of the program itself."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; an error is one line on stderr and 2.

    Args:
        arguments: what was typed after the program's name; by default `sys.argv[1:]`.
    """
    # Threads that wait must not spin: they would take the cores from whoever shares them.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    logging.basicConfig(format="%(message)s", stream=sys.stderr, level=logging.WARNING)
    logging.getLogger("hypermnesia").setLevel(logging.INFO)
    outcome = Outcome()
    try:
        with signals_recorded(outcome), _errors_shown(outcome):
            code = _to_carry_out(sys.argv[1:] if arguments is None else arguments)()
            outcome.code = code if isinstance(code, int) else 0
    except (Exception, KeyboardInterrupt):  # a signal may come before typer listens, or after
        if outcome.signal_code is None:
            raise
        return outcome.signal_code
    return outcome.code and (outcome.signal_code or outcome.code)


def _to_carry_out(arguments: Sequence[str]) -> Callable[[], Any]:
    """Make what carries a command out, with others where torchrun has started several."""
    command = partial(app, arguments, prog_name="hypermnesia", standalone_mode=False)
    of_torchrun = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    if not all(map(os.environ.get, of_torchrun)) or os.environ["WORLD_SIZE"] == "1":
        return command
    from hypermnesia.cli.ranks import carried_out

    return partial(carried_out, command, arguments)


@contextmanager
def _errors_shown(outcome: Outcome) -> Iterator[None]:
    """Show an error that users can fix as one line; note the exit code."""
    try:
        yield
    except typer.Abort:
        outcome.code = 130
    except (HypermnesiaError, OSError, _CommandLineError) as error:
        outcome.code = 2
        if message := _message(error):
            typer.echo("error: " + printable(" ".join(message.split())), err=True)


def _message(error: Any) -> str:
    """Return the text of an error; empty where typer has shown the help instead."""
    if isinstance(error, HypermnesiaError):
        return str(error)
    if isinstance(error, OSError):
        path = f": {error.filename!s:.60}" if error.filename else ""
        found = f"{error.strerror or error}{path}"
        return f"files and folders must be usable; got {found}; choose another path"
    return str(error.format_message())

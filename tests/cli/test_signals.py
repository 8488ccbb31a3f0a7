"""SIGTERM and SIGINT to the command that a user typed."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from hypermnesia.cli import app, main
from hypermnesia.cli.app import Outcome, signals_recorded

RUN = ["run", "split-digits", "--method", "finetune", "--threads", "1"]
LONG = ["--set", "train.iterations=100000", "--set", "train.checkpoint_seconds=10000"]


def steps(folder):
    return sorted(json.loads(path.read_text())["step"] for path in folder.rglob("state.json"))


def not_in_the_background():
    """A process in the background is deaf to SIGINT, and so are its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["TERM", "INT"]
)
def test_a_signal_ends_a_run_with_its_code_and_says_how_to_go_on(tmp_path, number, code):
    command = [sys.executable, "-m", "hypermnesia", *RUN, *LONG, "--out", str(tmp_path)]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, preexec_fn=not_in_the_background
    )
    log = tmp_path / "split-digits_finetune_task/seed-0/metrics.jsonl"
    while process.poll() is None and not (log.exists() and log.stat().st_size):
        time.sleep(0.01)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert errors.splitlines()[-1].startswith("interrupted; go on with: hypermnesia resume ")
    # The beginning and, asked politely, where it was: no other checkpoint was due.
    first, *saved = steps(tmp_path)
    assert first == 0
    assert (len(saved) == 1 and saved[0] > 0) if number == signal.SIGTERM else not saved


def swallow():
    with contextlib.suppress(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)


def break_off():
    swallow()
    raise RecursionError


def interrupted():
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(("broken", "code"), [(swallow, 0), (break_off, 143), (interrupted, 143)])
def test_what_breaks_after_an_interrupt_is_the_interrupt(monkeypatch, broken, code):
    # As in the middle of an import, where code that is not ours may swallow it.
    monkeypatch.setattr(app, "app", lambda *_, **__: broken())
    assert main([]) == code


def test_an_interrupt_within_exec_keeps_its_code(tmp_path):
    # As in dataclasses of a module that is being imported. Only of a module that is run (-m) does
    # Python forget the code, for a KeyboardInterrupt as such.
    (tmp_path / "program.py").write_text(
        "import os, signal, sys\n"
        "from hypermnesia.cli import app, main\n"
        "app.app = lambda *_, **__: exec('os.kill(os.getpid(), signal.SIGTERM)')\n"
        "sys.exit(main([]))\n"
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    command = [sys.executable, "-m", "program"]
    assert subprocess.run(command, env={**os.environ, "PYTHONPATH": path}).returncode == 143


def test_what_breaks_without_an_interrupt_is_an_error(monkeypatch):
    def fail(*_, **__):
        raise RecursionError

    monkeypatch.setattr(app, "app", fail)
    with pytest.raises(RecursionError):
        main([])


def test_a_signal_that_is_ignored_stays_so():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        outcome = Outcome()
        with signals_recorded(outcome):
            os.kill(os.getpid(), signal.SIGINT)
        assert outcome.signal_code is None
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)

"""SIGTERM and SIGINT to the command that a user typed."""

import json
import signal
import subprocess
import sys
import time

import pytest

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

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from hypermnesia.experiments.launch import Job, run_jobs


@pytest.fixture
def script(monkeypatch):
    """Lets a job run the Python code that its folder's name stands for."""
    codes = {}
    monkeypatch.setattr(
        Job, "command", lambda self: [sys.executable, "-c", codes[self.folder.name], str(self.seed)]
    )
    return codes


def test_all_are_done_and_what_they_say_is_heard(script):
    script["a"] = "import sys; print('line', sys.argv[1], file=sys.stderr); print('unheard')"
    said = []
    jobs = [Job(Path("x/a"), seed) for seed in range(3)]
    assert run_jobs(jobs, 2, said.append) == {}
    assert {f"a: line {seed}" for seed in range(3)} < set(said)
    assert [line[:6] for line in said if line.startswith("[")] == ["[1/3] ", "[2/3] ", "[3/3] "]


def test_a_failure_is_told_and_does_not_stop_the_others(script):
    script["bad"] = "import sys; print('error: no room', file=sys.stderr); sys.exit(2)"
    script["killed"] = "import os; os.kill(os.getpid(), 9)"
    script["silent"] = "import sys; sys.exit(3)"
    script["good"] = ""
    said = []
    jobs = [Job(Path(name), 0) for name in ("bad", "killed", "silent", "good")]
    failures = run_jobs(jobs, 1, said.append)
    assert {job.folder.name: reason for job, reason in failures.items()} == {
        "bad": "error: no room",
        "killed": "ended by signal 9",
        "silent": "exit code 3",
    }
    assert said[-1] == "[4/4] good seed 0 finished"


def test_as_many_at_a_time_as_there_are_workers(script, tmp_path):
    script["a"] = (
        "import pathlib, sys, time\n"
        f"here = pathlib.Path({str(tmp_path)!r})\n"
        "(here / sys.argv[1]).touch()\n"
        "while len(list(here.iterdir())) < 2: time.sleep(0.01)\n"
    )
    assert run_jobs([Job(Path("a"), seed) for seed in (0, 1)], 2, lambda line: None) == {}


@pytest.fixture
def _interruptible():
    """As in a foreground process: one in the background is deaf to SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interruptible")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_every_process_and_starts_no_other(script, tmp_path, number):
    script["a"] = (
        "import os, pathlib, sys, time\n"
        f"(pathlib.Path({str(tmp_path)!r}) / sys.argv[1]).write_text(str(os.getpid()))\n"
        "time.sleep(60)\n"
    )

    def interrupt():
        while len([p for p in tmp_path.iterdir() if p.read_text()]) < 2:
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=interrupt)
    thread.start()
    before = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_jobs([Job(Path("a"), seed) for seed in range(4)], 2, lambda line: None)
    thread.join()
    assert time.monotonic() - before < 30
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1"]
    for path in tmp_path.iterdir():
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.read_text()), 0)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_job_is_a_command_that_there_is():
    command = Job(Path("nowhere"), 3).command()
    assert command[-4:] == ["--seeds", "3", "--threads", "1"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "nowhere without one" in done.stderr

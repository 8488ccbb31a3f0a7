"""Every command's help shows an example that runs as it stands."""

import pytest

from commands import GROUP, dry_run, parse, words
from hypermnesia.cli import main

COMMANDS = [[], *([name] for name in GROUP.commands)]


def examples(command, capsys, monkeypatch):
    """The examples in the help of a command, on a terminal as narrow as they come."""
    monkeypatch.setenv("COLUMNS", "80")
    assert main([*command, "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    found = [words(line) for line in lines]
    written = (GROUP.commands[command[0]] if command else GROUP).help
    # A line that does not fit would be folded, and of no use to copy.
    assert sum(words(line) is not None for line in written.splitlines()) == len(
        [each for each in found if each is not None]
    )
    assert all(line.strip() in written for line in lines if words(line) is not None)
    return [each for each in found if each is not None]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command) or "top")
def test_the_help_has_an_example_of_its_command(command, capsys, monkeypatch):
    found = examples(command, capsys, monkeypatch)
    assert found
    for arguments in found:
        parse(arguments)
        assert arguments[: len(command)] == command


@pytest.mark.parametrize(
    "command", ["run", "resume", "compare", "reproduce", "tune", "explain", "list", "doctor"]
)
def test_an_example_gets_as_far_as_its_training(command, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for arguments in examples([command], capsys, monkeypatch):
        assert dry_run(arguments, monkeypatch) == 0, capsys.readouterr().err


def test_the_examples_on_digits_train(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    short = ["--set", "train.iterations=2", "--set", "data.tasks=2"]
    for command, more in (("run", short), ("resume", []), ("tune", short)):
        for arguments in examples([command], capsys, monkeypatch):
            if any("split-digits" in argument for argument in arguments):
                assert main([*arguments, *more]) == 0, capsys.readouterr().err
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {
        "split-digits_hnet_task",
        "split-digits_finetune_task",
        "strong",
        "tune",
    }

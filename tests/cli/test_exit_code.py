"""The ways to start the command hand its exit code on."""

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from hypermnesia.cli import main


@pytest.mark.parametrize(("arguments", "code"), [(["list", "metods"], 2), (["--version"], 0)])
def test_python_m_ends_with_the_code_of_the_command(arguments, code):
    done = subprocess.run([sys.executable, "-m", "hypermnesia", *arguments], capture_output=True)
    assert done.returncode == code


def test_the_console_script_calls_main_whose_code_it_exits_with():
    (script,) = entry_points(group="console_scripts", name="hypermnesia")
    assert script.load() is main  # the installed script is `sys.exit(main())`
    assert main(["list", "metods"]) == 2

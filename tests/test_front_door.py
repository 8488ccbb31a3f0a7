"""What `import hypermnesia` shows and loads."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import hypermnesia

MOST_MODULES = 60  # 41 before the learner told drift, calibrated, served, adapted, took pytrees
HEAVY = {"typer", "rich", "jinja2", "matplotlib", "pooch", "sklearn"}


def imported(code: str) -> list[str]:
    """Names of the modules that a fresh process imports."""
    home = str(Path(hypermnesia.__file__).parents[1])
    command = [
        sys.executable,
        "-X",
        "importtime",
        "-c",
        f"import sys; sys.path[:0] = [{home!r}]\n{code}",
    ]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    return [line.rsplit("|", 1)[1].strip() for line in told.splitlines() if "|" in line]


def test_the_learner_loads_little() -> None:
    names = imported("from hypermnesia import ContinualLearner")
    ours = {name for name in names if re.match(r"hypermnesia(\.|$)", name)}
    assert "hypermnesia.learner.learner" in ours
    assert len(ours) <= MOST_MODULES, sorted(ours)
    assert not {name.partition(".")[0] for name in names} & HEAVY


def test_the_package_alone_loads_nothing_else() -> None:
    assert [name for name in imported("import hypermnesia") if "hypermnesia" in name] == [
        "hypermnesia"
    ]


def test_the_estimators_alone_load_scikit_learn() -> None:
    names = imported("import hypermnesia\nfrom hypermnesia import ContinualLearner")
    assert "hypermnesia.learner.estimators" not in names
    assert "sklearn" in imported("from hypermnesia import ContinualClassifier")


def test_it_shows_what_users_build_with_and_nothing_else() -> None:
    assert dir(hypermnesia) == sorted(hypermnesia.__all__)
    for name in hypermnesia.__all__:
        assert getattr(hypermnesia, name) is not None
    for name in ("learner", "training", "annotations"):
        assert name not in dir(hypermnesia)


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'ContinualLearners'"):
        _ = hypermnesia.ContinualLearners

import pytest

from hypermnesia.experiments import doctor as module
from hypermnesia.experiments.doctor import Readiness, extras

REQUIRES = [
    "torch>=2",
    "plots>=3; extra == 'web'",
    "server==1.2; python_version >= '3' and extra == 'web'",
    "old; python_version < '3' and extra == 'web'",
    "hypermnesia[web]; extra == 'dev'",
    "checker; extra == 'dev'",
]


@pytest.fixture
def installed(monkeypatch):
    """Packages by version, where the distribution requires `REQUIRES`."""
    versions = {"torch": "2", "plots": "3.1", "server": "1.2", "checker": "0.1"}

    def version(name):
        if name not in versions:
            raise module.metadata.PackageNotFoundError(name)
        return versions[name]

    class Metadata:
        def get_all(self, field):
            return {"Provides-Extra": ["web", "dev"]}[field]

    monkeypatch.setattr(module.metadata, "metadata", lambda name: Metadata())
    monkeypatch.setattr(module.metadata, "requires", lambda name: REQUIRES)
    monkeypatch.setattr(module.metadata, "version", version)
    return versions


@pytest.mark.usefixtures("installed")
def test_what_is_installed_is_not_missing():
    assert extras() == [Readiness("dev", ()), Readiness("web", ())]


def test_what_is_not_there_or_too_old_is_missing_from_all_sets_that_need_it(installed):
    del installed["server"]
    installed["plots"] = "2.9"
    assert extras() == [
        Readiness("dev", ("plots>=3", "server==1.2")),
        Readiness("web", ("plots>=3", "server==1.2")),
    ]

import pytest

from hypermnesia.errors import ConfigError, RunError
from hypermnesia.report.page import check_output, write_page


def test_a_page_is_replaced_only_when_told(tmp_path):
    page = tmp_path / "new" / "report.html"
    check_output(page, overwrite=False)
    write_page(page, "first ✓")
    with pytest.raises(RunError, match=r"report\.html, which exists; .*--overwrite"):
        check_output(page, overwrite=False)
    check_output(page, overwrite=True)
    write_page(page, "second")
    assert page.read_text() == "second"


def test_a_folder_is_never_replaced(tmp_path):
    folder = tmp_path / "a.html"
    folder.mkdir()
    with pytest.raises(RunError, match="which exists"):
        check_output(folder, overwrite=True)


@pytest.mark.parametrize("name", ["config.yaml", "report", "weights.safetensors"])
def test_a_slip_costs_no_results(tmp_path, name):
    (tmp_path / name).write_text("dear")
    with pytest.raises(ConfigError, match=r"called \.html"):
        check_output(tmp_path / name, overwrite=True)


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="writable"):
        write_page(tmp_path / "file" / "report.html", "")

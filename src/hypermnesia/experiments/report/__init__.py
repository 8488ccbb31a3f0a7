"""Runs as one HTML page that needs nothing but itself."""

from hypermnesia.experiments.report.collect import collect
from hypermnesia.experiments.report.page import html_page
from hypermnesia.experiments.report.place import check_place, write_page

__all__ = ["check_place", "collect", "html_page", "write_page"]

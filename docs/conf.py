"""Configuration of the documentation; built by `sphinx-build -W docs build/docs`."""

import doctest
import sys
from pathlib import Path

from hypermnesia import __version__

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "Hypermnesia"
author = project_copyright = "the Hypermnesia authors"
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "plain_docstrings",
    "api_pages",
    "command_help",
    "diagrams",
    "floors",
    "gallery_pages",
    "kinds",
    "method_pages",
    "typeset",
]
exclude_patterns = ["_ext"]
source_suffix = {".md": "markdown"}

html_theme = "furo"
html_title = f"Hypermnesia {version}"
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["narrow.css"]

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_dmath_double_inline = False

default_role = "code"  # a docstring's `name` is code
# What an error says in an example is what it says.
doctest_default_flags = doctest.ELLIPSIS | doctest.DONT_ACCEPT_TRUE_FOR_1

# scikit-learn makes these of an estimator's signatures, with links into its own documents.
_ROUTING = [
    f"set_{name}_request" for name in ("fit", "partial_fit", "predict", "predict_proba", "score")
]
autodoc_default_options = {
    "members": True,
    "show-inheritance": True,
    "exclude-members": ",".join(_ROUTING),
}
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True


_PAGES = {
    "(../benchmarks/README.md)": "(benchmarks.md)",
    "(benchmarks/README.md)": "(benchmarks.md)",
    "(examples/README.md)": "(gallery/index.md)",
    "[contributing](CONTRIBUTING.md)": "`CONTRIBUTING.md`",
    "[results/](results)": "`docs/results/`",
}


def setup(app):
    """Let links between files of the repository lead to the pages made of them, or nowhere."""
    app.connect("source-read", _to_pages)
    app.connect("include-read", _to_pages)


def _to_pages(app, *where_and_source):
    source = where_and_source[-1]
    for file, page in _PAGES.items():
        source[0] = source[0].replace(file, page)

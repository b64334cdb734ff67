"""The site: `make docs` runs the tutorials, reads the guide and the docstrings, and writes HTML.

The tag `quick` (`make docs QUICK=1`) runs no tutorial and takes its pictures from figures/.
"""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import stn_ref  # noqa: E402
from docs.ext.sources import scripts_of  # noqa: E402

project = "stn_ref"
author = "the stn_ref authors"
version = release = stn_ref.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
    "myst_parser",
    "numpydoc",
    "docs.ext.house",
    "docs.ext.mathml",
    "docs.ext.pages",
    "docs.ext.sources",
]
exclude_patterns = ["_build", "section3_*.md"]
add_module_names = False
smartquotes = False  # H' is no quotation
nitpicky = True
nitpick_ignore_regex = [("py:obj", r"(?!stn_ref\.).*")]  # a docstring's own arguments, Python's

html_theme = "furo"
html_title = f"stn_ref {release}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_domain_indices = False
html_show_search_summary = False  # is fetched, which a browser refuses a page from a file

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

autosummary_generate = False
autodoc_typehints = "none"
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": str(scripts_of(HERE)),
    "gallery_dirs": "tutorials",
    "filename_pattern": "",
    "plot_gallery": not tags.has("quick"),  # noqa: F821, Sphinx defines it
    "reset_argv": "docs.ext.sources.argv",
    "within_subsection_order": "FileNameSortKey",
    "image_scrapers": (),
    "capture_repr": (),
    "remove_config_comments": True,
    "download_all_examples": False,
    "show_memory": False,
    "write_computation_times": False,
    "min_reported_time": 1,
    "abort_on_example_error": True,
    "show_signature": False,
    "doc_module": ("stn_ref",),
}

"""How the site is built: ``make docs``, from the repository alone.

Sphinx with the theme of PyData, as PyTorch's own documentation: the docstrings are reStructuredText with the
sections of Google's style, which napoleon reads, and Sphinx checks every link. Material for MkDocs is in
maintenance mode until it ends in November 2026, and MkDocs 1 is no longer maintained.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS.parent / "src"), str(DOCS / "_ext")]

import lphm

project = "lphm"
author = "the lphm authors"
version = release = lphm.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
    "commands",
    "docstrings",
    "mathml",
    "members",
]
root_doc = "index"
exclude_patterns = ["_*"]
templates_path = ["_templates"]
smartquotes = False  # it makes a dash of --

# Every name that a page links to must be known. Those of other packages are not: that takes the network.
nitpicky = True
# Of this package, these stand in signatures and have no page.
UNDOCUMENTED = r"lphm\.(errors\.Fix|learn\.run\.Run|estimators\.modules\.\w+)"
nitpick_ignore_regex = [("py:.*", rf"(?!lphm\.).*|{UNDOCUMENTED}")]

autodoc_member_order = "bysource"
maximum_signature_line_length = 80
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_custom_sections = ["Shape", "Reference"]

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 4

# The tutorials are run while the site is built, so that their output and pictures are those of this version.
# A script that fails, also in one of its assertions, fails the build.
sphinx_gallery_conf = {
    "examples_dirs": ["../tutorials"],
    "gallery_dirs": ["tutorials"],
    "filename_pattern": r"/plot_",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "image_scrapers": ["figures.scrape"],
    "reset_modules": ["figures.reset"],
    "doc_module": ("lphm",),
    "prefer_full_module": {r"lphm\.\w+"},
    "capture_repr": (),  # tutorials print what is shown
    "remove_config_comments": True,
    "show_signature": False,
    "min_reported_time": 1000,  # how long it took says little: CI shares its processors
    "write_computation_times": False,
    "download_all_examples": False,
}

html_theme = "pydata_sphinx_theme"
html_title = "lphm"
html_favicon = "_static/icon.svg"
html_context = {"default_mode": "auto"}  # dark where the system is
FONTS = Path(find_spec("ziamath").origin).parent / "fonts"  # STIX Two Math, which site.css names
html_static_path = ["_static", str(FONTS)]
html_css_files = ["site.css"]
html_show_sourcelink = html_copy_source = False
html_use_index = html_domain_indices = False  # the search finds more, and fits on a phone
html_theme_options = {
    "logo": {"text": "lphm"},
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "show_toc_level": 2,
    "show_prev_next": False,
    "navbar_end": ["version-switcher", "theme-switcher"],
    "switcher": {"json_url": "_static/switcher.json", "version_match": version},
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
}

"""Settings of Sphinx for the documentation site, which `make docs` builds into build/site."""

from __future__ import annotations

import os

os.environ.setdefault("LC_ALL", "C.UTF-8")

project = "Clarion"
author = "the Clarion authors"
extensions = ["myst_parser", "sphinx_copybutton"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["drawing"]

html_theme = "furo"
html_title = "Clarion"
html_copy_source = False
html_show_sphinx = False

myst_heading_anchors = 4
myst_number_code_blocks: list[str] = []
nitpicky = True

# The button copies commands without their prompt and without their output.
copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True

"""What is written before Sphinx reads: the gallery's scripts, section 3, the reference."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from docs.ext import page, percent, reference
from docs.ext.percent import ROOT


def scripts_of(source: Path) -> Path:
    """Where the tutorials lie as Sphinx-Gallery reads them; they run there, too."""
    return source / "_build" / "scripts"


def argv(gallery_conf: Any, script_vars: Any) -> list[str]:
    """A tutorial's arguments: where to put its pictures."""
    return [percent.FIGURES]


def _before(app: Sphinx) -> None:
    source = Path(app.srcdir)
    scripts = scripts_of(source)
    figures = scripts / percent.FIGURES
    figures.mkdir(parents=True, exist_ok=True)
    (scripts / "GALLERY_HEADER.rst").write_text("Tutorials\n=========\n")
    for tutorial in sorted((ROOT / "tutorials").glob("*.py")):
        shown = figures.relative_to(source).as_posix()
        (scripts / tutorial.name).write_text(percent.gallery_script(tutorial, shown))
    if app.tags.has("quick"):
        for picture in (ROOT / "figures").glob("*.[pg]??"):
            shutil.copy(picture, figures)
    written = page.pages() | reference.pages()
    for path, text in written.items():
        (source / path).parent.mkdir(exist_ok=True)
        (source / path).write_text(text)


def _after(app: Sphinx) -> None:
    """Our cards for Sphinx-Gallery's, and the downloads: each tutorial as it is, and a notebook."""
    shown = (scripts_of(Path(app.srcdir)) / percent.FIGURES).relative_to(app.srcdir).as_posix()
    (Path(app.srcdir) / "tutorials" / "index.rst").write_text(percent.gallery(shown))
    for tutorial in sorted((ROOT / "tutorials").glob("*.py")):
        page = Path(app.srcdir) / "tutorials" / tutorial.name
        files = {page: tutorial.read_text(), page.with_suffix(".ipynb"): percent.notebook(tutorial)}
        with zipfile.ZipFile(page.with_suffix(".zip"), "w") as both:
            for path, text in files.items():
                path.write_text(text)
                both.writestr(path.name, text)


def _language(app: Sphinx, name: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """Section 3 in Arabic says that it is, to whoever reads it aloud."""
    if name == "section3/ar":
        context["body"] = f'<div lang="ar">{context["body"]}</div>'


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("html-page-context", _language)
    app.connect("builder-inited", _before, priority=100)  # Sphinx-Gallery's is 500
    app.connect("builder-inited", _after, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

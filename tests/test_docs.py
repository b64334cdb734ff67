"""The site says what the guide, the tutorials and the docstrings say, and its links lead there."""

import ast
import doctest
import inspect
import json
import re
from collections import Counter
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote, urldefrag

import numpy as np
import pytest

import stn_ref
from docs.ext import page as section3
from docs.ext import pages, percent, reference, tex
from docs.ext.docstrings import as_numpydoc

ROOT = Path(__file__).parents[1]
SITE = ROOT / "docs" / "_build" / "html"
TUTORIALS = sorted((ROOT / "tutorials").glob("*.py"))
tutorials = pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)


@pytest.mark.parametrize(
    ("markdown", "rst"),
    [
        ("# A *title*", "A *title*\n========="),
        ("`a_b` of $x_i$, |t|", r"``a_b`` of :math:`x_i`, \|t\|"),
        ("$n$th, a`b`", r":math:`n`\ th, a\ ``b``"),
        ("**$x$, a $y$ b.**", r":math:`x`\ **, a** :math:`y` **b.**"),
        ("[a_b](https://x.org/c_d)", r"`a\_b <https://x.org/c_d>`__"),
        ("[see](02_more.py)", ":doc:`see <02_more>`"),
        ("so\n$$\nx = y\n$$\nand", "so\n\n.. math::\n\n   x = y\n\nand"),
        ("so\n$$x$$", "so\n\n.. math::\n\n   x"),
        ("two:\n* a\n  b\n* c", "two:\n\n* a\n  b\n\n* c"),
        ("```sh\nmake\n\n```\nit", ".. code-block:: sh\n\n   make\n\n\nit"),
        ("| a | b |\n|--|--|\n| 1 | `2` |", "   * - a\n     - b\n   * - 1\n     - ``2``"),
        ("![a _b_](c.png)", ".. image:: c.png\n   :alt: a _b_"),
        ('![a](b.png "the $c$")', ".. figure:: b.png\n   :alt: a\n\n   the :math:`c`"),
    ],
)
def test_markdown_becomes_restructuredtext(markdown, rst):
    assert percent.rst(markdown).endswith(rst)


@tutorials
def test_a_page_of_the_gallery_runs_the_tutorials_code_and_shows_its_pictures_after_it(path):
    script = path.read_text()
    page = percent.gallery_script(path, "pictures")
    title, file, *body = ast.parse(page).body  # the first text, in a docstring, then code
    assert ast.unparse(file) == f"__file__ = {str(path)!r}"
    assert ast.unparse(body) == ast.unparse(ast.parse(script))
    assert script.startswith(f"# %% [markdown]\n# # {title.value.value.splitlines()[1]}\n")
    assert page.count("<details>") == page.count("</details>") == 3
    at = [page.index(f"# .. image:: /pictures/{name}\n") for name in percent.PICTURE.findall(page)]
    assert at and at == sorted(at)
    for name, shown in zip(percent.PICTURE.findall(page), at, strict=True):
        assert page.index(f'out / "{name}"') < shown


@tutorials
def test_a_notebook_has_the_tutorials_own_markdown_and_shows_what_its_code_writes(path):
    script = path.read_text()
    book = json.loads(percent.notebook(path))
    assert (book["nbformat"], book["metadata"]["kernelspec"]["name"]) == (4, "python3")
    prose = [cell["source"] for cell in book["cells"] if cell["cell_type"] == "markdown"]
    code = [cell["source"] for cell in book["cells"] if cell["cell_type"] == "code"]
    folded = re.compile(r"<details><summary>Solution</summary>\n\n(.*)\n\n</details>", re.DOTALL)
    assert sum(bool(folded.fullmatch(text)) for text in prose) == script.count("solution\n") == 3
    prose = [folded.sub(r"\1", text) for text in prose]
    assert prose == [cell.text for cell in percent.cells(script) if cell.is_prose]
    written = "\n".join(f"# {line}".rstrip() for text in prose for line in text.splitlines())
    assert written in re.sub("^[^#].*\n|^# %%.*\n|^\n", "", script, flags=re.MULTILINE)
    names = [name for cell in percent.cells(script) for name in cell.pictures]
    assert "sys.argv[1:]" in code[0]
    assert re.findall(r'display\(Image\("figures/(.*)"\)\)', "\n".join(code)) == names
    compile("\n".join(code), path.name, "exec")


def test_a_docstring_by_hand():
    text = """Turn U by |θ|.                                     Eq. 1

        V = A_θ U

    `sample` is not `U[0]`.

    U, V   (B, *size())  maps
    angle  θ, radians, as
           in `transform`
    The rest is alike.
    Returns V, in U's
    dtype.
    Raises ValueError if not.

    >>> 1 + 1
    2
    """
    expected = r"""Turn U by \|θ\|. (Eq. 1)

.. math::

   V = A_{\theta }\, U

:py:obj:`sample` is not ``U[0]``.


Parameters
----------
U, V : (B, \*size())
    maps
angle
    θ, radians, as
    in :py:obj:`transform`

Returns
-------
V, in U's dtype.

Raises
------
ValueError if not.

Notes
-----
The rest is alike.


Examples
--------
>>> 1 + 1
2
"""
    assert "\n".join(as_numpydoc(inspect.cleandoc(text).splitlines())) == expected


@pytest.mark.parametrize("name", reference.MODULES)
def test_no_word_of_a_docstring_is_lost(name, monkeypatch):
    monkeypatch.setattr(tex, "block", lambda lines: None)  # of equations see below
    module = import_module(name)
    values = [module, *(getattr(module, word) for word in reference.public(name))]
    for text in filter(None, map(inspect.getdoc, values)):
        found = "\n".join(as_numpydoc(text.splitlines())).replace(":py:obj:", "")
        words = [Counter(re.findall(r"\w+", part.replace("\\", ""))) for part in (text, found)]
        assert not words[0] - words[1] - Counter(["Returns", "Raises"] * 9), text


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        ("x = c̃ x^s + c", r"x = \tilde{c}\, x^{s} + c"),
        (
            "V_i^c = Σ_n U_nm k′(x_i − m; Φ)",
            r"V_{i}^{c} = \sum _{n} U_{nm}\, k^{\prime }(x_{i} - m; \Phi )",
        ),
        (
            "∂L/∂A_θ − ∂²V/∂x∂y",
            r"\frac{\partial L}{\partial A_{\theta }}"
            r" - \frac{\partial ^{2}V}{\partial x\partial y}",
        ),
        ("a = (j − c)/c", "a = (j - c)/c"),
        ("\u1e8b_i^s k′ k", r"\dot{x}_{i}^{s}\, k^{\prime }\, k"),
        ("∂k(x)/∂Φ_x", r"\frac{\partial k(x)}{\partial \Phi _{x}}"),
        ("∂L/∂x^s / w", r"\frac{\partial L}{\partial x^{s}} / w"),
        (
            "θ = f_loc(U),   V = sample(U)",
            r"\theta  = f_{\mathrm{loc}}(U), \quad V = \mathrm{sample}(U)",
        ),
        ("w ← m̂/√v̂", r"w \leftarrow  \hat{m}/\sqrt {\hat{v}}"),
        ("h_{l−1}^T = Xᵀ dy", r"h_{l-1}^{T} = X^{T}\, dy"),
        ("a = (Eq. 6) U̇", r"a = \text{(Eq. 6)}\, \dot{U}"),
    ],
)
def test_an_equation_becomes_tex(text, formula):
    assert tex.formula(text) == formula


def test_equations_below_one_another_are_aligned_and_rows_in_brackets_are_a_matrix():
    two = tex.block(["V  = a                  Eq. 3", "   + b", "dx = c,   y = d"])
    assert two.split(" \\\\\n") == [
        r"\begin{aligned} V &= a \quad \text{(Eq. 3)}",
        "& + b",
        r"dx &= c, \quad y = d \end{aligned}",
    ]
    matrix = tex.block(["A = [ s  0 ]", "    [ 0  s ]    Eq. 2"])
    assert matrix == r"A = \begin{bmatrix} s & 0 \\ 0 & s \end{bmatrix} \quad \text{(Eq. 2)}"


def test_what_has_a_number_and_cannot_be_read_stops_the_build_and_other_text_stays():
    assert tex.block(["check(sampler, like=torch)"]) is None
    assert tex.block(["just words"]) is None
    with pytest.raises(ValueError, match="word that no equation has: convolve"):
        tex.block(["V = convolve(U)    Eq. 3"])
    with pytest.raises(ValueError, match="not an equation"):
        tex.block(["V = U ⊗ k    Eq. 3"])


def test_the_reference_has_a_page_for_every_module_that_is_not_hidden():
    files = {path.relative_to(ROOT) for path in (ROOT / "stn_ref").rglob("*.py")}
    names = {".".join(file.with_suffix("").parts).removesuffix(".__init__") for file in files}
    hidden = {name for name in names if reference.HIDDEN.fullmatch(name.removeprefix("stn_ref."))}
    assert Counter(reference.MODULES) == Counter(names - hidden)


def test_what_makes_a_directory_when_it_is_imported_has_no_page():
    assert not {"stn_ref.plots.output", "stn_ref.__main__"} & set(reference.MODULES)


@pytest.mark.parametrize("package", ["", ".equations", ".nn", ".data", ".oracle", ".backends"])
def test_every_public_name_is_in_the_reference(package):
    package = f"stn_ref{package}"
    listed = {
        id(getattr(import_module(name), word))
        for name in reference.MODULES
        if name not in reference.ELSEWHERE
        for word in reference.public(name)
    }
    names = getattr(import_module(package), "__all__", ["get", "BACKENDS"])
    assert [n for n in names if id(getattr(import_module(package), n)) not in listed] == []


@pytest.mark.parametrize(
    ("link", "page"),
    [
        ("../../tutorials/02_a_b.py", "/tutorials/02_a_b.rst"),
        ("../../tutorials/README.md", "/tutorials/index.rst"),
        ("../../stn_ref/paper.py", "/section3/index.rst"),
        ("../../CHANGELOG.md#top", "/changelog.md#top"),
        ("speed.md", "speed.md"),
        ("../../figures/a.png", "../../figures/a.png"),
    ],
)
def test_a_link_to_a_file_becomes_one_to_its_page(link, page):
    here = ROOT / "docs" / "guide"
    assert pages.followed(f"![a]({link})", here, here) == f"![a]({page})"
    code = f"```text\n[a]({link})\n```"
    assert pages.followed(code, here, here) == code


def test_a_page_that_includes_another_has_its_text_and_links_from_its_own_place():
    page, readme = pages.page("index"), (ROOT / "README.md").read_text()
    assert readme.splitlines()[0] == page.splitlines()[0] and "{include}" not in page
    assert "](guide/quick-start.md)" in page and "](../figures/training.gif)" in page
    assert "](/tutorials/index.rst)" in page


def test_the_equation_index_leads_to_functions_tests_and_tutorials():
    rows = [row for row in pages.page(pages.INDEX).splitlines() if row.startswith("| ")][1:]
    assert len(rows) > 40
    for row in rows:
        _, _, function, test, figure = re.split(r"(?<!\\)\|", row)[1:-1]
        module, name = re.search(r"<stn_ref\.equations\.(\w+)\.(\w+)>`", function).groups()
        assert f'href="../_modules/stn_ref/equations/{module}.html#{name}"' in function
        assert re.fullmatch(r" \[[\w ]+\]\(../../tests/test_\w+\.py\) ", test), test
        assert re.fullmatch(r" \[[\w ]+\]\(/tutorials/\w+\.rst\) ", figure)


def test_the_tutorials_have_cards_in_order_each_with_a_picture_and_a_sentence():
    page = percent.gallery("pictures")
    for k, path in enumerate(TUTORIALS, 1):
        title = path.read_text().splitlines()[1].removeprefix("# # ")
        assert f"   {k}. {title} <{path.stem}>\n" in page
        assert f"**{k}** :doc:`{title} <{path.stem}>`: " in page
    assert page.count(".. container:: card\n") == page.count(".. image:: ") == len(TUTORIALS)
    assert len(re.findall(r":alt: \w+ \w+", page)) == len(TUTORIALS)


class Links(HTMLParser):
    """What a page points to, and the places in it that can be pointed to."""

    def __init__(self, page):
        super().__init__()
        self.targets, self.ids, self.alts = [], set(), []
        self.feed(page.read_text())

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "id":
                self.ids.add(value)
            elif name in ("href", "src"):
                self.targets.append(value)
            elif (tag, name) == ("img", "alt"):
                self.alts.append(value)


@pytest.mark.skipif(not SITE.exists(), reason="`make docs` has not built the site")
def test_every_link_and_picture_of_the_site_resolves():
    pages = {page: Links(page) for page in SITE.rglob("*.html")}
    assert len(pages) > len(TUTORIALS) + len(reference.MODULES)
    for page, links in pages.items():
        for target in links.targets:
            path, place = urldefrag(unquote(re.sub(r"\?v=\w+$", "", target)))
            if path.startswith(("http://", "https://", "data:", "mailto:")):
                continue
            found = (page.parent / path).resolve() if path else page
            found = found / "index.html" if found.is_dir() else found
            assert found.exists(), f"{page.relative_to(SITE)}: {target}"
            if place and found in pages:
                assert place in pages[found].ids, f"{page.relative_to(SITE)}: {target}"


@pytest.mark.skipif(not SITE.exists(), reason="`make docs` has not built the site")
def test_every_picture_of_the_site_says_in_words_what_it_shows():
    for page in SITE.rglob("*.html"):
        links = Links(page)
        assert len(links.alts) == page.read_text().count("<img ")
        assert all(" " in alt and len(alt) > 15 for alt in links.alts), page


@pytest.mark.skipif(not SITE.exists(), reason="`make docs` has not built the site")
def test_every_function_of_the_reference_has_its_source():
    for page in (SITE / "api").glob("*.html"):
        functions = re.findall(
            r'<dl class="py function">\n<dt.*?</dt>', page.read_text(), re.DOTALL
        )
        assert all('<a class="reference internal" href="../_modules/' in f for f in functions), page
    index = (SITE / "guide" / "equation-index.html").read_text()
    assert index.count('">source</a>') == index.count("<tr") - 1 > 40


EXAMPLES = [path for path in (ROOT / "stn_ref").rglob("*.py") if ">>> " in path.read_text()]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_in_the_docstrings_do_as_they_say(path):
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    given = {"np": np, "stn_ref": stn_ref}
    ran = doctest.testmod(import_module(name), extraglobs=given)
    assert ran.attempted and not ran.failed


def shape(words):
    """The keys of a dictionary of texts, and of the dictionaries in it."""
    return {key: isinstance(text, str) or shape(text) for key, text in words.items()}


def test_what_the_print_leaves_open_is_settled_by_tests_that_there_are():
    for file, name in re.findall(r"`(test_\w+\.py)::(test_\w+)`", section3.ADDED.read_text()):
        assert f"def {name}(" in (ROOT / "tests" / file).read_text()


def test_section_3_is_the_same_in_both_languages_but_for_what_is_said():
    english, arabic = section3.pages().values()
    functions = re.findall(r"^def \w+\(.*\):$", section3.PAGE.read_text(), re.MULTILINE)
    ids = [*section3.ANCHORS[:12], "eq-5", *section3.ANCHORS[12:]]
    assert [i for i in ids if i.startswith("eq")] == [f"eq-{n}" for n in range(1, 8)]
    for page in (english, arabic):
        assert len(functions) > 25 and all(page.count(head) == 1 for head in functions)
        assert re.findall(r'<span id="([\w-]+)">', page) == ids
        assert page.count(".. container:: said") == page.count(".. container:: done") == 16
    assert re.findall(r'href="index.html#([\w-]+)"', arabic) == list(section3.ANCHORS)
    assert re.findall(r'href="ar.html#([\w-]+)"', english) == list(section3.ANCHORS)
    for kind in (".. math::", ".. code-block::", ".. container:: in-print"):
        assert english.count(kind) == arabic.count(kind) >= 12
    for shown in (r":: \S*figures/(\S+)$", r"(test_\w+\.py::test_\w+)"):  # pictures, tests
        both = [re.findall(shown, page, re.MULTILINE) for page in (english, arabic)]
        assert both[0] == both[1] and len(both[0]) >= 15
    words = json.loads(section3.WORDS.read_text())
    assert shape(words["en"]) == shape(words["ar"])
    _, settled = section3.parts("def f(x):\n    return x\n\nsettle(f)\n")
    assert settled == "settle(f)"


def test_every_arabic_term_of_the_glossary_is_one_that_the_page_uses():
    """Or is another form of it: what stands between the article and an ending is enough."""
    rows = re.findall(
        r"^\| .*\| ([\u0600-\u06ff ]+) \|$",
        (ROOT / "docs" / "guide" / "glossary.md").read_text(),
        re.MULTILINE,
    )
    assert rows.pop(0) == "العربية" and len(rows) == 15
    text = re.sub(r"[\u064b-\u0652]", "", section3.ARABIC.read_text())
    for term in rows:
        for word in term.split():
            stem = word.removeprefix("ال")[:-1]
            assert stem in text, f"{word} of {term}"

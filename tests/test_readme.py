"""What a visitor sees first, and every page written for GitHub: links, pictures, examples."""

import re
from pathlib import Path
from urllib.parse import urldefrag

import pytest

from tests.test_figures import LIMIT, differ

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("*/README.md"), *(ROOT / "docs" / "guide").glob("*.md")]
pages = pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
PICTURES = {path.name for path in (ROOT / "figures").iterdir() if path.suffix != ".md"}


def links(text):
    """Where the links and pictures of a page lead, code and the network left out."""
    text = re.sub(r"^```.*?^```$|`[^`]+`", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"\]\(((?!https?://)[^)\s]+)", text)


def test_the_readme_is_one_screen():
    assert len(README.encode()) <= 9000


def test_the_readmes_code_draws_the_picture_below_it(tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (shown,) = re.findall(r'"(\w+\.png)"', code)
    assert f"](figures/{shown})" in README.split(code)[1]
    assert len(code.split("\n\n")[1].splitlines()) == 6
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    assert differ(ROOT / "figures" / shown, shown) < LIMIT


@pages
def test_links_lead_somewhere(path):
    for link in links(path.read_text()):
        target, anchor = urldefrag(link)
        found = (path.parent / target if target else path).resolve()
        assert found.exists(), link
        assert not anchor or f"#{anchor}" in anchors(found), link


def anchors(path):
    """The headings of a page, as GitHub names them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return ["#" + re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings]


def test_every_figure_is_shown_once_with_all_pictures():
    shown = re.findall(r"^!\[.*\]\((.*)\)$", (ROOT / "figures/README.md").read_text(), re.MULTILINE)
    assert sorted(shown) == sorted(PICTURES)


@pages
def test_every_picture_says_in_words_what_it_shows(path):
    for alt in re.findall(r"!\[(.*?)\]\(", path.read_text()):
        assert len(alt) >= 20, alt


def test_every_tutorial_has_its_row_with_its_title_and_one_of_its_pictures():
    text = (ROOT / "tutorials" / "README.md").read_text()
    rows = re.findall(
        r"^\| \[<img src=\"../figures/([\w.]+)\" width=\"240\" alt=\"\">\]\((.*?)\) "
        r"\| \*\*(\d+)\*\* \| \[(.*?)\]\((.*?)\): .*\. \|$",
        text,
        re.MULTILINE,
    )
    scripts = sorted((ROOT / "tutorials").glob("*.py"))
    for k, (row, script) in enumerate(zip(rows, scripts, strict=True), 1):
        picture, link, number, title, path = row
        text = script.read_text()
        assert (link, path, number) == (script.name, script.name, str(k))
        assert text.startswith(f"# %% [markdown]\n# # {title}\n") and f'"{picture}"' in text

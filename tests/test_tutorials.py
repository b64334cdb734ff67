"""The tutorials as pages of a book: numbered, with times, with exercises that know the answer."""

import ast
import os
import re
import sys
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import pytest

ROOT = Path(__file__).parents[1]
PAGES = {path.stem: path.read_text() for path in sorted((ROOT / "tutorials").glob("*.py"))}
RIGHT_AND_WRONG = {
    "01": ("-0.25", "-0.26"),
    "02": (
        "np.array([[[-1, 0, 0], [0, 1, 0]]], float)",
        "np.array([[[1, 0, 0], [0, -1, 0]]], float)",
    ),
    "03": ("1.0", "0.5"),
    "04": ("(eq.INTEGER, eq.BILINEAR)", "(eq.BILINEAR, eq.INTEGER)"),
    "05": (
        "lambda *a: [0.9 * r + 0.1 * l for r, l in zip(*(eq.sample_backward(*a, tie=t)[:2] "
        "for t in ('right', 'left')))]",
        "lambda *a: eq.sample_backward(*a, tie='paper')[:2]",
    ),
    "06": ("49", "196"),
    "07": ("1.5 / np.sqrt(2)", "1.2"),
    "08": ("['2/W', '2/b']", "['2/W']"),
    "09": ("15", "3"),
    "10": (
        "[[0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0]]",
        "[[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]",
    ),
    "11": ("lambda x: np.trunc(x) - (x < np.trunc(x))", "np.round"),
}


def cells(text):
    """The code of each cell, in order; prose is left out."""
    _, *pieces = re.split(r"^# %%(.*)\n", text, flags=re.MULTILINE)
    return [code for kind, code in zip(pieces[::2], pieces[1::2], strict=True) if not kind]


def defines_only(code):
    return all(isinstance(node, ast.FunctionDef) for node in ast.parse(code).body)


@pytest.mark.parametrize("stem", PAGES)
def test_an_exercise_takes_the_right_answer_and_no_other(stem, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [stem, str(tmp_path)])
    monkeypatch.setattr(os, "environ", dict(os.environ))  # a page may set a variable
    first, *others = cells(PAGES[stem])
    exercise = others.pop()
    page = {"__file__": str(ROOT / "tutorials" / f"{stem}.py")}
    for code in (first, *filter(defines_only, others)):
        exec(code, page)
    right, wrong = (
        re.sub(r"^(\w+) = None.*", rf"\1 = {answer}", exercise, count=1)
        for answer in RIGHT_AND_WRONG[stem[:2]]
    )
    capsys.readouterr()
    exec(exercise, page.copy())
    assert not capsys.readouterr().out
    exec(right, page.copy())
    assert capsys.readouterr().out
    with pytest.raises(AssertionError):
        exec(wrong, page.copy())


def test_the_pages_are_numbered_in_order_and_say_their_names_and_times():
    assert [stem[:2] for stem in PAGES] == [f"{n:02}" for n in range(1, len(PAGES) + 1)]
    for stem, text in PAGES.items():
        head, *cells = text.split("# %%\n", 1)
        assert f"`python tutorials/{stem}.py`" in head and re.search("seconds|minute", head)
        assert "\n# ## Exercise\n" in cells[0]


def test_moving_pictures_are_small_enough_for_a_page():
    films = {path.name: path.stat().st_size for path in (ROOT / "figures").glob("*.gif")}
    drawn = {name for text in PAGES.values() for name in re.findall(r'out / "(\w+\.gif)"', text)}
    assert set(films) == drawn and max(films.values()) < 2_000_000

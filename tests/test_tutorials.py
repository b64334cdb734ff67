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
WRONG = {  # an answer to each exercise that is not right
    "01": ("-1", "-0.26", "lambda u, W: (W - 1) * u"),
    "02": (
        "'right'",
        "np.array([[[1, 0, 0], [0, -1, 0]]], float)",
        "lambda outer, inner: (np.vstack([inner, [0, 0, 1]]) @ np.vstack([outer, [0, 0, 1]]))[:2]",
    ),
    "03": (
        "0.1",
        "0.5",
        "lambda theta: np.linalg.inv(np.append(theta, 1).reshape(3, 3)).ravel()[:8]",
    ),
    "04": (
        "(0.2, 0.8)",
        "(eq.BILINEAR, eq.INTEGER)",
        "eq.Kernel('wave', (), eq.BILINEAR.k, eq.BILINEAR.dk, lambda t, Phi: (), 1.0)",
    ),
    "05": (
        "4",
        "784 * 0.01 * 13.5",
        "lambda *a: eq.sample_backward(*a, tie='paper')[:2]",
    ),
    "06": ("6", "196", "as_printed"),
    "07": ("0.5", "1.2", "Task('mine', 50, angle=45, anywhere=True, patches=3)"),
    "08": ("0.1", "784 * 32 + 32 * 32 + 32", "['2/W']"),
    "09": ("3", "(0, 1, 0)", "lambda count: Sequential(*[looking(ATTENTION)] * count)"),
    "10": (
        "12",
        "[[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]",
        "lambda a: [[np.cos(a), np.sin(a), 0, 0], [-np.sin(a), np.cos(a), 0, 0], [0, 0, 1, 0]]",
    ),
    "11": ("(10.0, 10.0)", "(3, 3)", "np.round"),
    "12": ("(0.5, 0.5)", "eq.hat(10)", "lambda G, k: (1 + k * np.sum(G**2, axis=-1)) * G[..., 0]"),
}
EXERCISE = re.compile(
    r"^# \*\*(\d)\. (\w+)\.\*\* (?:.*\n)+?\n"  # the task, in prose
    r"# %%\n((\w+) = None.*\n(?:.*\n)+?)"  # the cell to fill in
    r"\n# %% \[markdown\] solution\n((?:#.*\n)+)",
    re.MULTILINE,
)


def cells(text):
    """The code of each cell, in order; prose is left out."""
    _, *pieces = re.split(r"^# %%(.*)\n", text, flags=re.MULTILINE)
    return [code for kind, code in zip(pieces[::2], pieces[1::2], strict=True) if not kind]


def defines_only(code):
    return all(isinstance(node, ast.FunctionDef) for node in ast.parse(code).body)


@pytest.fixture
def page(request, tmp_path, monkeypatch):
    """What the first cell of a tutorial and its functions define: all that an exercise needs."""
    monkeypatch.setattr(sys, "argv", [request.param, str(tmp_path)])
    monkeypatch.setattr(os, "environ", dict(os.environ))  # a page may set a variable
    monkeypatch.delitem(sys.modules, "stn_ref.plots.output", raising=False)
    given = {"__file__": str(ROOT / "tutorials" / f"{request.param}.py")}
    first, *others = cells(PAGES[request.param])
    for code in (first, *filter(defines_only, others)):
        exec(code, given)
    return given


@pytest.mark.parametrize(("page", "stem"), [(stem, stem) for stem in PAGES], indirect=["page"])
def test_an_exercise_takes_its_solution_and_tells_a_wrong_answer_where_to_look(page, stem, capsys):
    exercises = EXERCISE.findall(PAGES[stem])
    assert [kind for _, kind, *_ in exercises] == ["Predict", "Compute", "Extend"]
    capsys.readouterr()
    for (_, _, cell, name, prose), wrong in zip(exercises, WRONG[stem[:2]], strict=True):
        solution = re.sub("^# ?", "", prose, flags=re.MULTILINE).split("```python\n")[1]

        def answered(text, cell=cell):
            return re.sub(r"^\w+ = None.*", lambda _: text, cell, count=1)

        exec(cell, page.copy())
        assert not capsys.readouterr().out
        exec(answered(solution.split("```")[0]), page.copy())
        assert capsys.readouterr().out
        with pytest.raises(AssertionError) as told:
            exec(answered(f"{name} = {wrong}"), page.copy())
        assert len(str(told.value)) > 20, f"{stem}: {name} = {wrong}"


def test_the_pages_are_numbered_in_order_and_say_their_names_and_times():
    assert [stem[:2] for stem in PAGES] == [f"{n:02}" for n in range(1, len(PAGES) + 1)]
    for stem, text in PAGES.items():
        head, *cells = text.split("# %%\n", 1)
        assert f"`python tutorials/{stem}.py`" in head and re.search("seconds|minute", head)
        assert "\n# ## Exercises\n" in cells[0]


def test_moving_pictures_are_small_enough_for_a_page():
    films = {path.name: path.stat().st_size for path in (ROOT / "figures").glob("*.gif")}
    drawn = {name for text in PAGES.values() for name in re.findall(r'out / "(\w+\.gif)"', text)}
    assert set(films) == drawn and max(films.values()) < 2_000_000

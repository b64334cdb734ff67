"""The equations of docstrings, written to be read as text, in TeX.

    V_i^c = Σ_n Σ_m U_nm^c k(x_i − m; Φ_x) k(y_i − n; Φ_y)                Eq. 3

Scripts follow _ and ^ as far as letters and digits go, or in braces; ∂f/∂x is a fraction, all other
division stays on the line; wide gaps part formulas. Words must be known, so that nothing else is
taken for an equation.
"""

from __future__ import annotations

import re
from unicodedata import normalize

LABEL = re.compile(r"\s{2,}(Eq\. \d|§3\.\d)$")
MARKS = {"\u0307": "dot", "\u0302": "hat", "\u0303": "tilde"}
RAISED = {"²": "^{2}", "ᵀ": "^{T}", "₁": "_{1}", "₂": "_{2}"}
WORDS = {name: rf"\{name}" for name in ("max", "log", "exp")}
WORDS |= {
    name: rf"\mathrm{{{name}}}" for name in ("sample", "outer", "inner", "loc", "label", "jvp")
}
WORDS |= {name: rf"\text{{ {name} }}" for name in ("for", "random", "and", "at")}
WORDS |= {"dout": r"\mathit{dout}"}
GREEK = ("alpha", "beta", "delta", "varepsilon", "theta", "lambda", "mu", "sigma", "Phi")
NAMES = dict(zip("αβδεθλμσΦ", GREEK, strict=True))
NAMES |= {"Σ": "sum", "∂": "partial", "√": "sqrt", "·": "cdot", "←": "leftarrow", "…": "ldots"}
SIGNS = {sign: rf"\{name} " for sign, name in NAMES.items()} | {"−": "-"}
SIGNS |= {"′": r"^{\prime }", "″": r"^{\prime\prime }"}
SIGNS |= {"⟦": r"\begin{bmatrix} ", "⟧": r" \end{bmatrix}", "⏎": r"\\"}

LETTER = r"(?:\\\w+\{\w+\}|[A-Za-z0-9αβδεθλμσΦ])"
SCRIPT = re.compile(rf"([_^])({LETTER}+[′″]*)")
SCRIPTED = rf"{LETTER}(?:[_^]\{{(?:[^{{}}]|\{{\w+\}})*\}})*"
GROUP = r"\([^()]*\)"
DERIVATIVE = re.compile(
    rf"(∂(?:\^\{{2\}})?{SCRIPTED}(?:{GROUP})?)/((?:∂(?:{SCRIPTED}|{GROUP}(?:\^\{{T\}})?))+)"
)
ROW = re.compile(r"(.*?)\[ (.+) \]")
KNOWN = re.compile(r"[\w\s\\{}()\[\]|_^=<>+\-/,;:'&]*")


def block(lines: list[str]) -> str | None:
    """A block of a docstring in TeX, or None where it is no equation.

    Raises ValueError for one that has a number and cannot be read.
    """
    try:
        rows = [_numbered(line.strip()) for line in _matrix(lines)]
    except ValueError:
        if any(LABEL.search(line) for line in lines):
            raise
        return None
    if len(rows) == 1:
        return rows[0] if re.search("=|arrow", rows[0]) else None
    aligned = (row if row.startswith("+") else re.sub("=", "&=", row, count=1) for row in rows)
    body = " \\\\\n".join(row if "&" in row else f"& {row}" for row in aligned)
    return rf"\begin{{aligned}} {body} \end{{aligned}}"


def _matrix(lines: list[str]) -> list[str]:
    """Rows in brackets, one below the other, on one line."""
    rows = [ROW.fullmatch(LABEL.sub("", line)) for line in lines]
    if not all(rows) or len(rows) < 2:
        return lines
    cells = " ⏎ ".join(re.sub(" {2,}", " & ", row[2]) for row in rows if row)
    label = LABEL.search(lines[-1])
    return [f"{rows[0][1]}⟦{cells}⟧{label[0] if label else ''}"] if rows[0] else lines


def _numbered(line: str) -> str:
    label = LABEL.search(line)
    tex = formula(LABEL.sub("", line))
    return rf"{tex} \quad \text{{({label[1]})}}" if label else tex


def formula(text: str) -> str:
    """One line of formulas. Raises ValueError for a word or a sign that is not known."""
    text = re.sub(r"\s+([=←])\s+", r" \1 ", text)
    text = normalize("NFD", text)
    for mark, name in MARKS.items():
        text = re.sub(rf"(\w){mark}", rf"\\{name}{{\1}}", text)
    for sign, plain in RAISED.items():
        text = text.replace(sign, plain)
    numbers = re.findall(r"\(Eq\. \d\)", text)
    text = re.sub(r"\(Eq\. \d\)", "(0)", text) if numbers else text
    text = re.sub(r"(?<![A-Za-z\\])[A-Za-z]{2,}", _word, text)
    text = SCRIPT.sub(r"\1{\2}", text)
    text = DERIVATIVE.sub(r"\\frac{\1}{\2}", text).replace("d/ds", r"\frac{d}{ds}")
    text = re.sub(r"√([^ )]+)", r"√{\1}", text)
    text = re.sub(r"(?<=[\w)\]}′″]) (?=[\w\\(\[∂√])", r"\\, ", text)
    text = re.sub(r"(?<=\S) {2,}", r" \\quad ", text)
    for sign, tex in SIGNS.items():
        text = text.replace(sign, tex)
    text = re.sub(r"(\\sum (?:_\{[^{}]*\})?)\\,", r"\1", text)
    for number in numbers:
        text = text.replace("(0)", rf"\text{{{number}}}", 1)
    if not KNOWN.fullmatch(re.sub(r"\\text\{.*?\}", "", text)):
        raise ValueError(f"not an equation: {text}")
    return text


def _word(match: re.Match[str]) -> str:
    word = match[0]
    if word not in WORDS and len(word) > 2:  # two letters are a product, or d of something
        raise ValueError(f"a word that no equation has: {word}")
    return WORDS.get(word, word)

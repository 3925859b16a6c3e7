"""Docstrings can be read without the code below them, as an editor shows them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("plugin_server", "onnx_export", "presets")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
NO_SUBJECT = {"Of", "By", "As", "Those", "Who", "Whom", "Whose", "What", "Or", "Like"}
"""First words of a line that only goes on with the name above it."""
MIN_WORDS = 4
Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def documented(node: Documented, name: str, public: bool) -> Iterator[tuple[Documented, str, bool]]:
    """Yield a module, class or function and those inside it, with their names and whether they are public."""
    yield node, name, public
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            inside = public and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from documented(child, f"{name}.{child.name}", inside and not child.name.startswith("_"))


def is_setter(node: Documented) -> bool:
    """Return whether it sets a property, whose docstring is that of the getter."""
    return any(ast.unparse(part).endswith(".setter") for part in getattr(node, "decorator_list", []))


def fault(node: Documented, public: bool) -> str:
    """Return what is wrong with a docstring, or an empty text."""
    text = ast.get_docstring(node)
    if text is None:
        return "has none" if public and not is_setter(node) else ""
    first = text.split("\n\n")[0]
    line = first.splitlines()[0]
    if line.split(" ")[0] in NO_SUBJECT:
        return f"begins with {line.split(' ')[0]}"
    if len(line.split()) < MIN_WORDS:
        return "has too few words in its first line"
    if first != line and not line.rstrip().endswith((".", ":")):
        return "has a first sentence of several lines"
    return "" if line.rstrip().endswith((".", ":", "?")) else "has a first line that is no sentence"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_docstrings_stand_alone(path):
    tree = ast.parse(path.read_text("utf-8"))
    faults = [
        f"{getattr(node, 'lineno', 1)}: {name} {problem}"
        for node, name, public in documented(tree, path.stem, public=True)
        if (problem := fault(node, public))
    ]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ('def f():\n    """Return the log-mel of mono samples."""', ""),
        ('def f():\n    """Of mono samples, what is heard."""', "begins with Of"),
        ('def f():\n    """The log-mel."""', "has too few words in its first line"),
        ('def f():\n    """Return the log-mel of mono samples"""', "has a first line that is no sentence"),
        ('def f():\n    """Return the log-mel\n    of mono samples."""', "has too few words in its first line"),
        ('def f():\n    """Return the log-mel of\n    mono samples."""', "has a first sentence of several lines"),
        ("def f():\n    pass", "has none"),
        ("def _f():\n    pass", ""),
    ],
)
def test_a_fault_is_seen(code, problem):
    (_, (node, _, public)) = documented(ast.parse(code), "m", public=True)
    assert fault(node, public) == problem

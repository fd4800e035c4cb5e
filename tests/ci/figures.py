# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Figures of the code, one line for each room of module_utils and one for all: how long, how dense, how well commented.

    python3 tests/ci/figures.py [DIRECTORY]

It judges nothing. Run it before and after a large change, or on another collection, by the same Python: from 3.12 on, the parts
of f-strings are tokens of their own.
"""

from __future__ import annotations

import ast
import io
import statistics
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path("plugins/module_utils")
HEAD = ("# Copyright", "# GNU", "# SPDX", "# PRIVATE")
BRANCHES = (ast.If, ast.For, ast.While, ast.ExceptHandler, ast.comprehension, ast.IfExp)
WORDS = (tokenize.NAME, tokenize.OP, tokenize.NUMBER, tokenize.STRING)
COLUMNS = (
    ("files", "longest"),
    ("functions: median", "p90", "max", "over 40 lines %"),
    ("complexity: mean", "max"),
    ("per 100 lines: comments", "conditional expressions"),
    ("tokens per line", "private members of others"),
)


@dataclass
class Figures:
    """Lines are those of code: without blank ones, comments and docstrings."""

    files: list[int] = field(default_factory=list)
    functions: list[int] = field(default_factory=list)
    complexity: list[int] = field(default_factory=list)
    comments: int = 0
    tokens: int = 0
    conditionals: int = 0
    private: int = 0

    def add(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        lines, tree = text.splitlines(), ast.parse(text)
        code = code_lines(tree, lines)
        self.files.append(len(code))
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT and not lines[token.start[0] - 1].startswith(HEAD):
                self.comments += 1
            elif token.type in WORDS and token.start[0] in code:
                self.tokens += 1
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                self.functions.append(len(code & set(range(node.lineno, (node.end_lineno or 0) + 1))))
                self.complexity.append(1 + sum(isinstance(inner, BRANCHES) for inner in ast.walk(node)))
            self.conditionals += isinstance(node, (ast.IfExp, ast.NamedExpr))
            self.private += is_private_of_other(node)

    def __str__(self) -> str:
        lines, functions = sum(self.files), sorted(self.functions) or [0]
        values = (
            *(len(self.files), max(self.files)),
            *(statistics.median(functions), functions[int(0.9 * len(functions))], functions[-1]),
            100 * sum(length > 40 for length in functions) / len(functions),
            *(statistics.mean(self.complexity or [0]), max(self.complexity or [0])),
            *(100 * self.comments / lines, 100 * self.conditionals / lines),
            *(self.tokens / lines, self.private),
        )
        return " ".join(f"{value:8.1f}" for value in values)


def code_lines(tree: ast.AST, lines: list[str]) -> set[int]:
    """The numbers of lines of code."""
    docstrings = {
        number
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None
        for number in range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1)
    }
    return {
        number
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.lstrip().startswith("#") and number not in docstrings
    }


def is_private_of_other(node: ast.AST) -> bool:
    """Whether it is an attribute that begins with one underscore, of something that is neither self nor cls."""
    if not isinstance(node, ast.Attribute) or not node.attr.startswith("_") or node.attr.startswith("__"):
        return False
    owner = node.value.id if isinstance(node.value, ast.Name) else ""
    if isinstance(node.value, ast.Call) and ast.unparse(node.value) == "super()":
        return False
    # os._exit and _asdict() and its like are public, whatever their names.
    return owner not in ("self", "cls", "os") and node.attr not in ("_asdict", "_replace", "_fields")


def rooms(root: Path) -> Iterator[tuple[str, list[Path]]]:
    files = sorted(path for path in root.rglob("*.py") if path.stat().st_size)
    for room in sorted({path.relative_to(root).parts[0] for path in files}):
        yield room, [path for path in files if path.relative_to(root).parts[0] == room]
    yield "all", files


def main() -> None:
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT
    print("columns: " + "; ".join(", ".join(group) for group in COLUMNS))
    for room, files in rooms(root):
        figures = Figures()
        for path in files:
            figures.add(path)
        print(f"{room:16}{figures}")


if __name__ == "__main__":
    main()

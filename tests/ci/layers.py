# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks which room of module_utils imports which, that no imports go in a circle, and how long files are.

Fails with one line for each import that leads upwards or in a circle, for each file over its limit, and for each that does
not say what it is. With the argument ``map``, it prints what each file is, by the first line of its docstring.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from figures import code_lines

ROOT = Path("plugins/module_utils")

#: What each room may import from, besides itself. A room that is not listed here has no place in the house yet.
ALLOWED = {
    "_base": set(),
    "_transport": {"_base"},
    "_dbs": {"_transport", "_base"},
    "_oss": {"_transport", "_base"},
    "_files": {"_base"},
    "_download": {"_files", "_base"},
    "_archive": {"_files", "_base"},
    "_restore": {"_archive", "_files", "_base"},
    "_plugin": {"_dbs", "_files", "_transport", "_base"},
    "_modules": {"_plugin", "_restore", "_download", "_archive", "_oss", "_dbs", "_files", "_transport", "_base"},
}

#: Lines of code in a file, without blank lines, comments and docstrings.
MAX_LINES = 300


def main() -> int:
    modules = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}
    trees = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in modules.items()}
    if sys.argv[1:] == ["map"]:
        return print_map(trees)
    graph = {name: set(imports_of(name, tree, modules)) for name, tree in trees.items()}
    findings = [*wrong_arrows(graph), *circles(graph)]
    for name, tree in trees.items():
        findings += too_long(modules[name], tree)
        if tree.body and not first_line(tree):
            findings.append(f"{modules[name]}: no docstring says what it is")
    for finding in findings:
        print(finding)
    print(f"{len(modules)} modules, {sum(map(len, graph.values()))} imports, {len(findings)} findings")
    return 1 if findings else 0


def first_line(tree: ast.Module) -> str:
    return (ast.get_docstring(tree) or "").partition("\n")[0]


def print_map(trees: dict[str, ast.Module]) -> int:
    for room in ALLOWED:
        print(f"\n{room}")
        for name, tree in trees.items():
            if name.startswith(f"{room}."):
                print(f"  {name.removeprefix(f'{room}.'):26} {first_line(tree)}")
    return 0


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports_of(name: str, tree: ast.AST, modules: dict[str, Path]) -> Iterator[str]:
    """The modules of the house that one imports, also for types only."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom):
            continue
        if (node.module or "").startswith("ansible_collections.apsaradb"):
            raise SystemExit(f"{modules[name]}:{node.lineno}: within module_utils, imports are relative")
        if node.level:
            package = name.split(".")[: -node.level]
            found = ".".join([*package, *(node.module or "").split(".")]).strip(".")
            for alias in node.names:
                whole = f"{found}.{alias.name}".strip(".")
                yield whole if whole in modules else found


def wrong_arrows(graph: dict[str, set[str]]) -> Iterator[str]:
    for name, imported in graph.items():
        room = name.partition(".")[0]
        for other in sorted(imported):
            target = other.partition(".")[0]
            if target != room and target not in ALLOWED.get(room, set()):
                yield f"{name} imports {other}: {room} may not know {target}"


def circles(graph: dict[str, set[str]]) -> Iterator[str]:
    """Each circle once, by a search in depth."""
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> Iterator[str]:
        if name in path:
            yield "imports in a circle: " + " -> ".join([*path[path.index(name) :], name])
        elif name not in done:
            for other in sorted(graph.get(name, ())):
                yield from visit(other, [*path, name])
            done.add(name)

    for name in graph:
        yield from visit(name, [])


def too_long(path: Path, tree: ast.Module) -> Iterator[str]:
    code = len(code_lines(tree, path.read_text(encoding="utf-8").splitlines()))
    if code > MAX_LINES:
        yield f"{path}: {code} lines of code, at most {MAX_LINES}"


if __name__ == "__main__":
    sys.exit(main())

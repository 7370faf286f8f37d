"""Imports point down, the domain is pure, and SQL lives in the store.

Floors and rooms are contracts of import-linter in `pyproject.toml`; what it cannot say is read from the syntax trees.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"
PACKAGE = "exlab_wizard"
MODULES = {
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((SOURCE / PACKAGE).rglob("*.py"))
}

PURE = {
    "__future__",
    "abc",
    "collections",
    "dataclasses",
    "datetime",
    "decimal",
    "enum",
    "fractions",
    "functools",
    "itertools",
    "math",
    "operator",
    "re",
    "string",
    "types",
    "typing",
}
"""What the domain may import: nothing that reads a clock, a file, a process or another thread."""

SQL = re.compile(
    r"\s*(?:(?:SELECT|INSERT|UPDATE|DELETE|PRAGMA|CREATE)\s"
    r"|BEGIN(?:\s|;|$)"
    r"|(?i:select\s.+\sfrom\s|insert\s+(?:or\s+\w+\s+)?into\s|update\s+\w+\s+set\s|delete\s+from\s|pragma\s+\w+\s*[=(;]"
    r"|begin\s+(?:immediate|exclusive|deferred|transaction)\b|create\s+(?:unique\s+)?(?:table|index|view|trigger)\s+\w+))",
    re.DOTALL,
)
HELP = {"help", "short_help", "epilog"}


def room_of(module: str) -> str:
    """Return the room that a module of the package lies in."""
    return [*module.split("."), ""][1]


def impure_imports(source: str) -> list[str]:
    """Return what a module of the domain imports and may not, wherever the import stands."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [node.module or "."]
    found = [name for name in found if name != "_typeshed"]  # for the type checker only, there is no such module
    return [name for name in found if name.split(".")[0] not in PURE and not name.startswith(f"{PACKAGE}.domain")]


def prose_of(tree: ast.Module) -> set[int]:
    """Return the ids of the string nodes that are read by people: docstrings and help texts of commands."""
    prose: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            prose |= {id(node.value)}
        elif isinstance(node, ast.keyword) and node.arg in HELP:
            prose |= {id(part) for part in ast.walk(node.value)}
    return prose


def sql_faults(name: str, source: str) -> list[str]:
    """Return one sentence for each string of module `name` that is SQL and lies outside `store/`."""
    if room_of(name) == "store":
        return []
    tree = ast.parse(source)
    prose = prose_of(tree)
    return [
        f"{name}:{node.lineno} SQL lives in store/ only: {node.value.strip()[:40]!r}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose
        if SQL.match(node.value)
    ]


def test_imports_point_down_only() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], cwd=SOURCE.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_domain_is_pure() -> None:
    domain = {name: path for name, path in MODULES.items() if room_of(name) == "domain"}
    found = {name: impure_imports(path.read_text("utf-8")) for name, path in domain.items()}
    assert {name: imports for name, imports in found.items() if imports} == {}


@pytest.mark.parametrize("source", ["import os.path", "def now():\n    from time import time", "from . import clock"])
def test_an_impure_import_is_found(source: str) -> None:
    assert impure_imports(source) != []


def test_sql_lives_in_store_only() -> None:
    assert [fault for name, path in MODULES.items() for fault in sql_faults(name, path.read_text("utf-8"))] == []


def test_the_source_was_found() -> None:
    assert {PACKAGE, f"{PACKAGE}.domain.job", f"{PACKAGE}.errors"} <= set(MODULES)


@pytest.mark.parametrize(
    "source",
    [
        "x = 'SELECT 1'",
        "x = f'UPDATE {table} SET state = 1'",
        "x = '''\n  insert into sync_jobs values (1)'''",
        "run('BEGIN IMMEDIATE')",
        "run('PRAGMA user_version')",
        "run('delete from sync_jobs')",
        "run('BEGIN')",
    ],
)
def test_sql_outside_store_is_found(source: str) -> None:
    assert sql_faults("exlab_wizard.workers.pool", source) != []
    assert sql_faults("exlab_wizard.store.queue.jobs", source) == []


@pytest.mark.parametrize(
    "source",
    [
        "def f():\n    'SELECT is what this explains'",
        "option('--query', help='SELECT 1, for example')",
        "route(methods=['DELETE'])",
        "say('Create a folder first.', 'Update the settings and start again.', 'Begin here.')",
    ],
)
def test_prose_is_not_taken_for_sql(source: str) -> None:
    assert sql_faults("exlab_wizard.cli.main", source) == []

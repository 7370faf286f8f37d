"""Imports point down only, and each floor keeps to its trade; read from the syntax trees of the source.

Imports for type checkers only and imports inside functions count like all others.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"
PACKAGE = "exlab_wizard"
MODULES = {
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((SOURCE / PACKAGE).rglob("*.py"))
}

ROOT_ROOM = ""
"""`exlab_wizard/__init__.py`: the version, for everyone to read."""

FLOORS = {
    4: {"app", "application", "cli", "testing", "__main__"},
    3: {"server", "tray", "window"},
    2: {"runtime", "client"},
    1: {"store", "transfer"},
    0: {"domain", "errors", "settings", "paths", "points", "durable", ROOT_ROOM},
}
FLOOR_OF = {room: floor for floor, rooms in FLOORS.items() for room in rooms}
STRANGERS = ({"store", "transfer"}, {"server", "tray"})

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
    return [*module.split("."), ROOT_ROOM][1]


def imported(name: str, tree: ast.Module, *, is_package: bool) -> list[tuple[int, str]]:
    """Return (line, module) for everything that module `name` imports, wherever the import stands."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = name.split(".")[: len(name.split(".")) - node.level + is_package] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            if module == PACKAGE:
                rooms = [alias.name if alias.name in FLOOR_OF else ROOT_ROOM for alias in node.names]
                found += [(node.lineno, f"{PACKAGE}.{room}".rstrip(".")) for room in rooms]
            else:
                found.append((node.lineno, module))
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            found += [
                (node.lineno, word.value)
                for word in node.args
                if isinstance(word, ast.Constant) and isinstance(word.value, str)
            ]
    return found


def upward(room: str, other: str) -> str | None:
    """Return why a module of `room` may not import one of `other`, or None when it may."""
    if other not in FLOOR_OF:
        return "no such room"
    if FLOOR_OF[other] > FLOOR_OF[room]:
        return f"floor {FLOOR_OF[room]} may not import floor {FLOOR_OF[other]}"
    if {room, other} in STRANGERS:
        return f"{room} and {other} never import each other"
    if room == "app" and other in {"cli", "__main__"}:
        return "the assembly does not know who calls it"
    if other == "testing" and room != "testing":
        return "the program does not know that it is tested"
    return None


def import_faults(name: str, source: str, *, is_package: bool = False) -> list[str]:
    """Return one sentence for each import of module `name` that the floors forbid."""
    room = room_of(name)
    if room not in FLOOR_OF:
        return [f"{name}: the room {room!r} is on no floor; DESIGN §8 names the rooms"]
    faults: list[str] = []
    upper_rooms: set[str] = set()
    for line, target in imported(name, ast.parse(source), is_package=is_package):
        where = f"{name}:{line} imports {target}"
        top = target.split(".")[0]
        if top == PACKAGE:
            other = room_of(target)
            why = upward(room, other)
            if why is not None:
                faults.append(f"{where}: {why}")
            elif other in FLOORS[3] and other != room:
                upper_rooms.add(other)
        elif room == "domain" and top not in PURE:
            faults.append(f"{where}: the domain is pure")
    if len(upper_rooms) > 1 and room != "app":
        faults.append(f"{name} brings {' and '.join(sorted(upper_rooms))} together: only app.py assembles")
    return faults


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


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_down_only(name: str) -> None:
    path = MODULES[name]
    assert import_faults(name, path.read_text("utf-8"), is_package=path.name == "__init__.py") == []


@pytest.mark.parametrize("name", MODULES)
def test_sql_lives_in_store_only(name: str) -> None:
    assert sql_faults(name, MODULES[name].read_text("utf-8")) == []


def test_the_source_was_found() -> None:
    assert {PACKAGE, f"{PACKAGE}.domain.job", f"{PACKAGE}.errors"} <= set(MODULES)


@pytest.mark.parametrize(
    ("name", "source", "fault"),
    [
        (
            "exlab_wizard.store.queue.jobs",
            "from exlab_wizard.runtime.worker import Worker",
            "floor 1 may not import floor 2",
        ),
        ("exlab_wizard.store.queue.jobs", "import exlab_wizard.transfer.copy.plan", "never import each other"),
        ("exlab_wizard.store.queue.jobs", "from exlab_wizard import transfer", "never import each other"),
        ("exlab_wizard.store.queue.jobs", "from ..transfer import plan", "never import each other"),
        (
            "exlab_wizard.transfer.walk",
            "def go():\n    from exlab_wizard.store import jobs",
            "never import each other",
        ),
        (
            "exlab_wizard.tray.icon.icon",
            "if TYPE_CHECKING:\n    from exlab_wizard.server import page",
            "never import each other",
        ),
        ("exlab_wizard.server.page", "import exlab_wizard.tray", "never import each other"),
        ("exlab_wizard.window.open", "from exlab_wizard.app import build", "floor 3 may not import floor 4"),
        ("exlab_wizard.runtime.worker", "from exlab_wizard.window import open", "floor 2 may not import floor 3"),
        ("exlab_wizard.runtime.worker", "import_module('exlab_wizard.app')", "floor 2 may not import floor 4"),
        ("exlab_wizard.errors", "from exlab_wizard.store import jobs", "floor 0 may not import floor 1"),
        ("exlab_wizard.app", "from exlab_wizard.cli import main", "does not know who calls it"),
        ("exlab_wizard.cli.commands.run", "from exlab_wizard import tray, window", "only app.py assembles"),
        ("exlab_wizard.cli.commands.run", "from exlab_wizard.testing import Lab", "does not know that it is tested"),
        ("exlab_wizard.domain.job", "import os.path", "the domain is pure"),
        ("exlab_wizard.domain.job", "def now():\n    from time import time", "the domain is pure"),
        ("exlab_wizard.helpers", "", "on no floor"),
        ("exlab_wizard.cli.commands.run", "import exlab_wizard.utils", "no such room"),
    ],
)
def test_a_forbidden_import_is_found(name: str, source: str, fault: str) -> None:
    (found,) = import_faults(name, source)
    assert fault in found


def test_a_relative_import_in_a_package_is_resolved_from_the_package() -> None:
    (found,) = import_faults("exlab_wizard.store", "from ..transfer import plan", is_package=True)
    assert "never import each other" in found


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("exlab_wizard.app", "from exlab_wizard import server, tray, window, runtime, store, transfer, __version__"),
        ("exlab_wizard.cli.main", "from exlab_wizard.app import build\nfrom exlab_wizard.window import open"),
        ("exlab_wizard.tray.icon.icon", "from exlab_wizard.store.reports.status import Status\nimport pystray"),
        ("exlab_wizard.runtime.worker", "from exlab_wizard.store import jobs\nfrom exlab_wizard.transfer import plan"),
        (
            "exlab_wizard.domain.job",
            "from .lease import Lease\nfrom exlab_wizard.errors import ExlabError\nimport enum",
        ),
    ],
)
def test_a_lawful_import_is_not_flagged(name: str, source: str) -> None:
    assert import_faults(name, source) == []


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
    assert sql_faults("exlab_wizard.runtime.worker", source) != []
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

"""The documentation cannot fall behind: what a user meets is named in it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
from pydantic import BaseModel
from tests.integration.api.bench import application
from tests.support.bench import Bench

from exlab_wizard import __version__, crash_points
from exlab_wizard.cli.main import cli
from exlab_wizard.domain.job import ErrorKind, JobState, WaitReason, legal_moves
from exlab_wizard.paths import StateDir
from exlab_wizard.server.auth.access_control import BODY_LIMIT_BYTES, HEAD_LIMIT_BYTES, MOST_REQUESTS
from exlab_wizard.server.auth.login import CODE_SECONDS
from exlab_wizard.server.errors import Code
from exlab_wizard.server.events.feed import KEPT
from exlab_wizard.server.events.routes import MOST_STREAMS
from exlab_wizard.settings import DestinationSettings, ScheduleEntry, Settings
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.upkeep import migration
from exlab_wizard.store.upkeep.backup import Backups
from exlab_wizard.testing import Application, Lab
from exlab_wizard.tray.admission import MOST_CONNECTIONS, MOST_OF_ONE, MOST_OF_OTHERS
from exlab_wizard.tray.uvicorn_server import HEADER_BYTES

TOP = Path(__file__).parents[2]
DOCS = TOP / "docs"
SOURCE = TOP / "src" / "exlab_wizard"
PAGES = [TOP / "README.md", TOP / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def setting_keys(model: type[BaseModel], prefix: str) -> list[str]:
    return [f"{prefix}.{field.alias or name}" for name, field in model.model_fields.items()]


def settings() -> list[str]:
    keys = setting_keys(DestinationSettings, "destinations.NAME")
    keys += setting_keys(ScheduleEntry, "destinations.NAME.schedule")
    for section, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            keys += setting_keys(field.annotation, section)
    return keys


def test_every_setting_is_documented() -> None:
    assert [key for key in settings() if f"| `{key}` |" not in page("settings.md")] == []


def test_the_documented_defaults_are_the_defaults() -> None:
    rows = dict(re.findall(r"^\| `([\w.]+)` \| `([\d.]+)` \|", page("settings.md"), re.MULTILINE))
    found = {
        f"{section}.{name}": value
        for section, values in Settings().model_dump().items()
        if section != "destinations"
        for name, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    assert {key: float(value) for key, value in rows.items()} == found


@pytest.mark.parametrize("state", JobState)
def test_every_state_and_its_moves_are_documented(state: JobState) -> None:
    row = re.search(rf"^\| `{state}` \| .* \| (.*) \|$", page("database.md"), re.MULTILINE)
    assert row, state
    assert re.findall(r"`(\w+)`", row[1]) == [move.value for move in legal_moves(state)]


def test_every_reason_to_wait_and_every_error_is_documented() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", page("database.md"), re.MULTILINE)
    assert {*WaitReason, *ErrorKind} - set(rows) == set()


def commands(group: click.Group = cli, above: str = "") -> list[tuple[str, click.Command]]:
    """Return every command by its full name; `list_commands` also knows those that are loaded late."""
    found: list[tuple[str, click.Command]] = []
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        full = f"{above}{name}"
        found += commands(command, f"{full} ") if isinstance(command, click.Group) else [(full, command)]
    return found


def shown(pattern: str) -> set[str]:
    """Return what `pattern` finds at the beginning of code, in every page."""
    begins = re.compile(rf"(?:^    |`){pattern}", re.MULTILINE)
    return {found for path in PAGES for found in begins.findall(path.read_text(encoding="utf-8"))}


def test_every_command_and_option_is_documented() -> None:
    for name, command in commands():
        lines = [line for line in page("commands.md").splitlines() if re.search(rf"`{re.escape(name)}\b", line)]
        assert lines, name
        for parameter in command.params:
            if isinstance(parameter, click.Option) and parameter.name not in ("as_json", "help"):
                assert any(parameter.opts[-1] in line for line in lines), f"{name} {parameter.opts}"


def test_every_option_before_the_command_is_documented() -> None:
    for parameter in cli.params:
        assert f"[{parameter.opts[0]} " in page("commands.md") or f"`{parameter.opts[0]}`" in page("commands.md")


def test_every_table_view_and_column_is_documented(tmp_path: Path) -> None:
    text, state_dir = page("database.md"), StateDir(tmp_path)
    database = Database(state_dir.database)
    migration.upgrade(database, Backups(state_dir), datetime.now(UTC))
    found = database.connection().execute(
        "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c"
        " WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite_%' AND m.name <> 'alembic_version'"
    )
    held: dict[str, set[str]] = {}
    for name, column in found.fetchall():
        held.setdefault(name, set()).add(column)
    database.close()
    listed = {name: set(re.split(r"[\s,]+", columns)) for name, columns in re.findall(r"`([a-z_]+)\(([^)]*)\)`", text)}
    assert listed == held


def test_links_lead_somewhere() -> None:
    links = [(page, to) for page in PAGES for to in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))]
    assert [(page, to) for page, to in links if not to.startswith("https://") and not (page.parent / to).exists()] == []


def test_the_readme_is_short() -> None:
    lines = (TOP / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 120
    assert [line for line in lines if len(line) > 140] == []


@pytest.mark.parametrize(("thing", "most"), [("job", 30), ("quit", 15)])
def test_the_walks_are_short_and_name_files_that_exist(thing: str, most: int) -> None:
    walk = page("design.md").partition(f"## The walk of one {thing}\n")[2].partition("\n## ")[0]
    steps = re.findall(r"^(\d+)\. `([\w/]+\.py)`: ", walk, re.MULTILINE)
    assert [int(number) for number, _ in steps] == list(range(1, len(steps) + 1))
    assert len(steps) == len(re.findall(r"^\d+\. ", walk, re.MULTILINE)) == len({name for _, name in steps})
    assert f"\n{len(steps)} files, in the order in which a {thing} passes through them.\n" in walk
    assert 0 < len(steps) <= most
    assert [name for _, name in steps if not (SOURCE / name).is_file()] == []


def names_in(file: Path) -> set[str]:
    """Return what a Python file defines, at any depth."""
    nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    named = {node.name for node in nodes if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)}
    return named | {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def files_named(file: Path, name: str) -> list[Path]:
    """Return the files that `name` may mean in the document `file`; without a folder, those anywhere."""
    places = [place / name for place in (TOP, SOURCE, TOP / "tests", file.parent) if (place / name).is_file()]
    return places if places or "/" in name else [path for top in ("src", "tests") for path in (TOP / top).rglob(name)]


def test_the_files_and_names_of_the_source_that_the_documentation_names_exist() -> None:
    known = {
        name for file in sorted((TOP / "src").rglob("*.py")) for name in re.findall(r"\w+", file.read_text("utf-8"))
    }
    faults = []
    for file in [*PAGES, TOP / "CONTRIBUTING.md", *sorted((TOP / "tests").rglob("*.md"))]:
        text = file.read_text(encoding="utf-8").replace("NNNN_name.py", "")  # of a migration that is to be written
        for name in re.findall(r"`([\w./-]+\.(?:py|html|css|js))`", text):
            faults += [] if files_named(file, name) else [(file.name, name)]
        for name in re.findall(r"`(_[A-Z][A-Z_]+)`", text):
            faults += [] if name in known else [(file.name, name)]
        for names, place in re.findall(r"`([\w.]+)` (?:of|in) `([\w/]+\.py)`", text):
            defined = {name for path in files_named(file, place) for name in names_in(path)}
            faults += [] if {*names.split(".")} <= defined else [(file.name, f"{names} of {place}")]
    assert faults == []


def test_the_tests_that_the_readme_names_exist() -> None:
    for named in re.findall(r"`(tests/[\w./]+)`", (TOP / "README.md").read_text(encoding="utf-8")):
        assert (TOP / named).exists(), named


def test_the_tests_that_the_recovery_page_names_exist() -> None:
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", page("recovery.md"))
    assert named
    for file, name in named:
        text = (TOP / "tests" / file).read_text(encoding="utf-8")
        assert re.search(rf"^def {name}\b", text, re.MULTILINE), f"{file}::{name}"


def test_every_named_instant_has_its_row_on_the_recovery_page() -> None:
    rows = page("recovery.md").partition("## Instant by instant")[2].partition("\n## ")[0]
    firsts = [line.split(" | ")[0] for line in rows.splitlines() if line.startswith("| `")]
    assert sorted(re.findall(r"`([a-z]+:[a-z_]+)`", " ".join(firsts))) == sorted(crash_points.Point)


def test_the_commands_that_the_documentation_shows_exist() -> None:
    known = {name for name, _ in commands()}
    groups = {name.split()[0] for name in known if " " in name}
    for text in shown(r"exlab-wizard ((?:(?:db|destination) )?[a-z]+)") - groups:
        assert text in known, text


def test_the_make_targets_that_the_documentation_shows_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (TOP / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {"run", "test", "demo"} <= shown(r"make ([a-z-]+)") <= targets


def test_every_point_is_documented_in_the_words_of_the_program() -> None:
    source = ast.parse(Path(crash_points.__file__).read_text(encoding="utf-8"))
    words = next(node.body for node in source.body if isinstance(node, ast.ClassDef))
    told = [node.value.value for node in words if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)]
    rows = re.findall(r"^\| `(\w+:\w+)` \| (.*) \|$", page("testing.md"), re.MULTILINE)
    assert rows == list(zip(crash_points.Point, told[1:], strict=True))


def test_everything_that_the_lab_offers_is_documented() -> None:
    offered = {name for kind in (Lab, Application) for name in vars(kind) if not name.startswith("_")} - {"victim"}
    assert {name for name in offered if not re.search(rf"`(with )?{name}[(`]", page("testing.md"))} == set()


@pytest.mark.slow
def test_the_example_of_the_plugin_passes(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```$", page("testing.md"), re.MULTILINE | re.DOTALL)
    (tmp_path / "test_example.py").write_text(example, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'temp'}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_the_changelog_knows_this_version() -> None:
    assert f"## [{__version__}]" in (TOP / "CHANGELOG.md").read_text(encoding="utf-8")


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = sorted(int(path.name[:3]) for path in (DOCS / "decisions").glob("*.md"))
    assert numbers == list(range(1, len(numbers) + 1))


def test_every_route_of_the_api_is_documented_and_no_other(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    paths = application(bench, tmp_path).openapi()["paths"]
    bench.close()
    routes = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert set(re.findall(r"^\| `([A-Z]+) (/\S+)` \|", page("api.md"), re.MULTILINE)) == routes


def test_every_refusal_of_the_api_is_documented_with_its_status() -> None:
    codes = dict(re.findall(r"^\| `(\w+)` \| (\d{3}) \|", page("api.md"), re.MULTILINE))
    assert codes == {code.value: str(code.status) for code in Code}


def test_every_event_of_the_api_is_documented() -> None:
    section = page("api.md").partition("## Events")[2].partition("## Errors")[0]
    documented = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
    source = "".join(
        (TOP / "src/exlab_wizard/server/events" / name).read_text("utf-8") for name in ("feed.py", "poll.py")
    )
    assert documented == set(re.findall(r'(?:yield |StreamEvent\.of\([^"]*)"(\w+)"', source))


def test_the_limits_of_the_api_are_documented() -> None:
    text = page("api.md")
    assert HEADER_BYTES == HEAD_LIMIT_BYTES
    assert f"headers {HEADER_BYTES >> 10} KiB, bodies {BODY_LIMIT_BYTES >> 20} MiB" in text
    flat = " ".join(text.split())
    assert f"{MOST_REQUESTS} requests at the same time, {MOST_CONNECTIONS} connections from this account" in flat
    assert f"{MOST_OF_ONE} for each other account, and {MOST_OF_OTHERS} for all other accounts together" in flat
    assert f"up to {KEPT} events" in text
    assert f"At most {MOST_STREAMS} streams" in text
    assert f"works once, within {CODE_SECONDS:.0f} s, and is exchanged" in text

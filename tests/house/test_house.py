"""The habits of the house: sizes, no `Any`, reasons beside exceptions to rules, nothing of one machine in the files."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import tokenize
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = sorted((ROOT / "src").rglob("*.py"))
CODE = [path for part in ("src", "tests", "migrations", "benchmarks") for path in sorted((ROOT / part).rglob("*.py"))]

LONGEST_FILE = 350
LONGEST_FUNCTION = 60
SMALLEST_ROOM, LARGEST_ROOM = 2, 15
EXCEPTIONAL_ROOMS = {
    "desktop": 0,  # holds rooms only
    "store/readonly/questions": 0,  # holds statements, in files of SQL
    "cli/commands/demo": 1,  # the command itself is in `__init__`, as every command's is, beside what it plays on
}
BROAD = {"Exception", "BaseException"}
AMOUNTS = re.compile(
    r"\} ?%[',. <]|\} %\"|\}\s?[KMGT]iB|\} (?:min|h|days?)\b|'s' if|\"s\" if|\((?:s|es)\) |:,\}"
    r"|\} (?:runs|files|jobs|sessions)\b|\} s\b|%[\d.]*[fg] s\b"
)
AWAITS = re.compile(r"PATIENCE_SECONDS|chance|random|^timeout$|^0(?:\.0)?$")
CLOCKS = re.compile(r"\b(?:monotonic|perf_counter|time)\(\)")
MARKS = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")

# Written in pieces, so that this file does not hold what it looks for.
MACHINE_DIRS = ("/wo" + "rk/", "/ro" + "ot/", "/opt/wh" + "eels", "/opt/py" + "pi", r"\.py" + r"env/")
INDEX_HOSTS = (r"py" + r"pi\.org", r"python" + r"hosted\.org", r"npm" + r"js\.org", r"deb\." + r"debian\.org")
INDEX_OPTIONS = ("index-" + "url", "find-" + "links", "trusted-" + "host")
ADDRESSES = re.compile(rf"(?<![\w.~-])(?:{'|'.join(MACHINE_DIRS)})|{'|'.join((*INDEX_HOSTS, *INDEX_OPTIONS))}")


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def files_of_the_project() -> list[Path]:
    """Return what is, or would be, tracked; in an unpacked sdist everything but dot folders."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listing.returncode == 0:
        paths = [ROOT / name for name in listing.stdout.decode().split("\0") if name]
    else:
        paths = [path for path in ROOT.rglob("*") if not any(part.startswith(".") for part in path.parts)]
    return [path for path in paths if path.is_file()]


def names_any(tree: ast.Module) -> list[int]:
    return [
        node.lineno
        for node in ast.walk(tree)
        if (isinstance(node, ast.Name) and node.id == "Any") or (isinstance(node, ast.Attribute) and node.attr == "Any")
    ]


def broad_excepts(source: str) -> list[int]:
    """Return the lines of handlers that catch everything and do not state, as `# boundary: …`, why."""
    lines = source.splitlines()
    found: list[int] = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ExceptHandler):
            continue
        kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        broad = any(kind is None or ast.unparse(kind).split(".")[-1] in BROAD for kind in kinds)
        beside = "\n".join(lines[node.lineno - 1 : node.lineno + 1])
        if broad and not re.search(r"#.*\bboundary:\s*\S", beside):
            found.append(node.lineno)
    return found


def duration(call: ast.Call) -> ast.expr | None:
    """Return how long `call` waits at most, if it waits, and if it says how long."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    limits = [keyword.value for keyword in call.keywords if keyword.arg == "timeout"]
    if name == "join":  # of a thread, not of a text
        limits += [one for one in call.args if isinstance(one, ast.Constant)]
    elif name in {"wait", "sleep", "wait_for_timeout"} and ast.unparse(call.func) != "asyncio.wait":
        limits += call.args
    return limits[0] if limits and name in {"wait", "sleep", "wait_for_timeout", "join", "get"} else None


def sleeps(source: str) -> list[int]:
    """Return the lines that wait for time to pass and do not state, as `# time: …`, why no event can be awaited.

    A wait for an event has the generous limit, or is given one; after a random time, any moment will do.
    """
    lines, found = source.splitlines(), set[int]()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.ImportFrom(module="time", names=names) if "sleep" in {it.name for it in names}:
                found.add(node.lineno)
            case ast.Attribute(attr="sleep", value=ast.Name(id="time")):
                found.add(node.lineno)
            case ast.Call(func=ast.Name(id="until"), args=[condition, *_]) if CLOCKS.search(ast.unparse(condition)):
                found.add(node.lineno)
            case ast.Call() if (seconds := duration(node)) is not None:
                alone = ".Event()." in f".{ast.unparse(node.func)}"
                if alone or not AWAITS.search(ast.unparse(seconds)):
                    found.add(node.lineno)
            case _:
                pass
    return [line for line in sorted(found) if not re.search(r"#.*\btime: \w", lines[line - 1])]


def unexplained_noqa(source: str) -> list[int]:
    """Return the lines of `noqa` comments without a code, or without words after the codes."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    explained = re.compile(r"#\s*noqa:\s*[A-Z]+\d+(?:[,\s]+[A-Z]+\d+)*\W+\w+")
    return [
        token.start[0]
        for token in tokens
        if token.type == tokenize.COMMENT
        if re.search(r"#\s*noqa\b", token.string) and not explained.search(token.string)
    ]


def amounts(source: str) -> list[str]:
    """Return the lines that make words of a size, a span, a percent or a count themselves."""
    return [line.strip() for line in source.splitlines() if AMOUNTS.search(line)]


def faults_in(paths: Iterable[Path], find: Callable[[str], Iterable[object]]) -> list[str]:
    """Return `file: fault` for everything that `find` finds in the text of the files."""
    return [f"{relative(path)}: {fault}" for path in paths for fault in find(path.read_text("utf-8"))]


def too_long_functions(source: str) -> list[str]:
    return [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None
        if node.end_lineno - node.lineno + 1 > LONGEST_FUNCTION
    ]


def test_a_file_of_the_program_is_short() -> None:
    assert faults_in(SOURCE, lambda text: [n for n in [len(text.splitlines())] if n > LONGEST_FILE]) == []


def test_a_room_has_two_to_fifteen_files() -> None:
    program = ROOT / "src" / "exlab_wizard"
    rooms = {path.parent.relative_to(program).as_posix() for path in SOURCE if path.name == "__init__.py"}
    sizes = {
        room: len([path for path in (program / room).glob("*.py") if path.name != "__init__.py"]) for room in rooms
    }
    odd = {room: size for room, size in sizes.items() if not SMALLEST_ROOM <= size <= LARGEST_ROOM}
    assert odd == EXCEPTIONAL_ROOMS
    assert {path.parent for path in SOURCE if path.is_relative_to(program)} == {program / room for room in rooms}


def test_unit_tests_mirror_the_source() -> None:
    """A test that is named after no module says a promise of the room that its folder mirrors."""
    program, tests = ROOT / "src" / "exlab_wizard", ROOT / "tests" / "unit"
    paths = [path.relative_to(tests) for path in sorted(tests.rglob("test_*.py"))]
    assert [path for path in paths if not (program / path.parent).is_dir()] == []
    tested = [path.with_name(path.name.removeprefix("test_")) for path in paths]
    here = [path for path in tested if (program / path).exists() or (program / path.with_suffix("")).is_dir()]
    assert [path for path in tested if path not in here and path.name in {one.name for one in SOURCE}] == []


def test_a_function_of_the_program_fits_the_screen() -> None:
    assert faults_in(SOURCE, too_long_functions) == []


def test_every_collaborator_has_a_type() -> None:
    assert faults_in(SOURCE, lambda text: names_any(ast.parse(text))) == []


def test_a_broad_except_says_why() -> None:
    assert faults_in(SOURCE, broad_excepts) == []


def test_an_ignored_rule_says_why() -> None:
    assert faults_in(CODE, unexplained_noqa) == []


def test_nothing_is_left_for_later_in_a_comment() -> None:
    assert faults_in(CODE, lambda text: [n for n, line in enumerate(text.splitlines(), 1) if MARKS.search(line)]) == []


def test_tests_wait_for_events_not_for_time() -> None:
    assert faults_in(sorted((ROOT / "tests").rglob("*.py")), sleeps) == []


def test_no_file_holds_a_path_of_one_machine_or_the_address_of_an_index() -> None:
    found = [
        f"{relative(path)}:{number}: {line.strip()[:100]}"
        for path in files_of_the_project()
        for number, line in enumerate(path.read_text("utf-8", errors="replace").splitlines(), 1)
        if ADDRESSES.search(line) or str(ROOT) in line
    ]
    assert found == []


def test_every_rule_that_ruff_ignores_has_a_reason_beside_it() -> None:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    lint = tomllib.loads(text)["tool"]["ruff"]["lint"]
    ignored = [*lint["ignore"], *(code for codes in lint["per-file-ignores"].values() for code in codes)]
    section = text.partition("[tool.ruff.lint]")[2].partition("[tool.ruff.lint.pydocstyle]")[0]
    explained = re.findall(r'^    "([A-Z]+\d*)",\s+# \w+', section, re.MULTILINE)
    assert sorted(explained) == sorted(ignored)


def test_every_requirement_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wanted = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    wanted += [line for extra in project["project"]["optional-dependencies"].values() for line in extra]
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = {line.partition("==")[0].lower() for line in lines if not line.startswith("#")}
    assert {re.split(r"[^\w.-]", line)[0].lower() for line in wanted} - pins == set()


def test_amounts_become_words_in_one_room() -> None:
    pages = sorted((ROOT / "src").rglob("*.html"))
    elsewhere = [path for path in [*SOURCE, *pages] if "domain/text" not in path.as_posix()]
    assert faults_in(elsewhere, amounts) == []


@pytest.mark.parametrize(
    "line",
    [
        "time.sleep(1)",
        "from time import sleep",
        "threading.Event().wait(PATIENCE_SECONDS)",
        "pause.wait(_PAUSE)",
        "done = over.wait(timeout=0.5)",
        "thread.join(0.3)",
        "q.get(timeout=1)",
        "page.wait_for_timeout(500)",
        "asyncio.run(asyncio.sleep(0.1))",
        "asyncio.run(asyncio.wait([asking], timeout=0.3))",
        "until(lambda: time.monotonic() - began > 3)",
    ],
)
def test_a_wait_for_time_is_found_and_may_say_why(line: str) -> None:
    assert sleeps(f"x = 1\n{line}") == [2]
    assert sleeps(f"{line}  # time: nothing tells when it is over") == []


def test_a_wait_for_an_event_is_no_wait_for_time() -> None:
    limited = "over.wait(2 * PATIENCE_SECONDS)\nover.wait(timeout)\nprocess.wait()\nthread.join(PATIENCE_SECONDS)"
    assert (
        sleeps(f"{limited}\nthread.join()\n', '.join(x)\nd.get('a')\nasyncio.sleep(0)\nover.wait(chance.random())")
        == []
    )


def test_the_habits_find_what_they_look_for() -> None:
    assert names_any(ast.parse("def f(x: Any) -> typing.Any: ...")) == [1, 1]
    assert broad_excepts("try:\n    f()\nexcept (OSError, Exception):\n    pass") == [3]
    assert broad_excepts("try:\n    f()\nexcept:\n    pass") == [3]
    assert broad_excepts("try:\n    f()\nexcept Exception:  # boundary: a job must not end the worker\n    pass") == []
    assert broad_excepts("try:\n    f()\nexcept Exception:\n    # boundary: one job\n    pass") == []
    assert broad_excepts("try:\n    f()\nexcept OSError:\n    pass") == []
    skip = "x = 1  # no" + "qa"
    assert unexplained_noqa(f"{skip}\n{skip}: E501\n{skip}: E501, S101 - a long word") == [1, 2]
    assert amounts('f"{share:.0f} %"\nf"{count >> 20} MiB"\nf"{n} run(s) "\nf"{n} {size(n)}"') == [
        'f"{share:.0f} %"',
        'f"{count >> 20} MiB"',
        'f"{n} run(s) "',
    ]
    assert MARKS.search("# TO" + "DO: later")
    assert ADDRESSES.search('"/wo' + 'rk/main"')
    assert ADDRESSES.search("https://py" + "pi.org/simple")
    assert not ADDRESSES.search("src/network/wo" + "rk/x")


def test_a_class_name_means_one_thing() -> None:
    defined = Counter(
        node.name
        for path in SOURCE
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef)
    )
    assert [name for name, times in defined.items() if times > 1] == []

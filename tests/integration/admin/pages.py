"""The pages whose SQL and output are kept true: what they should say, from the prepared database and the real shell.

`python -m tests.integration.admin.pages` writes the outputs into the pages anew, to be read and committed.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path

from tests.integration.admin.prepared import at_now, prepare

from exlab_wizard.cli.terminal.output import Cell
from exlab_wizard.cli.terminal.table import aligned
from exlab_wizard.store.readonly.query import query
from exlab_wizard.store.readonly.questions import SavedQuestion, questions
from exlab_wizard.store.sqlite.values import Value

DOCS = Path(__file__).resolve().parents[3] / "docs"
TYPED = re.compile(r"^```sql\n(?P<sql>.*?)^```\n(?:\n```text\n.*?^```\n)?", re.MULTILINE | re.DOTALL)
INTRODUCTION = """# Saved questions

`exlab-wizard sql --list` lists them, `exlab-wizard sql --run NAME` runs one, `--param NAME=VALUE` changes a default,
and `--csv` or `--json` is for programs. Each is a plain file in the package, `store/readonly/questions/NAME.sql`: copy
one and change it. The answers below come from the prepared database of the tests, whose clock is set to
2026-03-02 12:00 UTC.
"""


def questions_page(database: Path) -> str:
    """Return the page of the saved questions with their answers."""
    return "\n".join([INTRODUCTION, *(_section(database, asked) for asked in questions())])


def _section(database: Path, asked: SavedQuestion) -> str:
    answer = query(database, at_now(asked.sql), asked.defaults)
    told = [
        f"- `{it.name}` ({'NULL' if it.default is None else it.default!s}): {it.meaning}" for it in asked.parameters
    ]
    parameters = "".join(f"{line}\n" for line in told) + "\n" * bool(told)
    shown = "\n".join(aligned(answer.columns, [[_text(value) for value in row] for row in answer.rows]))
    return (
        f"## {asked.name}\n\n{asked.asks} Asked by {asked.asked_by}\n\n{parameters}"
        f"```sql\n{asked.sql}\n```\n\n```text\n{shown}\n```\n"
    )


def _text(value: Value) -> Cell:
    return os.fsdecode(value) if isinstance(value, bytes) else value


def typed(database: Path, sql: str) -> str:
    """Type `sql` into the shell, and return what can be seen then."""
    said = subprocess.run(
        ["sqlite3", "-bail", "-header", "-column", str(database), at_now(sql)],
        capture_output=True,
        text=True,
        check=False,
    )
    lines = (said.stdout + said.stderr).splitlines()
    return "".join(f"{line.rstrip()}\n" for line in lines)


def cookbook(database: Path, page: str) -> str:
    """Return the page with every block of SQL followed by what it shows, the blocks typed in their order."""

    def shown(block: re.Match[str]) -> str:
        seen = typed(database, block["sql"])
        return f"```sql\n{block['sql']}```\n" + (f"\n```text\n{seen}```\n" if seen else "")

    return TYPED.sub(shown, page)


def main() -> None:
    """Write both pages."""
    with tempfile.TemporaryDirectory() as folder:
        database, _ = prepare(Path(folder))
        (DOCS / "questions.md").write_text(questions_page(database), "utf-8")
        page = DOCS / "admin.md"
        page.write_text(cookbook(database, page.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()

"""Datasette, restricted to reading: our connections, threads and error sentences, no foreign plugins, no downloads.

The only module that imports it. Only the pages of this database are open, and their static files.
"""

from __future__ import annotations

import base64
import hashlib
import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

from datasette import hookimpl
from datasette.app import Datasette
from datasette.database import Database as _Database
from datasette.database import QueryInterrupted
from datasette.plugins import DEFAULT_PLUGINS, pm
from datasette.utils.asgi import Base400, NotFound
from datasette.utils.sqlite import sqlite3
from datasette.views.base import DatasetteError
from starlette.types import ASGIApp

from exlab_wizard.domain.text.amounts import elapsed, size
from exlab_wizard.errors import StoreError
from exlab_wizard.server.errors import ApiError, Code
from exlab_wizard.server.thread_pools import ThreadPool
from exlab_wizard.store.readonly.browsing import MEMORY_BYTES, Readers
from exlab_wizard.store.readonly.questions import SavedQuestion, questions, relations
from exlab_wizard.store.sqlite.driver import driver
from exlab_wizard.store.sqlite.values import Value

_T = TypeVar("_T")
TIME_LIMIT_MS: Final = 1_000
ROWS: Final = 1_000
QUESTION: Final = "ask-"
"""The prefix of each saved question: one has the name of a table."""
_SETTINGS: Final[Mapping[str, int | bool | str]] = {
    "sql_time_limit_ms": TIME_LIMIT_MS,
    "max_returned_rows": ROWS,
    "allow_download": False,
    "allow_csv_stream": False,
    "suggest_facets": False,
    "num_sql_threads": 1,
    "default_cache_ttl": 0,
}
_PLUGINS: Final = frozenset(DEFAULT_PLUGINS) - {"datasette.handle_exception"}
_LATE: Final = (
    f"The query was interrupted: it ran longer than {elapsed(TIME_LIMIT_MS / 1000)}, or needs more than"
    f" {size(MEMORY_BYTES)} of memory. Narrow it down."
)
_INLINE: Final = re.compile(r"<script>(.*?)</script>", re.DOTALL)


class _File(_Database):  # type: ignore[misc]  # ships no types
    """The live database, over connections that can only read."""

    def __init__(self, datasette: Datasette, path: Path, readers: Readers, pool: ThreadPool) -> None:
        super().__init__(datasette, str(path), is_mutable=True)
        self._readers, self._pool = readers, pool

    async def execute_fn(self, fn: Callable[[driver.Connection], _T]) -> _T:
        return await self._pool.run(lambda: self._readers.run(fn))

    async def execute_write_fn(self, fn: Callable[[driver.Connection], _T], block: bool = True) -> _T:  # noqa: ARG002, FBT001, FBT002 - Datasette's form
        raise StoreError("the database is read-only here")

    def connect(self, write: bool = False) -> driver.Connection:  # noqa: ARG002, FBT001, FBT002 - Datasette's form
        raise StoreError("only the readers open the database")

    async def execute(self, *args: object, **kwargs: object) -> object:
        # Otherwise it writes failed queries to stderr, with everything a query string holds.
        return await super().execute(*args, **{**kwargs, "log_sql_errors": False})


class _Memory(_Database):  # type: ignore[misc]  # likewise
    """Datasette's catalog of the tables, in memory, without a thread of its own."""

    def __init__(self, datasette: Datasette, pool: ThreadPool) -> None:
        super().__init__(datasette, is_memory=True)
        self._pool = pool
        self._lock = threading.Lock()
        self._catalog = driver.connect(":memory:", check_same_thread=False)
        self._catalog.row_factory = driver.Row

    async def execute_fn(self, fn: Callable[[driver.Connection], _T]) -> _T:
        def run() -> _T:
            with self._lock:
                return fn(self._catalog)

        return await self._pool.run(run)

    async def execute_write_fn(self, fn: Callable[[driver.Connection], _T], block: bool = True) -> _T:  # noqa: ARG002, FBT001, FBT002 - Datasette's form
        return await self.execute_fn(fn)


class _Refusals:
    """Leaves errors to the application, as everywhere else; Datasette would print them, with all values."""

    @staticmethod
    @hookimpl  # type: ignore[untyped-decorator]  # likewise
    def handle_exception(exception: Exception) -> None:
        """Raise it again, as a refusal where the request caused it.

        Raises:
            ApiError: there is no such page, or the query cannot be run.
        """
        if isinstance(exception, NotFound):
            message = f"There is nothing at this path of the database. {exception}"
            raise ApiError(Code.NOT_FOUND, message.strip()) from exception
        if isinstance(exception, QueryInterrupted) or (
            isinstance(exception, DatasetteError) and exception.message_is_html
        ):
            raise ApiError(Code.BAD_REQUEST, _LATE) from exception
        if isinstance(exception, DatasetteError):
            raise ApiError(Code.BAD_REQUEST, str(exception.message)) from exception
        if isinstance(exception, Base400 | driver.Error | driver.Warning):
            raise ApiError(Code.BAD_REQUEST, str(exception)) from exception
        if isinstance(
            exception, ArithmeticError | AssertionError | AttributeError | LookupError | TypeError | ValueError
        ):
            odd = f"Datasette cannot handle this URL ({type(exception).__name__}). Remove its last parameters."
            raise ApiError(Code.BAD_REQUEST, odd) from exception
        raise exception


class DatabaseBrowser:
    """The ASGI application for the database at `path`, and the content security policy of its pages below `base`.

    Raises:
        StoreError: Datasette uses a different SQLite library: closing one drops the locks of the other.
    """

    def __init__(self, path: Path, readers: Readers, pool: ThreadPool, base: str) -> None:
        driver.enable_callback_tracebacks(False)  # noqa: FBT003 - a function in C; Datasette switches it on globally
        if sqlite3.sqlite_version != driver.sqlite_version or sqlite3.Row is not driver.Row:
            msg = "Datasette uses a different SQLite library, which would break database locks; reinstall both"
            raise StoreError(msg)
        for plugin in pm.get_plugins() - {pm.get_plugin(name) for name in _PLUGINS}:
            pm.unregister(plugin)
        pm.register(_Refusals)
        self._name = path.stem
        datasette = Datasette(
            [], memory=False, metadata=_metadata(self._name), settings={**_SETTINGS, "base_url": base}
        )
        datasette.databases.clear()
        datasette.add_database(_Memory(datasette, pool), name="_internal")
        datasette.add_database(_File(datasette, path, readers, pool), name=self._name)
        self.app: ASGIApp = datasette.app()
        self.policy = _policy(datasette)

    def has(self, path: str) -> bool:
        """Return whether a page may be shown: the first one, and those of this database."""
        ours = f"/{self._name}"
        return path in ("/", ours, f"{ours}.json", f"{ours}.csv") or path.startswith((f"{ours}/", "/-/static/"))


def _metadata(name: str) -> dict[str, object]:
    tables: dict[str, object] = {
        one.name: {"description": one.holds, "columns": dict(one.columns)} for one in relations()
    }
    tables["alembic_version"] = {"hidden": True}
    database = {
        "description": "The live database of this installation, read-only. Times are UTC.",
        "tables": tables,
        "queries": {f"{QUESTION}{one.name}": _canned(one) for one in questions()},
    }
    return {"title": "exlab-wizard", "databases": {name: database}}


def _canned(question: SavedQuestion) -> dict[str, object]:
    """Return a saved question; an empty field of its form means the default."""
    sql = question.sql
    for parameter in question.parameters:
        given = f"coalesce(nullif(:{parameter.name}, ''), {_literal(parameter.default)})"
        # A form sends only text.
        given = f"CAST({given} AS INTEGER)" if isinstance(parameter.default, int) else given
        sql = re.sub(rf":{parameter.name}\b", given, sql)
    meanings = [f"{one.name}: {one.meaning} (default {one.default!s})" for one in question.parameters]
    return {
        "title": question.asks,
        "description": "\n".join([f"Asked by {question.asked_by}", *meanings]),
        "sql": sql,
        "hide_sql": False,
    }


def _literal(value: Value) -> str:
    match value:
        case None:
            return "NULL"
        case int() | float():
            return str(value)
        case str():
            doubled = value.replace("'", "''")
            return f"'{doubled}'"
    raise TypeError(value)


def _policy(datasette: Datasette) -> str:
    """Return the content security policy: Datasette's own files, and its few inline scripts by their hashes."""
    environment = datasette.jinja_env
    sources = [environment.loader.get_source(environment, name)[0] for name in environment.list_templates()]
    scripts = {script for source in sources for script in _INLINE.findall(source) if "{{" not in script}
    scripts.add("DATASETTE_ALLOW_FACET = true;")
    hashes = sorted(base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{one}'" for one in hashes)
    return (
        f"default-src 'none'; script-src 'self' {allowed}; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
        " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )

"""The entry: options before the command, and how every end of a command becomes an exit status and at most one line.

Nothing heavy is imported here. Exit status: 0 done, 1 failed, 2 wrong usage, 3 not running, 4 refused, 130 Ctrl-C.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

import click

from exlab_wizard import __version__
from exlab_wizard.cli.context import Place
from exlab_wizard.cli.lazy import Lazy, LazyGroup
from exlab_wizard.cli.terminal.output import complain, example
from exlab_wizard.errors import ExlabError, SettingsError

PROGRAM: Final = "exlab-wizard"
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141
_ROOM: Final = "exlab_wizard.cli.commands"


class _Commands(LazyGroup):
    lazy: ClassVar[Mapping[str, Lazy]] = {
        "run": Lazy(f"{_ROOM}.run:run", "start the application; one for each state dir"),
        "open": Lazy(f"{_ROOM}.open:open_command", "open or focus the window, starting the application if needed"),
        "autostart": Lazy(f"{_ROOM}.autostart:autostart", "start the application at log-in, or not"),
        "sync": Lazy(f"{_ROOM}.sync:sync", "queue runs for a destination, whether the application runs or not"),
        "status": Lazy(f"{_ROOM}.status:status", "what runs, waits and failed, at a glance"),
        "jobs": Lazy(f"{_ROOM}.jobs:jobs", "list sync jobs, or one job with its timeline"),
        "retry": Lazy(f"{_ROOM}.decide:retry", "queue failed jobs again"),
        "cancel": Lazy(f"{_ROOM}.decide:cancel", "cancel jobs; a running copy stops within a second"),
        "pause": Lazy(f"{_ROOM}.pause:pause", "pause syncing; what is queued stays queued"),
        "resume": Lazy(f"{_ROOM}.pause:resume", "go on after a pause"),
        "sessions": Lazy(f"{_ROOM}.history:sessions", "list sessions, the active ones first"),
        "history": Lazy(f"{_ROOM}.history:history", "list launches and quits, the newest first"),
        "logs": Lazy(f"{_ROOM}.logs:logs", "the log of this launch and earlier ones; -f follows it"),
        "quit": Lazy(f"{_ROOM}.quit:quit_command", "quit the running application; asks here if work is left"),
        "sql": Lazy(f"{_ROOM}.sql:sql", "read-only SQL on the live database"),
        "admin": Lazy(f"{_ROOM}.admin:admin", "look through the live database in the window; the extra `admin`"),
        "destination": Lazy(f"{_ROOM}.destination:destination", "add, list and test destinations"),
        "db": Lazy(f"{_ROOM}.db.group:db", "check, back up, restore and upgrade the database"),
        "doctor": Lazy(f"{_ROOM}.doctor:doctor", "look at everything that could be wrong, each with its remedy"),
        "demo": Lazy(
            "exlab_wizard.cli.demo.story:demo",
            "the whole story in under a minute: sync, kill -9, relaunch, resume, verify",
        ),
    }

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; Ctrl-C and a reader that went away end it quietly."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            complain("stopped")
            raise click.exceptions.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            _forget_stdout()
            raise click.exceptions.Exit(BROKEN_PIPE) from None


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=example(
        "exlab-wizard destination add nas /mnt/nas/lab", "exlab-wizard run --headless", "exlab-wizard sync /data/run-17"
    ),
)
@click.option("--state-dir", metavar="DIR", help="Where the database lies (else EXLAB_STATE_DIR, else your state dir).")
@click.option("--config", metavar="FILE", help="The configuration (else EXLAB_CONFIG, else config.toml in its place).")
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context, state_dir: str | None, config: str | None) -> None:
    """Bring the runs of instruments to the NAS without ever losing pending work.

    A run is a folder that an instrument wrote. `sync` queues it in a database, `run` starts the application that copies
    it, reads it back and publishes it. Quit, crash or pull the plug at any time: the next `run` goes on at the byte.
    Every command has its own --help with an example.
    """
    ctx.obj = Place.named(state_dir, config)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; what went wrong is one line on stderr, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        return _run(arguments)
    except ExlabError as error:
        for line in str(error).splitlines() if isinstance(error, SettingsError) else [str(error)]:
            complain(line)
        return error.exit_status
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        complain(_explained(error))
        return error.exit_code
    except click.Abort:
        complain("stopped")
        return INTERRUPTED
    except (OSError, MemoryError, RuntimeError) as error:
        complain(_refused_by_the_system(error))
        return 1


def _run(arguments: Sequence[str] | None) -> int:
    try:
        status: object = cli.main(
            args=None if arguments is None else list(arguments), prog_name=PROGRAM, standalone_mode=False
        )
        sys.stdout.flush()
    except BrokenPipeError:
        _forget_stdout()
        return BROKEN_PIPE
    return status if isinstance(status, int) else 0


def _refused_by_the_system(error: Exception) -> str:
    """Return the sentence for it; what is no refusal of the system is a fault of ours, and keeps its trace."""
    from exlab_wizard.transfer.failures import exhausted, is_exhaustion  # noqa: PLC0415 - only where it went wrong

    if is_exhaustion(error):
        return exhausted(error)
    if isinstance(error, OSError):
        where = "" if error.filename is None else f" {str(error.filename)!r}"
        return f"cannot use{where}: {error.strerror or error}. Check that it is there and that your account may use it."
    raise error


def _explained(error: click.ClickException) -> str:
    message = error.format_message().rstrip(".")
    if isinstance(error, click.UsageError) and error.ctx is not None:
        return f"{message}. See: {error.ctx.command_path} --help"
    return message


def _forget_stdout() -> None:
    """Let the interpreter's last flush go nowhere; the reader is gone."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)

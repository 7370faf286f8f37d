"""The entry point: lists the commands, and turns every end of one into an exit status and at most one line.

To add a command: a line in `summaries`, and `commands/NAME.py` with an object `command`; or, for one that shares the
module of another, a line in `beside`.

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
from exlab_wizard.cli.lazy import LazyGroup
from exlab_wizard.cli.options import Locations
from exlab_wizard.cli.terminal.output import complain, example
from exlab_wizard.errors import ExlabError, SettingsError

PROGRAM: Final = "exlab-wizard"
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141


class _Commands(LazyGroup):
    room = "exlab_wizard.cli.commands"
    summaries: ClassVar[Mapping[str, str]] = {
        "run": "start the application; one instance for each state dir",
        "open": "open or focus the window, starting the application if needed",
        "autostart": "turn start at login on or off",
        "sync": "queue runs for a destination, whether or not the application is running",
        "status": "show running, waiting and failed runs",
        "jobs": "list sync jobs, or show one job with its timeline",
        "retry": "queue failed jobs again",
        "cancel": "cancel jobs; a running copy stops within a second",
        "pause": "pause syncing; queued runs stay queued",
        "resume": "resume syncing after a pause",
        "sessions": "list sessions, the active ones first",
        "history": "list launches and quits, the newest first",
        "logs": "show the log of this and earlier launches; -f follows it",
        "quit": "quit the running application; prompts here if work is still running",
        "sql": "run read-only SQL on the live database",
        "admin": "browse the live database in the window; needs the extra `admin`",
        "destination": "add, list and test destinations",
        "db": "check, back up, restore and upgrade the database",
        "doctor": "check this machine for problems and suggest remedies",
        "demo": "see it work in about a minute: sync, kill -9, relaunch, resume, verify",
    }
    beside: ClassVar[Mapping[str, str]] = {"cancel": "retry", "resume": "pause", "admin": "open"}

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; Ctrl-C and a closed pipe end it quietly."""
        try:
            result: object = super().invoke(ctx)
            sys.stdout.flush()
        except KeyboardInterrupt:
            complain("stopped")
            raise click.exceptions.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            _forget_stdout()
            raise click.exceptions.Exit(BROKEN_PIPE) from None
        return result


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=example(
        "exlab-wizard destination add nas /mnt/nas/lab", "exlab-wizard run --headless", "exlab-wizard sync /data/run-17"
    ),
)
@click.option(
    "--state-dir",
    metavar="DIR",
    help="Folder of the database (default: EXLAB_STATE_DIR, else exlab-wizard in your account's state folder).",
)
@click.option(
    "--config",
    metavar="FILE",
    help="Configuration file (default: EXLAB_CONFIG, else config.toml in DIR, if given, or your configuration folder).",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context, state_dir: str | None, config: str | None) -> None:
    """Copy instrument runs to the NAS without ever losing pending work.

    A run is a folder that an instrument wrote. `sync` queues it in a database; `run` starts the application, which
    copies it, reads it back and publishes it. You can quit it, kill it or pull the plug at any time: the
    next `run` resumes the copy where it stopped. Every command has its own --help with an example.
    """
    ctx.obj = Locations.from_options(state_dir, config)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; an error is one line on stderr, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        given = None if arguments is None else list(arguments)
        status: object = cli.main(args=given, prog_name=PROGRAM, standalone_mode=False)
        return status if isinstance(status, int) else 0
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


def _refused_by_the_system(error: Exception) -> str:
    """Return the sentence for an error of the system; any other error is a bug of ours, and keeps its trace."""
    from exlab_wizard.transfer.failures import exhausted, is_exhaustion  # noqa: PLC0415 - only after an error

    if is_exhaustion(error):
        return exhausted(error)
    if isinstance(error, OSError):
        if error.filename is None:
            return f"the system reports an error: {error.strerror or error}. Find its cause with: exlab-wizard doctor"
        name, why = str(error.filename), error.strerror or error
        return f"cannot access {name!r}: {why}. Check that it exists and that your account has access to it."
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

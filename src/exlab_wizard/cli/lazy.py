"""A group of commands that loads a command only when it is called, so that `--help` answers at once."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Mapping
from typing import ClassVar

import click


class LazyGroup(click.Group):
    """Commands, each with its line in `summaries`.

    The command `name` is the object `command` of the module `name` in `room`, or, with a second name in `beside`, the
    object `name` of the module of that second one.
    """

    room: ClassVar[str]
    summaries: ClassVar[Mapping[str, str]]
    beside: ClassVar[Mapping[str, str]] = {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of a day's work."""
        return [*self.summaries, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load and return the command, or None when there is none of that name."""
        if cmd_name not in self.summaries:
            return super().get_command(ctx, cmd_name)
        module, name = (self.beside[cmd_name], cmd_name) if cmd_name in self.beside else (cmd_name, "command")
        gc.disable()  # It would look through objects that stay anyway, for a tenth of the time that the import takes.
        try:
            command: object = getattr(importlib.import_module(f"{self.room}.{module}"), name)
        finally:
            gc.freeze()
            gc.enable()
        if not isinstance(command, click.Command):
            raise TypeError(cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """Write the list of commands without loading one."""
        rows = list(self.summaries.items())
        rows += [(name, command.get_short_help_str(100)) for name, command in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

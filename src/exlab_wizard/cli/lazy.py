"""A group of commands that loads a command only when it is called, so that `--help` answers at once.

Names and one-line helps are written down beside the place of the code; the code itself stays unread.
"""

from __future__ import annotations

import gc
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import ClassVar

import click


@dataclass(frozen=True, slots=True)
class Lazy:
    """Where a command is, as `module:attribute`, and what the list of commands says about it."""

    target: str
    summary: str


class LazyGroup(click.Group):
    """Commands by name, in the order in which they are listed. A subclass fills `lazy`."""

    lazy: ClassVar[Mapping[str, Lazy]] = {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of a day's work."""
        return [*self.lazy, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load and return the command, or None when there is none of that name."""
        entry = self.lazy.get(cmd_name)
        if entry is None:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = entry.target.partition(":")
        command: object = getattr(_loaded(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(entry.target)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """Write the list of commands without loading one."""
        rows = [(name, entry.summary) for name, entry in self.lazy.items()]
        rows += [(name, command.get_short_help_str(100)) for name, command in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _loaded(module: str) -> ModuleType:
    """Import with the garbage collector off: it would look through what stays anyway, for a tenth of the time."""
    gc.disable()
    try:
        return importlib.import_module(module)
    finally:
        gc.freeze()
        gc.enable()

"""`demo`: the whole story on this machine, with the real program, a real kill and a real read-back."""

from __future__ import annotations

import click

from exlab_wizard.cli.demo.stage import stage
from exlab_wizard.cli.demo.story import Story
from exlab_wizard.cli.terminal.output import emit, example, json_option, say


@click.command("demo", epilog=example("exlab-wizard demo", "exlab-wizard demo --keep"))
@click.option("--keep", is_flag=True, help="Keep the scratch folder, to inspect the database and the files.")
@json_option
def command(*, keep: bool, as_json: bool) -> None:
    """Show what this program does, in about a minute and in a temporary folder that is removed at the end.

    Syncs a run, kills the program with SIGKILL in the middle of a large file, starts it again, shows what was resumed
    and what was not sent again, and verifies the copy with sha256sum. Then it forces a quit during a second sync,
    starts the program again, and ends with both runs verified.
    """
    with stage(keep=keep) as here:
        story = Story(here, quiet=as_json)
        story.run()
        if as_json:
            emit({**story.facts, "folder": str(here.root) if keep else None})
        elif keep:
            say(f"The scratch folder was kept: {here.root}")

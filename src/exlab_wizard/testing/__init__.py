"""For programs that embed exlab-wizard: the real application in a temporary folder, killed wherever you like.

In a `conftest.py`, or at the top of a test file::

    pytest_plugins = ["exlab_wizard.testing"]

Then use the fixture `exlab`::

    def test_a_run_survives_a_crash_while_it_is_published(exlab):
        exlab.sync(exlab.make_run("run-17", {"detector.raw": 20_000_000}))
        exlab.kill_at("publish:before_rename")   # starts it, and proves that it died exactly there
        exlab.relaunch()
        exlab.until_idle()
        exlab.assert_nothing_lost()

`exlab` is a `Lab`: a state dir, a marked destination `nas` and a configuration, all below pytest's temporary folder.
The points are listed in `exlab_wizard.crash_points.Point`. pytest comes with the extra `exlab-wizard[testing]`; `Lab`
itself does not need it.
"""

from __future__ import annotations

from exlab_wizard.testing.application import PATIENCE_SECONDS, Application, Process, until
from exlab_wizard.testing.lab import Handed, Lab
from exlab_wizard.testing.runs import MIB, Picture, picture, write_run

__all__ = [
    "MIB",
    "PATIENCE_SECONDS",
    "Application",
    "Handed",
    "Lab",
    "Picture",
    "Process",
    "picture",
    "until",
    "write_run",
]

# pytest also reads this from the plugin, so the package can be imported without pytest.
pytest_plugins = ["exlab_wizard.testing.fixtures"]

"""Runs a module with workers that look for work only when they are woken: `python -m tests.support.only_woken`.

So what takes effect at once does so because it was noticed, and not because the workers looked by themselves.
"""

from __future__ import annotations

import runpy
import sys
from unittest import mock

if __name__ == "__main__":
    module, *arguments = sys.argv[1:]
    sys.argv = [module, *arguments]
    with mock.patch("exlab_wizard.workers.pool.IDLE_POLL_INTERVAL_SECONDS", 86_400.0):
        runpy.run_module(module, run_name="__main__", alter_sys=True)

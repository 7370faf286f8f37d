from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from tests.integration.client.calls import jobs

from exlab_wizard.testing import PATIENCE_SECONDS, Lab, until

pytestmark = pytest.mark.slow

ACQUISITION = """
import sys
from exlab_wizard.client import Client

state_dir, run = sys.argv[1:]
with Client.connect(state_dir).session(kind="run", label="suspended", ttl_s=1.5) as session:
    print("open", flush=True)
    sys.stdin.readline()
    session.renew()
    print("went on", flush=True)
    sys.stdin.readline()
    session.add_run(run, "nas")
print(session.jobs, flush=True)
"""


def test_suspended_beyond_its_lease_it_opens_another_and_queues_its_run(running: Lab) -> None:
    run = running.make_run()
    command = [sys.executable, "-c", ACQUISITION, str(running.state), str(run)]
    with subprocess.Popen(
        command, env=running.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as acquisition:
        assert acquisition.stdin is not None
        assert acquisition.stdout is not None
        assert acquisition.stdout.readline() == "open\n"
        acquisition.send_signal(signal.SIGSTOP)
        until(
            lambda: running.query("SELECT state FROM session_leases") == [("expired",)],
            what="the lease of a client that sends no heartbeats to expire",
        )
        acquisition.send_signal(signal.SIGCONT)
        acquisition.stdin.write("\n")
        acquisition.stdin.flush()
        assert acquisition.stdout.readline() == "went on\n"
        assert running.query("SELECT state FROM session_leases ORDER BY opened_at") == [("expired",), ("active",)]
        acquisition.stdin.write("\n")
        acquisition.stdin.flush()
        assert acquisition.stdout.readline() == "[1]\n"
        assert acquisition.wait(PATIENCE_SECONDS) == 0
    assert [path for path, _ in jobs(running)] == [str(run)]
    running.until_idle()

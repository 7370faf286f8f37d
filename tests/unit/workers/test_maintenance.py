"""What jobs leave on the NAS when nobody wants them any more is removed; what may still be wanted stays."""

from __future__ import annotations

from pathlib import Path

from tests.support.bench import Bench

from exlab_wizard.domain.job import OperatorMove
from exlab_wizard.paths import StateDir
from exlab_wizard.store.upkeep.backup import Backups
from exlab_wizard.transfer.destination.publish import INCOMING
from exlab_wizard.workers.maintenance import Maintenance


def test_partial_copies_of_cancelled_and_deleted_jobs_are_removed_and_no_others(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    backups = Backups(StateDir(bench.database.path.parent))
    maintenance = Maintenance(bench.store, backups, bench.settings, bench.clock, check=False)
    deleted, cancelled, pending = (bench.enqueue(f"/run-{number}") for number in range(3))
    for job in (deleted, cancelled):
        bench.jobs.decide([job], OperatorMove.CANCEL)
    bench.database.connection().execute("DELETE FROM sync_jobs WHERE id = ?", (deleted,))
    unknown = pending + 1
    installation = bench.store.launches.installation_id()
    copies = {
        job: tmp_path / "nas" / INCOMING / f"{installation}-{job}" for job in (deleted, cancelled, pending, unknown)
    }
    for folder in copies.values():
        folder.mkdir(parents=True)
    maintenance.remove_partials()
    assert [job for job, folder in copies.items() if folder.exists()] == [pending, unknown]
    bench.close()

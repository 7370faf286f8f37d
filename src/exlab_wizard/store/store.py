"""Everything in the database behind one name, for the assembly of a program over it."""

from __future__ import annotations

from exlab_wizard.store.queue.checkpoints import Files
from exlab_wizard.store.queue.drain import DrainQueries
from exlab_wizard.store.queue.jobs import Jobs
from exlab_wizard.store.queue.launches import Launches
from exlab_wizard.store.queue.quits import Quits
from exlab_wizard.store.queue.sessions import Sessions
from exlab_wizard.store.reports.activity import ActivityReport
from exlab_wizard.store.reports.events import EventsReport
from exlab_wizard.store.reports.history import HistoryReport
from exlab_wizard.store.reports.metrics import MetricsReport
from exlab_wizard.store.reports.rows import RowsReport
from exlab_wizard.store.reports.status import StatusReport
from exlab_wizard.store.sqlite.database import Database


class Store:
    """The queue, which is written, and the reports, which are only read, over one `Database`."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.jobs = Jobs(database)
        self.files = Files(database)
        self.sessions = Sessions(database)
        self.launches = Launches(database)
        self.drain = DrainQueries(database)
        self.quits = Quits(database)
        self.status = StatusReport(database)
        self.activity = ActivityReport(database)
        self.events = EventsReport(database)
        self.rows = RowsReport(database)
        self.history = HistoryReport(database)
        self.metrics = MetricsReport(database)

    def close(self) -> None:
        """Close every connection of this process."""
        self.database.close()

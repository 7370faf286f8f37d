"""Everything in the database behind one name, for whoever assembles a program over it."""

from __future__ import annotations

from exlab_wizard.store.queue.checkpoints import Files
from exlab_wizard.store.queue.drain import Drain
from exlab_wizard.store.queue.jobs import Jobs
from exlab_wizard.store.queue.launches import Launches
from exlab_wizard.store.queue.quits import Quits
from exlab_wizard.store.queue.sessions import Sessions
from exlab_wizard.store.reports.alerts import Alerts
from exlab_wizard.store.reports.changes import Changes
from exlab_wizard.store.reports.charts import Figures
from exlab_wizard.store.reports.headline import Glances
from exlab_wizard.store.reports.last_exit import Aftermaths
from exlab_wizard.store.reports.metrics import Measures
from exlab_wizard.store.reports.now import Current
from exlab_wizard.store.reports.published import Publications
from exlab_wizard.store.reports.rows import Lists
from exlab_wizard.store.reports.run_files import Contents
from exlab_wizard.store.reports.search import History
from exlab_wizard.store.sqlite.database import Database


class Store:
    """The nouns of the database, over one `Database`."""

    def __init__(self, database: Database) -> None:
        """Build every noun over `database`."""
        self.database = database
        self.jobs = Jobs(database)
        self.files = Files(database)
        self.sessions = Sessions(database)
        self.launches = Launches(database)
        self.drain = Drain(database)
        self.quits = Quits(database)
        self.lists = Lists(database)
        self.changes = Changes(database)
        self.glances = Glances(database)
        self.history = History(database)
        self.contents = Contents(database)
        self.figures = Figures(database)
        self.measures = Measures(database)
        self.current = Current(database)
        self.aftermaths = Aftermaths(database)
        self.publications = Publications(database)
        self.alerts = Alerts(database)

    def close(self) -> None:
        """Close every connection of this process."""
        self.database.close()

"""Everything in the database behind one name, for whoever assembles a program over it."""

from __future__ import annotations

from exlab_wizard.store.aftermath import Aftermaths
from exlab_wizard.store.alerts import Alerts
from exlab_wizard.store.changes import Changes
from exlab_wizard.store.contents import Contents
from exlab_wizard.store.current import Current
from exlab_wizard.store.database import Database
from exlab_wizard.store.drain import Drain
from exlab_wizard.store.figures import Figures
from exlab_wizard.store.files import Files
from exlab_wizard.store.glance import Glances
from exlab_wizard.store.history import History
from exlab_wizard.store.jobs import Jobs
from exlab_wizard.store.launches import Launches
from exlab_wizard.store.lists import Lists
from exlab_wizard.store.measures import Measures
from exlab_wizard.store.publications import Publications
from exlab_wizard.store.quits import Quits
from exlab_wizard.store.sessions import Sessions


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

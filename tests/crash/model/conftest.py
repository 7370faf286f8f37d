"""The database and the launch that the tests of the store begin with, here too."""

from __future__ import annotations

from tests.unit.store.conftest import launch_id, migrated, place, store

__all__ = ["launch_id", "migrated", "place", "store"]

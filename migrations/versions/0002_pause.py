"""A launch can be paused: nothing is claimed while `launches.paused_since` is set."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_HISTORY = """
CREATE VIEW launch_history AS
SELECT id, started_at, ended_at, coalesce(end_reason, 'still running, or not seen since') AS ended,
  jobs_resumed, host, pid, version, healthy_at, draining_since{paused}
FROM launches
"""


def upgrade() -> None:
    """Add the column to the table and the view."""
    op.execute("ALTER TABLE launches ADD COLUMN paused_since TEXT")
    op.execute("DROP VIEW launch_history")
    op.execute(_HISTORY.format(paused=", paused_since"))


def downgrade() -> None:
    """Drop the column; the older program knows no pauses."""
    op.execute("DROP VIEW launch_history")
    op.execute("ALTER TABLE launches DROP COLUMN paused_since")
    op.execute(_HISTORY.format(paused=""))

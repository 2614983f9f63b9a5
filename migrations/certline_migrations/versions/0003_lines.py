"""Settings of lines and keys."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    for table in ("lines", "keys"):
        op.add_column(table, _no_options())


def _no_options() -> "sa.Column[str]":
    """Rows that are there have none; new rows are always written whole."""
    return sa.Column("options", sa.Text(), nullable=False, server_default="{}")

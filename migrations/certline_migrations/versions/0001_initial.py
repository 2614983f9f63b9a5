"""The first schema: the installation, what the operator sets up, followers, lines and their orders."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | None = None
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")


def _where(condition: str) -> dict[str, Any]:
    """Arguments of a partial index."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def upgrade() -> None:
    _installation()
    _configuration()
    _followers()
    _lines()
    _orders()
    _deployments()


def _installation() -> None:
    op.create_table(
        "instance",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_instance"),
    )
    op.create_table(
        "data_keys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kek_id", sa.Text(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_data_keys"),
    )
    op.create_table(
        "secrets",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_secrets"),
    )
    op.create_table(
        "admin_tokens",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("expires", TIME),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("revoked", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_admin_tokens"),
    )
    op.create_index("ix_admin_tokens_prefix", "admin_tokens", ["prefix"])
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_subject_id", "events", ["subject", "id"])


def _configuration() -> None:
    op.create_table(
        "issuers",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("directory_url", sa.Text(), nullable=False),
        sa.Column("contact", sa.Text(), nullable=False),
        sa.Column("profile", sa.Text()),
        sa.Column("preferred_chain", sa.Text()),
        sa.Column("ca_certificates", sa.Text()),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("profiles", sa.Text()),
        sa.Column("account_url", sa.Text()),
        sa.Column("account_key", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_issuers"),
        sa.ForeignKeyConstraint(["account_key"], ["secrets.id"], name="fk_issuers_account_key"),
        sa.UniqueConstraint("name", name="uq_issuers_name"),
    )
    op.create_table(
        "zones",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("solver", sa.Text(), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_zones"),
        sa.ForeignKeyConstraint(["secret"], ["secrets.id"], name="fk_zones_secret"),
        sa.UniqueConstraint("name", name="uq_zones_name"),
    )
    op.create_table(
        "http_names",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("solver", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_http_names"),
        sa.UniqueConstraint("name", name="uq_http_names_name"),
    )


def _followers() -> None:
    op.create_table(
        "followers",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("identity_key", sa.LargeBinary()),
        sa.Column("sealing_key", sa.LargeBinary()),
        sa.Column("agent", sa.Text()),
        sa.Column("created", TIME),
        sa.Column("enrolled", TIME),
        sa.Column("last_seen", TIME),
        sa.Column("manifest_serial", sa.Integer(), nullable=False),
        sa.Column("manifest_tag", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_followers"),
        sa.UniqueConstraint("name", name="uq_followers_name"),
    )
    op.create_table(
        "grants",
        sa.Column("follower_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("follower_id", "kind", "name", name="pk_grants"),
        sa.ForeignKeyConstraint(["follower_id"], ["followers.id"], name="fk_grants_follower_id", ondelete="CASCADE"),
    )
    op.create_table(
        "enrolment_tokens",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("follower_id", sa.Text(), nullable=False),
        sa.Column("mac_key", sa.Text(), nullable=False),
        sa.Column("expires", TIME, nullable=False),
        sa.Column("used", TIME),
        sa.Column("used_by", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_enrolment_tokens"),
        sa.ForeignKeyConstraint(
            ["follower_id"], ["followers.id"], name="fk_enrolment_tokens_follower_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["mac_key"], ["secrets.id"], name="fk_enrolment_tokens_mac_key"),
    )
    op.create_table(
        "nonces",
        sa.Column("follower_id", sa.Text(), nullable=False),
        sa.Column("nonce", sa.Text(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("follower_id", "nonce", name="pk_nonces"),
        sa.ForeignKeyConstraint(["follower_id"], ["followers.id"], name="fk_nonces_follower_id", ondelete="CASCADE"),
    )
    op.create_index("ix_nonces_at", "nonces", ["at"])


def _lines() -> None:
    op.create_table(
        "lines",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("follower_id", sa.Text(), nullable=False),
        sa.Column("names", sa.Text(), nullable=False),
        sa.Column("key_types", sa.Text(), nullable=False),
        sa.Column("issuer_id", sa.Text()),
        sa.Column("profile", sa.Text()),
        sa.Column("custody", sa.Text(), nullable=False),
        sa.Column("next_look", TIME),
        sa.Column("forced", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_lines"),
        sa.ForeignKeyConstraint(["follower_id"], ["followers.id"], name="fk_lines_follower_id"),
        sa.ForeignKeyConstraint(["issuer_id"], ["issuers.id"], name="fk_lines_issuer_id"),
        sa.UniqueConstraint("name", name="uq_lines_name"),
    )
    op.create_index("ix_lines_follower_id", "lines", ["follower_id"])
    op.create_index("ix_lines_issuer_id", "lines", ["issuer_id"])
    op.create_index("ix_lines_next_look", "lines", ["next_look"])
    op.create_table(
        "line_csrs",
        sa.Column("line_id", sa.Text(), nullable=False),
        sa.Column("key_type", sa.Text(), nullable=False),
        sa.Column("csr", sa.LargeBinary(), nullable=False),
        sa.Column("spki_sha256", sa.Text(), nullable=False),
        sa.Column("names", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("line_id", "key_type", name="pk_line_csrs"),
        sa.ForeignKeyConstraint(["line_id"], ["lines.id"], name="fk_line_csrs_line_id", ondelete="CASCADE"),
    )
    op.create_table(
        "versions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("line_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("failure", sa.Text()),
        sa.Column("ended", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_versions"),
        sa.ForeignKeyConstraint(["line_id"], ["lines.id"], name="fk_versions_line_id", ondelete="CASCADE"),
        sa.UniqueConstraint("line_id", "number", name="uq_versions_line_id_number"),
    )
    op.create_index("uq_versions_live", "versions", ["line_id"], unique=True, **_where("state = 'live'"))
    op.create_table(
        "certificates",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("version_id", sa.Text(), nullable=False),
        sa.Column("key_type", sa.Text(), nullable=False),
        sa.Column("csr", sa.LargeBinary(), nullable=False),
        sa.Column("spki_sha256", sa.Text(), nullable=False),
        sa.Column("names", sa.Text(), nullable=False),
        sa.Column("chain", sa.Text()),
        sa.Column("serial", sa.Text()),
        sa.Column("not_before", TIME),
        sa.Column("not_after", TIME),
        sa.Column("renewal", sa.Text()),
        sa.Column("replaced", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_certificates"),
        sa.ForeignKeyConstraint(["version_id"], ["versions.id"], name="fk_certificates_version_id", ondelete="CASCADE"),
        sa.UniqueConstraint("version_id", "key_type", name="uq_certificates_version_id_key_type"),
    )


def _orders() -> None:
    op.create_table(
        "orders",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("certificate_id", sa.Text(), nullable=False),
        sa.Column("issuer_id", sa.Text(), nullable=False),
        sa.Column("names", sa.Text(), nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("due", TIME, nullable=False),
        sa.Column("url", sa.Text()),
        sa.Column("authorization_urls", sa.Text(), nullable=False),
        sa.Column("finalize_url", sa.Text()),
        sa.Column("certificate_url", sa.Text()),
        sa.Column("replaces", sa.Text()),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("failure", sa.Text()),
        sa.Column("waiting", sa.Text()),
        sa.Column("since", TIME),
        sa.Column("names_sha256", sa.Text(), nullable=False),
        sa.Column("worker", sa.Text()),
        sa.Column("lease_until", TIME),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("ready_at", TIME),
        sa.Column("in_flight", sa.Boolean(), nullable=False),
        sa.Column("queued", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_orders"),
    )
    op.create_index("ix_orders_certificate_id", "orders", ["certificate_id"])
    op.create_index("ix_orders_ready", "orders", ["in_flight", "ready_at"], **_where("ready_at IS NOT NULL"))
    op.create_index("ix_orders_worker", "orders", ["worker"], **_where("worker IS NOT NULL"))
    op.create_index(
        "uq_orders_live",
        "orders",
        ["issuer_id", "names_sha256", "profile"],
        unique=True,
        **_where("state NOT IN ('issued', 'failed') AND NOT queued"),
    )
    op.create_table(
        "challenges",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("wildcard", sa.Boolean(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("authorization_url", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("solver", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text()),
        sa.Column("record", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("due", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_challenges"),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_challenges_order_id"),
    )
    op.create_index("ix_challenges_order_id", "challenges", ["order_id"])
    op.create_index("ix_challenges_record", "challenges", ["record"])
    op.create_index("ix_challenges_standing", "challenges", ["due"], **_where("state != 'removed'"))


def _deployments() -> None:
    op.create_table(
        "deployments",
        sa.Column("follower_id", sa.Text(), nullable=False),
        sa.Column("line_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("updated", TIME, nullable=False),
        sa.PrimaryKeyConstraint("follower_id", "line_id", "version", name="pk_deployments"),
        sa.ForeignKeyConstraint(
            ["follower_id"], ["followers.id"], name="fk_deployments_follower_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["line_id"], ["lines.id"], name="fk_deployments_line_id", ondelete="CASCADE"),
    )
    op.create_index("ix_deployments_line_id", "deployments", ["line_id"])

"""Renames tables and columns to the glossary's terms, splits identifiers into (kind, value) and types JSON columns.

Revision 0006, after 0005.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from alembic.operations.base import BatchOperations

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Rename, convert and widen the tables one by one. All rows are kept."""
    _drop_indexes()
    _purchases()
    _records()
    _record_channels()
    _identity_matches()
    _requests()
    _jobs()
    _receipts()
    with op.batch_alter_table("run") as batch:
        _json(batch, mappings="[]", report=None)
    with op.batch_alter_table("change") as batch:
        _json(batch, fields="{}")
    with op.batch_alter_table("worker") as batch:
        _json(batch, mappings="{}")
    _rename("task", "vendor_id", "provider_task_id")
    _rename("unusable_value", "unlock_id", "purchase_id")
    _rename_keys()


def _drop_indexes() -> None:
    for table, names in {
        "unlock": ("run", "final_at", "answers", "task", "attempt", "check_at", "not_before", "hold", "prior"),
        "want": ("record", "unlock", "lookup"),
        "ask": ("request", "due"),
        "errand": ("state",),
        "hint": ("state",),
    }.items():
        for name in names:
            op.drop_index(f"ix_{table}_{name}", table_name=table)


def _purchases() -> None:
    op.rename_table("unlock", "purchase")
    _rename("purchase", "event_id", "grouping_key")
    op.add_column("purchase", sa.Column("person_kind", sa.String(length=40), nullable=False, server_default=""))
    # The key is the event's id, a person's id at Lensmor, or a person's LinkedIn name at Salesfinity.
    op.execute(
        "UPDATE purchase SET person_kind = CASE WHEN channel = 'event' THEN 'event_id' "
        "WHEN provider = 'lensmor' THEN 'personnel_id' ELSE 'linkedin_url' END"
    )
    with op.batch_alter_table("purchase") as batch:
        batch.drop_constraint("uq_unlock_provider_account_channel_person_generation", type_="unique")
        batch.alter_column("person_kind", server_default=None, existing_type=sa.String(length=40))
        batch.create_unique_constraint(
            "uq_purchase_generation",
            ["provider", "account", "channel", "person", "generation", "person_kind"],
        )
    for name, columns in {
        "run": ("run_id", "provider", "state", "channel", "place"),
        "final_at": ("final_at",),
        "answers": ("provider", "account", "channel", "final_at"),
        "task": ("task_id",),
        "attempt": ("attempt_id",),
        "check_at": ("provider", "check_at"),
    }.items():
        op.create_index(f"ix_purchase_{name}", "purchase", list(columns))
    _partial_index("purchase", "not_before", ["not_before"], "not_before IS NOT NULL")
    _partial_index("purchase", "hold", ["hold", "provider", "account", "price_credits"], "hold = 'open'")
    _partial_index("purchase", "prior", ["prior_attempt_id"], "prior_attempt_id IS NOT NULL")


def _records() -> None:
    op.add_column("record", sa.Column("crm", sa.String(length=40), nullable=False, server_default="salesforce"))
    for name in ("identifiers", "grouping_keys", "resolved"):
        op.add_column("record", sa.Column(name, sa.JSON(), nullable=False, server_default="{}"))
    names = ("personnel_id", "event_id", "linkedin", "resolved_id")
    pairs = (sa.column(name, sa.JSON()) for name in ("identifiers", "grouping_keys", "resolved"))
    record = sa.table("record", *(sa.column(name) for name in ("id", *names)), *pairs)
    _fill_identifiers(record)
    with op.batch_alter_table("record") as batch:
        # All existing records are from Salesforce; new rows store their CRM.
        batch.alter_column("crm", server_default=None, existing_type=sa.String(length=40))
        for name in names:
            batch.drop_column(name)


def _fill_identifiers(record: sa.TableClause) -> None:
    """Convert identifiers in pages, because a ledger may have a million records."""
    connection, last = op.get_bind(), 0
    kinds = {"personnel_id": "personnel_id", "linkedin": "linkedin_url"}
    update = sa.update(record).where(record.c.id == sa.bindparam("key"))
    update = update.values(
        identifiers=sa.bindparam("found", type_=sa.JSON()),
        grouping_keys=sa.bindparam("groups", type_=sa.JSON()),
        resolved=sa.bindparam("later", type_=sa.JSON()),
    )
    while rows := connection.execute(
        sa.select(record).where(record.c.id > last).order_by(record.c.id).limit(1000)
    ).all():
        last = rows[-1].id
        values = [
            {
                "key": row.id,
                "found": {kind: found for name, kind in kinds.items() if (found := getattr(row, name)) is not None},
                "groups": {} if row.event_id is None else {"event_id": row.event_id},
                "later": {} if row.resolved_id is None else {"personnel_id": row.resolved_id},
            }
            for row in rows
        ]
        connection.execute(update, values)


def _record_channels() -> None:
    op.rename_table("want", "record_channel")
    _rename("record_channel", "unlock_id", "purchase_id")
    _rename("record_channel", "tried", "failed_sources")
    with op.batch_alter_table("record_channel") as batch:
        batch.alter_column("state", type_=sa.String(length=10), existing_type=sa.String(length=8))
        _json(batch, failed_sources="[]")
    op.execute(
        "UPDATE record_channel SET state = CASE state WHEN 'lookup' THEN 'resolving' ELSE 'deferred' END "
        "WHERE state IN ('lookup', 'held')"
    )
    op.create_index("ix_record_channel_record", "record_channel", ["record_id"])
    op.create_index("ix_record_channel_purchase", "record_channel", ["purchase_id"])
    _partial_index("record_channel", "resolving", ["state"], "state = 'resolving'")


def _identity_matches() -> None:
    """Copy into a new table, because the key changes. All rows are Lensmor's answers for a LinkedIn name."""
    op.create_table(
        "identity_match",
        sa.Column("provider", sa.String(length=40), nullable=False),
        sa.Column("account", sa.String(length=80), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("value", sa.String(length=300), nullable=False),
        sa.Column("matched_kind", sa.String(length=40), nullable=True),
        sa.Column("matched", sa.Text(), nullable=True),
        sa.Column("grouping_keys", sa.JSON(), nullable=False, server_default="[]"),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("provider", "account", "kind", "value", name="pk_identity_match"),
    )
    old = sa.table("lookup", *map(sa.column, ("provider", "account", "linkedin", "personnel_id", "events", "at")))
    known = old.c.personnel_id.is_not(None)
    rows = sa.select(
        old.c.provider,
        old.c.account,
        sa.literal("linkedin_url"),
        old.c.linkedin,
        sa.case((known, "personnel_id"), else_=None),
        old.c.personnel_id,
        old.c.events if _is_sqlite() else sa.cast(old.c.events, sa.JSON()),
        old.c.at,
    )
    names = ("provider", "account", "kind", "value", "matched_kind", "matched", "grouping_keys", "at")
    op.execute(sa.insert(sa.table("identity_match", *map(sa.column, names))).from_select(list(names), rows))
    op.drop_table("lookup")


def _requests() -> None:
    op.rename_table("ask", "request_item")
    op.create_index("ix_request_item_request", "request_item", ["request_id"])
    _partial_index("request_item", "due", ["mapping", "not_before"], "state != 'done'")


def _jobs() -> None:
    op.rename_table("errand", "job")
    op.execute("UPDATE job SET progress = '{}' WHERE progress = ''")
    with op.batch_alter_table("job") as batch:
        _json(batch, mappings="{}", chosen=None, progress="{}", result=None)
    op.create_index("ix_job_state", "job", ["state"])


def _receipts() -> None:
    op.rename_table("hint", "callback_receipt")
    _rename("callback_receipt", "vendor_id", "provider_task_id")
    with op.batch_alter_table("callback_receipt") as batch:
        batch.drop_constraint("uq_hint_attempt_id_vendor_id", type_="unique")
        batch.create_unique_constraint(
            "uq_callback_receipt_attempt_id_provider_task_id", ["attempt_id", "provider_task_id"]
        )
    _partial_index("callback_receipt", "state", ["state"], "state = 'waiting'")


def _rename(table: str, old: str, new: str) -> None:
    """Rename a column in place on both databases; Alembic would copy the table on SQLite."""
    op.execute(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")


def _json(batch: BatchOperations, **defaults: str | None) -> None:
    """Change text columns to JSON. A column with a default is not nullable."""
    for name, default in defaults.items():
        batch.alter_column(
            name,
            type_=sa.JSON(),
            existing_type=sa.Text(),
            existing_nullable=default is None,
            postgresql_using=f"CAST({name} AS json)",
        )
        if default is not None:
            batch.alter_column(name, server_default=default, existing_type=sa.JSON(), existing_nullable=False)


def _partial_index(table: str, name: str, columns: Sequence[str], where: str) -> None:
    op.create_index(
        f"ix_{table}_{name}", table, list(columns), sqlite_where=sa.text(where), postgresql_where=sa.text(where)
    )


def _rename_keys() -> None:
    """Rename keys, foreign keys and sequences, whose names PostgreSQL keeps when a table is renamed."""
    if _is_sqlite():
        return
    for old, new in (("unlock", "purchase"), ("want", "record_channel"), ("ask", "request_item"),
                     ("errand", "job"), ("hint", "callback_receipt")):  # fmt: skip
        op.execute(f"ALTER INDEX pk_{old} RENAME TO pk_{new}")
    for table, old, new in (
        ("record_channel", "fk_want_record_id", "fk_record_channel_record_id"),
        ("record_channel", "fk_want_unlock_id", "fk_record_channel_purchase_id"),
        ("unusable_value", "fk_unusable_value_unlock_id", "fk_unusable_value_purchase_id"),
        ("request_item", "fk_ask_request_id", "fk_request_item_request_id"),
    ):
        op.execute(f"ALTER TABLE {table} RENAME CONSTRAINT {old} TO {new}")
    for old, new in (("unlock", "purchase"), ("want", "record_channel"), ("ask", "request_item"),
                     ("hint", "callback_receipt")):  # fmt: skip
        op.execute(f"ALTER SEQUENCE {old}_id_seq RENAME TO {new}_id_seq")


def _is_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"

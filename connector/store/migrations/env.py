"""Alembic's entry point: runs the revisions on the connection of `Database.migrate`."""

from alembic import context

from connector.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    include_name=lambda name, kind, _parents: not (kind == "table" and str(name).startswith("procrastinate_")),
)
with context.begin_transaction():
    context.run_migrations()

"""The ledger's schema: a new SQLite file gets the current tables at once; the migrations upgrade an older ledger.

A new database on PostgreSQL runs the migrations too, because one of them installs the tables of Procrastinate.
"""

import sqlalchemy as sa

from connector.core.errors import ConfigurationError
from connector.store import tables as t

HEAD_REVISION = "0015"  # the newest migration: a ledger with this revision needs none
_VERSION = sa.Table(  # Alembic's table for the revision (alembic 1.18, `MigrationContext`)
    "alembic_version", sa.MetaData(), sa.Column("version_num", sa.String(32), primary_key=True, nullable=False)
)


def is_current(connection: sa.Connection) -> bool:
    """Whether the ledger has the newest revision.

    Raises:
        sa.exc.DBAPIError: the ledger has no schema yet, or cannot be read.
    """
    return connection.scalars(sa.select(_VERSION.c.version_num)).all() == [HEAD_REVISION]


def bring_up_to_date(connection: sa.Connection) -> None:
    """Create the schema in an empty database, or run the missing migrations.

    Args:
        connection: in a transaction that excludes other migrations.

    Raises:
        ConfigurationError: the ledger has a revision that this package does not know.
    """
    if connection.dialect.name == "sqlite" and _is_empty(connection):
        _create(connection)
    else:
        upgrade(connection)


def upgrade(connection: sa.Connection, revision: str = "head") -> None:
    """Run the migrations up to a revision.

    Raises:
        ConfigurationError: the ledger has a revision that this package does not know.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError

    config = Config()
    config.set_main_option("script_location", "connector.store:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, revision)
    except CommandError as error:
        raise ConfigurationError(
            "the ledger was made by a newer version of the connector: install that version, or use another ledger "
            "(CONNECTOR_DATABASE_URL); nothing was changed"
        ) from error


def _is_empty(connection: sa.Connection) -> bool:
    """Whether the database has no table of a ledger; tables of other programs do not count."""
    return not {_VERSION.name, *t.metadata.tables} & set(sa.inspect(connection).get_table_names())


def _create(connection: sa.Connection) -> None:
    t.metadata.create_all(connection, checkfirst=False)
    _VERSION.create(connection, checkfirst=False)
    connection.execute(sa.insert(_VERSION).values(version_num=HEAD_REVISION))

"""The metadata of all tables, with the naming convention of keys and indexes, and the type of JSON columns."""

import sqlalchemy as sa

Json = sa.JSON(none_as_null=True)
metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)

"""Executes one statement for many rows at a fraction of SQLAlchemy's cost per row.

SQLAlchemy builds a dictionary with every parameter for each row, which costs several times what SQLite needs for the
row. Here a statement is compiled once, and each row becomes the driver's parameters directly. Types are converted as
SQLAlchemy converts them.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

Row = Mapping[str, object]
_Convert = Callable[[Any], Any]


def execute_many(connection: sa.Connection, statement: sa.Insert | sa.Update, rows: Sequence[Row]) -> None:
    """Execute an INSERT or UPDATE once for each row.

    Args:
        connection: in a writing transaction.
        statement: the same object at each call, because it is compiled once.
        rows: the values by column or parameter; all rows have the same names.
    """
    if rows:
        compiled = _compiled(statement, connection.dialect, tuple(rows[0]))
        connection.exec_driver_sql(compiled.text, compiled.parameters(rows))


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A statement in the words of one driver.

    Attributes:
        given: the names of the parameters that rows give, and how each is converted.
        fixed: the parameters that are the same for every row, converted.
        order: the names of all parameters in the order of the text; None if the driver takes names.
    """

    text: str
    given: Mapping[str, _Convert | None]
    fixed: Mapping[str, object]
    order: tuple[str, ...] | None

    def parameters(self, rows: Sequence[Row]) -> Any:  # noqa: ANN401 the driver's form: tuples or dictionaries
        """The rows as the driver wants them."""
        if self.order is None:
            return [
                {
                    **self.fixed,
                    **{name: convert(row[name]) if convert else row[name] for name, convert in self.given.items()},
                }
                for row in rows
            ]
        columns = [self._column(name, rows) for name in self.order]
        return list(zip(*columns, strict=True))

    def _column(self, name: str, rows: Sequence[Row]) -> list[Any]:
        if name in self.fixed:
            return [self.fixed[name]] * len(rows)
        convert = self.given[name]
        values = [row[name] for row in rows]
        return values if convert is None else list(map(convert, values))


@functools.lru_cache(512)
def _compiled(statement: sa.Insert | sa.Update, dialect: sa.Dialect, names: tuple[str, ...]) -> _Compiled:
    """Compile a statement for rows with these names; columns with a constant default get it."""
    compiled: Any = statement.compile(dialect=dialect, column_keys=list(names))
    given: dict[str, _Convert | None] = {}
    fixed: dict[str, object] = {}
    constants = {column.key: column.default.arg for column in compiled.insert_prefetch}
    for name, bind in compiled.binds.items():
        convert = bind.type.dialect_impl(dialect).bind_processor(dialect)
        if name in names:
            given[name] = convert
        else:
            value = constants.get(name, bind.effective_value)
            fixed[name] = convert(value) if convert else value
    order = tuple(compiled.positiontup) if compiled.positional else None
    return _Compiled(str(compiled), given, fixed, order)

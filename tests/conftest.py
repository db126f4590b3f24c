"""What all tests share."""

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from connector.store import database


@pytest.fixture(scope="session", autouse=True)
def _compile_statements_once() -> Iterator[None]:
    """Every test opens ledgers of its own; compiling the same statements for each would take a fifth of the time."""
    usual = database.sa.create_engine
    shared: dict[str, sa.Dialect] = {}
    compiled: dict[Any, Any] = {}

    def create(*args: Any, **options: Any) -> sa.Engine:
        engine = usual(*args, **options)
        engine.dialect = shared.setdefault(engine.dialect.name, engine.dialect)
        engine.update_execution_options(compiled_cache=compiled)
        return engine

    patch = pytest.MonkeyPatch()
    patch.setattr(database.sa, "create_engine", create)
    yield
    patch.undo()

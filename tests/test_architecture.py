"""The borders between the rooms: who may import whom, measured from the code's own imports."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "connector"
LONGEST_FILE = 400

# A room may import itself, `core` (the vocabulary of all), and what stands here.
ALLOWED: dict[str, set[str]] = {
    "cli": {"app", "server", "report"},
    "server": {"app", "report"},
    "app": {"runtime", "engine", "crm", "providers", "store", "config", "simulator", "net"},
    "runtime": {"engine", "store", "crm.interface"},
    "engine": {"store", "crm.interface", "providers.interface"},
    "crm": {"net"},
    "providers": {"net"},
    "net": set(),
    "store": set(),
    "report": set(),
    "config": set(),
    "simulator": set(),
    "core": set(),
}
CORE_MAY_USE = {"pydantic", "phonenumbers"}


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if "migrations/versions" not in path.as_posix())


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_room_imports_only_what_it_may(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        return
    allowed = ALLOWED[room] | {room} | ({"core"} if room != "simulator" else set())
    for name in imports(path):
        if name == "connector" or not name.startswith("connector."):
            continue
        inner = name.removeprefix("connector.")
        assert any(inner == ok or inner.startswith(f"{ok}.") for ok in allowed), f"{path} imports {name}"


@pytest.mark.parametrize("path", [p for p in modules() if room_of(p) == "core"], ids=lambda path: path.name)
def test_core_uses_only_pure_libraries(path: Path) -> None:
    import sys

    for name in imports(path):
        top = name.partition(".")[0]
        assert top in sys.stdlib_module_names | CORE_MAY_USE | {"connector"}, f"{path} imports {name}"
        assert top not in {"os", "socket", "time", "random", "subprocess", "threading"}, f"{path} has effects: {name}"


def test_no_provider_is_named_outside_its_room() -> None:
    """A third vendor must not need an edit in core or engine."""
    for path in modules():
        if room_of(path) in {"core", "engine", "store", "crm", "runtime"}:
            code = ast.unparse(_without_docstrings(ast.parse(path.read_text(encoding="utf-8"))))
            for vendor in ("lensmor", "salesfinity"):
                assert vendor not in code.lower(), f"{path} names {vendor}"


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            body[0] = ast.Pass()
        if isinstance(node, ast.keyword) and node.arg == "description":
            node.value = ast.Constant("")  # help for people may give examples
    return tree


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_files_stay_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE

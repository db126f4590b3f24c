"""The allowed imports between packages, checked against the code, and other rules about the code."""

import ast
import functools
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from connector.core.states import MACHINES

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "connector"
LONGEST_FILE = 400

# A package may import itself, `core`, and the packages in this table.
ALLOWED: dict[str, set[str]] = {
    "cli": {"app", "server", "report"},
    "server": {"app", "report"},
    "app": {"jobs", "engine", "crm", "providers", "store", "config", "simulator", "net"},
    "jobs": {"engine", "store", "crm.interface", "crm.bulk"},
    "engine": {"store", "crm.interface", "crm.bulk", "providers.interface"},
    "crm": {"net"},
    "providers": {"net"},
    "net": set(),
    "store": set(),
    "report": set(),
    "config": set(),
    "simulator": set(),
    "testing": {"crm.interface", "crm.bulk", "providers.interface", "providers.registration", "providers.connection"},
    "core": set(),
}
# Former names in the code, which each have one replacement.
RETIRED = """
Desk Errand Errands Hint Hints FollowUps Lane Agenda Piece Assistance Parts Tools Lender Intake Arrival Wanted Words
RunWord UnlockWord Knowledge Known Sight Trouble Join Take Tried Exhausted Room Full Spill Outbox Handed
office house town shelf bench switchboard
"""
RETIRED_MODULES = """
desk errands hints follow_ups words knowledge spill outbox lanes joining handing intake putback put second_try books
"""
NAMES = ("lensmor", "salesfinity", "salesforce", "hubspot", "soql", "apex")
CORE_MAY_USE = {"pydantic", "phonenumbers"}
EFFECTS = {"os", "socket", "time", "random", "subprocess", "threading"}


@functools.cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    """Every node of a file, parsed once."""
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if "migrations/versions" not in path.as_posix())


def imports(path: Path) -> Iterator[str]:
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def package_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def ours(path: Path) -> Iterator[str]:
    """The connector's own modules and names that a file imports, without the package's name."""
    for name in imports(path):
        if name.startswith("connector."):
            yield name.removeprefix("connector.")


def may_use(package: str, name: str) -> bool:
    allowed = ALLOWED[package] | {package} | ({"core"} if package != "simulator" else set())
    return any(name == ok or name.startswith(f"{ok}.") for ok in allowed)


def test_packages_import_only_allowed_ones() -> None:
    packages = [(path, package_of(path)) for path in modules() if package_of(path) != "__init__"]
    wrong = [
        f"{path} imports {name}" for path, package in packages for name in ours(path) if not may_use(package, name)
    ]
    assert wrong == []


def test_core_uses_only_pure_libraries() -> None:
    pure = sys.stdlib_module_names | CORE_MAY_USE | {"connector"}
    used = [
        (path, name.partition(".")[0]) for path in modules() if package_of(path) == "core" for name in imports(path)
    ]
    assert [f"{path} imports {top}" for path, top in used if top not in pure] == []
    assert [f"{path} has effects: {top}" for path, top in used if top in EFFECTS] == []


def test_crms_and_vendors_are_named_only_in_their_folders() -> None:
    """A third vendor and a second CRM need no change in these packages; not even their texts name one."""
    found = [
        f"{path}: {name}"
        for path in modules()
        if package_of(path) in {"core", "engine", "store", "jobs", "report"}
        for name in NAMES
        if name in _without_pages(path.read_text(encoding="utf-8")).lower()
    ]
    assert found == []


def _without_pages(text: str) -> str:
    """Remove references to pages about a CRM, which are allowed as sources."""
    return re.sub(r"docs/\w+\.md", "", text)


def test_files_stay_short() -> None:
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}
    assert {path: count for path, count in lines.items() if count > LONGEST_FILE} == {}


STATE_NAMES = {"state", "new_state", "hold", "prior_hold"}


def named(node: ast.AST | None) -> str:
    """The last name of an expression such as `row.state` or `state`; else empty."""
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Name):
        return node.id
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def written_states(node: ast.AST) -> Iterator[ast.AST]:
    """The expressions that a node compares with a state, or stores as one."""
    if isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        if any(isinstance(side, ast.Name | ast.Attribute) and named(side) in STATE_NAMES for side in sides):
            yield from sides
    elif isinstance(node, ast.keyword) and node.arg in STATE_NAMES:
        yield node.value
    elif isinstance(node, ast.Dict):
        yield from (value for key, value in zip(node.keys, node.values, strict=True) if named(key) in STATE_NAMES)
    elif isinstance(node, ast.Call) and _column_of(node) in STATE_NAMES:
        yield from node.args


def _column_of(call: ast.Call) -> str:
    """The column of a call of `in_`; else empty."""
    return named(call.func.value) if isinstance(call.func, ast.Attribute) and call.func.attr == "in_" else ""


def literals(node: ast.AST) -> Iterator[str]:
    """The text constants of an expression, also inside a tuple or a list."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Tuple | ast.List | ast.Set):
        for part in node.elts:
            yield from literals(part)


def state_literals(nodes: Iterable[ast.AST]) -> list[str]:
    """The states that are written as text."""
    return [text for node in nodes for states in written_states(node) for text in literals(states)]


def test_the_check_finds_state_literals() -> None:
    for source in (
        'row.state == "open"',
        'state in ("planned", "final")',
        'update(t.task).values(state="ended")',
        '{"state": "done"}',
        'a.state.in_(["lost"])',
    ):
        assert state_literals(ast.walk(ast.parse(source))), source
    assert state_literals(ast.walk(ast.parse('row.state == TaskState.OPEN; kind == "open"'))) == []


def test_state_literals_occur_only_in_the_tables() -> None:
    found = [
        f"{path}: {text}"
        for path in modules()
        if package_of(path) not in {"simulator", "testing"} and path.name != "states.py"
        for text in state_literals(nodes_of(path))
    ]
    assert found == []


MOST_PARAMETERS = 6


def test_functions_have_few_parameters() -> None:
    """Constructors take their dependencies one by one, and a command its options; others take few arguments."""
    found = [
        f"{path}: {node.name}"
        for path in modules()
        if package_of(path) not in {"cli", "simulator"}
        for node in nodes_of(path)
        if isinstance(node, ast.FunctionDef) and node.name != "__init__"
        if len([*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]) > MOST_PARAMETERS + _is_method(node)
    ]
    assert found == []


def _is_method(node: ast.FunctionDef) -> bool:
    return bool(node.args.args) and node.args.args[0].arg in {"self", "cls"}


def test_the_store_has_no_state_literals_at_all() -> None:
    """Not even as an argument, a result or a key: the store has no other use for these words."""
    states = {str(state) for moves in MACHINES.values() for state in moves}
    found = [
        f"{path}:{node.lineno}: {node.value}"
        for path in modules()
        if package_of(path) == "store" and "migrations" not in path.parts
        for node in nodes_of(path)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in states
    ]
    assert found == []


def names_in(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Every name that a file defines, imports or uses."""
    for node in nodes:
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.alias):
            yield from filter(None, (node.name.rpartition(".")[2], node.asname))
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.arg


def test_no_retired_word_is_a_name() -> None:
    files, retired = [*PACKAGE.rglob("*.py"), *TESTS.rglob("*.py")], set(RETIRED.split())
    found = [f"{path}: {name}" for path in files for name in retired & {*names_in(nodes_of(path))}]
    assert found == []
    assert [path for path in files if path.stem in RETIRED_MODULES.split()] == []


def test_no_harness_is_a_stage() -> None:
    """`stage` is a step of a run; the test fixtures have other names."""
    found = [
        path
        for path in TESTS.rglob("*.py")
        for node in nodes_of(path)
        if isinstance(node, ast.arg) and node.arg == "stage"
    ]
    assert found == []

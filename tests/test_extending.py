"""docs/extending.md matches the template that it describes."""

import re
import sys
import tomllib
from pathlib import Path

import pytest

from connector.config import setting_names
from connector.providers.interface import Provider

ROOT = Path(__file__).parent.parent
TEMPLATE = ROOT / "examples" / "provider_template"
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_entry_point_matches_the_template() -> None:
    (block,) = blocks("toml")
    declared = tomllib.loads((TEMPLATE / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    assert tomllib.loads(block)["project"]["entry-points"] == declared


def test_the_settings_match_the_template(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TEMPLATE))
    from findwell.provider import FindwellSettings

    # The page is about the vendor's own settings and its caps; alerts are explained with the others.
    known = {name for name in setting_names(FindwellSettings).values() if not name.startswith("CONNECTOR_ALERT")}
    named = set(re.findall(r"`((?:FINDWELL|CONNECTOR_MAX)_[A-Z_]+[A-Z])`", PAGE))
    assert named <= known
    assert known - named == {"FINDWELL_PHONE_CREDITS"}, "the second price is like the first one"
    for name in [name for name in sys.modules if name.partition(".")[0] == "findwell"]:
        monkeypatch.delitem(sys.modules, name)


def test_the_code_matches_the_template() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(TEMPLATE.rglob("*.py")))
    lines = [line.strip().removesuffix(" ...") for block in blocks("python") for line in block.splitlines()]
    lines = [line for line in lines if line not in {"", "..."}]
    assert lines
    assert [line for line in lines if line not in text and "class TestFindwell" not in line] == []


def test_the_methods_and_places_exist() -> None:
    table = PAGE[PAGE.index("| Method |") :].partition("\n\n")[0]
    methods = re.findall(r"`(\w+)`", re.sub(r"\|[^|]*\|\n", lambda row: row[0].split("only with")[0], table))
    assert {"submit", "read_task", "resolve_identity"} <= {name for name in methods if hasattr(Provider, name)}
    assert [name for name in methods if not hasattr(Provider, name)] == []
    for package in set(re.findall(r"`(connector(?:\.\w+)+)", PAGE)):
        folder = ROOT / Path(*package.split(".")[:-1])
        assert (
            (ROOT / Path(*package.split("."))).exists()
            or folder.with_suffix(".py").exists()
            or any((ROOT / Path(*package.split(".")[:count])).with_suffix(".py").exists() for count in range(2, 5))
        ), package


def test_the_mapping_matches_the_template() -> None:
    sources = "from: [findwell, lensmor, salesfinity]"
    assert any(sources in block for block in blocks("yaml"))
    assert sources in (TEMPLATE / "lead.yaml").read_text(encoding="utf-8")

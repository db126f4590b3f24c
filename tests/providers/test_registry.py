"""Providers of other packages: found by their entry point, and refused where they cannot be used."""

import sys
from dataclasses import replace
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest

from connector.core.errors import ConfigurationError
from connector.providers import lensmor
from connector.providers.registry import BUILT_IN, GROUP, added, identifier_kinds

ACME = replace(lensmor.REGISTRATION, name="acme")


def points(monkeypatch: pytest.MonkeyPatch, **found: object) -> list[EntryPoint]:
    """Entry points of packages that hold these objects."""
    module = ModuleType("packages_of_others")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for name, value in found.items():
        setattr(module, name, value)
    return [EntryPoint(name, f"{module.__name__}:{name}", GROUP) for name in found]


def test_a_provider_of_another_package_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(added(iter(points(monkeypatch, acme=ACME)))) == [ACME]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("acme", "no registration"),
        ("other", ACME),  # the entry point and the provider disagree
        ("Acme", replace(ACME, name="Acme")),
        ("acme_2", replace(ACME, name="acme_2")),
    ],
)
def test_what_is_no_provider_of_that_name_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, found: object) -> None:
    with pytest.raises(ConfigurationError, match=f"entry point {name} of .* is not a provider of that name"):
        list(added(iter(points(monkeypatch, **{name: found}))))


def test_a_package_cannot_take_the_place_of_another_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="two installed packages provide lensmor"):
        list(added(iter(points(monkeypatch, lensmor=lensmor.REGISTRATION))))


def test_a_package_that_cannot_be_loaded_is_named() -> None:
    broken = EntryPoint("acme", "a_package_that_is_not_there:REGISTRATION", GROUP)
    with pytest.raises(ConfigurationError, match=r"provider acme of .* cannot be loaded \(ModuleNotFoundError\)"):
        list(added(iter([broken])))


def test_each_kind_of_identifier_is_known_once() -> None:
    names = [kind.name for kind in identifier_kinds(BUILT_IN)]
    assert names == ["personnel_id", "event_id", "linkedin_url"]

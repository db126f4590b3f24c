"""The documentation about running the connector names real settings, routes, limits and files."""

import json
import re

import pytest
from deploy_files import DEPLOY, ROOT, env_names, setting_names

from connector.app.inbound import MOST_IDS
from connector.core.shared_secret import SHORTEST_SECRET
from connector.crm.salesforce.inbound_route import MOST_BYTES as MOST_MESSAGE_BYTES
from connector.providers.registry import BUILT_IN
from connector.server.openapi import document
from connector.server.site import MOST_CALLBACK_BYTES, MOST_REQUEST_BYTES
from connector.store.inbox import KEPT

README = (ROOT / "README.md").read_text(encoding="utf-8")
TRIGGERS = (ROOT / "docs" / "salesforce-triggers.md").read_text(encoding="utf-8")
DEPLOYMENT = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
PAGES = {"README.md": README, "salesforce-triggers.md": TRIGGERS, "deployment.md": DEPLOYMENT}
PREFIXES = "|".join(["CONNECTOR", "SALESFORCE", *map(str.upper, BUILT_IN)])


@pytest.mark.parametrize("page", PAGES)
def test_every_named_setting_exists(page: str) -> None:
    named = set(re.findall(rf"`?\b((?:{PREFIXES})_[A-Z_]+[A-Z])\b", PAGES[page]))
    assert named <= setting_names(), named - setting_names()


@pytest.mark.parametrize("page", PAGES)
def test_every_named_recipe_file_exists(page: str) -> None:
    for name in set(re.findall(r"\b(deploy/[\w./@-]+)", PAGES[page])):
        assert (ROOT / name.rstrip(".")).exists(), name


def test_documented_limits_are_the_real_ones() -> None:
    assert f"{MOST_REQUEST_BYTES // 1024} KiB (requests)" in README
    assert f"{MOST_MESSAGE_BYTES // 1024**2} MiB (Outbound Messages)" in README
    assert f"{MOST_CALLBACK_BYTES // 1024} KiB (callbacks)" in README
    assert f"1 to {MOST_IDS:,} ids a request" in README
    assert f"For {KEPT.days} days the" in README
    assert f"{SHORTEST_SECRET} characters or more" in README
    assert f"at least {SHORTEST_SECRET} characters" in TRIGGERS


def test_example_bodies_match_the_openapi_document() -> None:
    schemas = document("1")["components"]["schemas"]
    shown = re.findall(r"^\{.*\}$", TRIGGERS, re.MULTILINE) + re.findall(r"-d '(\{.*\})'", README)
    assert len(shown) == 4
    for text in shown:
        keys = json.loads(text).keys()
        fitting = [name for name in ("EnrichmentRequest", "Accepted") if keys <= schemas[name]["properties"].keys()]
        required = [name for name in fitting if set(schemas[name]["required"]) <= keys]
        assert required, text


@pytest.mark.parametrize("page", PAGES)
def test_every_named_route_is_served(page: str) -> None:
    known = (
        r"/v1/enrichments",
        r"/v1/enrichments/[\w{}-]+",
        r"/v1/salesforce/outbound-messages/[<{]\w+[>}]",
        r"/v1/callbacks/\{provider\}/\{token\}",
        r"/v1/",
    )
    for route in set(re.findall(r"(?<=[ `\w])(/v1/[\w/{}<>-]*)", PAGES[page])):
        assert any(re.fullmatch(pattern, route) for pattern in known), route


def test_every_operation_is_documented() -> None:
    operations = {found["operationId"] for path in document("1")["paths"].values() for found in path.values()}
    assert operations == {name for name in operations if f"`{name}`" in TRIGGERS}


def test_example_settings_match_the_trigger_page() -> None:
    names = env_names(DEPLOY / "example.env")
    assert set(re.findall(r"^(CONNECTOR_\w+)=", TRIGGERS, re.MULTILINE)) <= names

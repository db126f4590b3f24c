"""The simulator's page: its documented actions can be armed, and its recipes exist."""

import inspect
import json
import re
from pathlib import Path

import pytest

from connector.simulator.control import fault_from
from connector.simulator.faults import STANDING_ACTIONS
from connector.simulator.salesforce import recipes
from connector.simulator.server import Simulator

PAGE = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text(encoding="utf-8")
FAULT_TABLES = PAGE.partition("A fault names `site`")[2].partition("connector.simulator.salesforce.recipes")[0]
ROWS = re.findall(r"^\| (`[^|]+`) \|", FAULT_TABLES, re.MULTILINE)
DOCUMENTED = sorted({name for row in ROWS for name in re.findall(r"`([a-z0-9_]+)`", row)})
RECIPES = re.findall(r"^\| `(\w+)\((.*?)\)` \| `(\{.*\})` \|$", PAGE, re.MULTILINE)


def test_every_action_of_every_site_is_on_the_page() -> None:
    simulator = Simulator()
    known = simulator.lensmor.actions | simulator.salesfinity.actions | simulator.salesforce.actions | STANDING_ACTIONS
    assert set(DOCUMENTED) | {"not_found"} == known


@pytest.mark.parametrize("action", DOCUMENTED)
def test_every_documented_action_can_be_armed(action: str) -> None:
    simulator = Simulator()
    actions = {
        "lensmor": simulator.lensmor.actions,
        "salesfinity": simulator.salesfinity.actions,
        "salesforce": simulator.salesforce.actions,
    }
    able = [name for name, known in actions.items() if action in known]
    assert able
    for name in able:
        simulator.arm(fault_from({"site": name, "operation": "*", "action": action}))
    assert [fault.action for fault in simulator.faults.armed()] == [action] * len(able)


def test_every_recipe_is_on_the_page() -> None:
    made = {name for name, one in inspect.getmembers(recipes, inspect.isfunction) if one.__module__ == recipes.__name__}
    assert {name for name, _, _ in RECIPES} == made


@pytest.mark.parametrize(("name", "arguments", "shown"), RECIPES)
def test_a_recipes_json_equals_its_fault(name: str, arguments: str, shown: str) -> None:
    given = json.loads(f"[{arguments}]") if arguments != "record_id" else ["003..."]
    fault = getattr(recipes, name)(*given)
    for key, value in json.loads(shown.replace("..., ", "")).items():
        if key == "params":
            assert value.keys() <= fault.params.keys()
            assert all(fault.params[one] == item for one, item in value.items() if one != "errors")
        elif key != "times":
            assert getattr(fault, key) == value

"""The JSON Schema of mapping files, with the names of the installed providers."""

from typing import Any

from connector.app.mappings import CATALOG
from connector.providers.registry import REGISTRY


def mapping_schema() -> dict[str, Any]:
    """The JSON Schema of mapping files, for editors."""
    schema = CATALOG.model.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    for name in ("EmailChannel", "PhoneChannel"):
        sources = schema["$defs"][name]["properties"]["from"]
        sources["items"] = {"enum": sorted(REGISTRY)}
        sources["uniqueItems"] = True
    limits = schema["$defs"]["Limits"]["properties"]
    for key in ("max_credits", "max_credits_per_day"):
        limits[key]["propertyNames"] = {"enum": sorted(REGISTRY)}
    return schema

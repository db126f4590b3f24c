"""Checks answers against an OpenAPI 3.1 document: the status is declared, the schema matches, every field is known."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from ruamel.yaml import YAML

DOCUMENTS = Path(__file__).parents[2] / "docs" / "contracts"
METHODS = {"get", "post"}

Json = Any  # an OpenAPI document and its bodies are arbitrary JSON


class Contract:
    """Checks answers against one OpenAPI document."""

    def __init__(self, vendor: str) -> None:
        self.vendor = vendor
        self.document: Json = YAML(typ="safe", pure=True).load(DOCUMENTS / f"{vendor}.openapi.yaml")
        resource = Resource.from_contents(self.document, default_specification=DRAFT202012)
        self._registry = Registry().with_resource(f"urn:{vendor}", resource)
        self.operations = {
            operation["operationId"]: (method, path, operation)
            for path, item in self.document["paths"].items()
            for method, operation in item.items()
            if method in METHODS
        }
        self.seen: set[tuple[str, int]] = set()

    def check(self, response: httpx.Response) -> None:
        """Check one answer; fails with a description of the violation."""
        response.read()
        name = self.operation_of(response.request)
        declared = self.operations[name][2]["responses"]
        assert str(response.status_code) in declared, f"{name} declares no {response.status_code}"
        answer = self.resolved(declared[str(response.status_code)])
        schema = answer["content"]["application/json"]["schema"]
        assert response.headers["content-type"] == "application/json"
        self.check_body(response.json(), schema)
        self.check_headers(response.headers, answer.get("headers", {}))
        self.seen.add((name, response.status_code))

    def check_body(self, body: Json, schema: Json) -> None:
        """Check a JSON value against a schema of this document."""
        errors = [f"{error.json_path}: {error.message}" for error in self.validator(schema).iter_errors(body)]
        assert errors == []
        assert self.unknown_fields(body, [schema], "$") == []

    def check_headers(self, sent: Mapping[str, str], declared: Json) -> None:
        """Check the declared headers in an answer."""
        for name, reference in declared.items():
            header = self.resolved(reference)
            if name in sent and header["schema"].get("type") == "integer":
                assert re.fullmatch(r"\d+", sent[name]), f"{name}: {sent[name]}"

    def validator(self, schema: Json) -> Draft202012Validator:
        """A validator that resolves `#/components/...` in this document."""
        text = json.dumps(schema).replace('"#/components/', f'"urn:{self.vendor}#/components/')
        return Draft202012Validator(json.loads(text), registry=self._registry)

    def operation_of(self, request: httpx.Request) -> str:
        """The operationId of a request; fixed paths take precedence over templates, as in OpenAPI."""
        candidates = [
            (path.count("{"), name)
            for name, (method, path, _) in self.operations.items()
            if method == request.method.lower() and re.fullmatch(re.sub(r"{\w+}", "[^/]+", path), request.url.path)
        ]
        assert candidates, f"no operation for {request.method} {request.url.path}"
        name: str = min(candidates)[1]
        return name

    def resolved(self, node: Json) -> Json:
        """The target of a reference; the node itself if it is not one."""
        while "$ref" in node:
            found = self.document
            for part in node["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            node = found
        return node

    def unknown_fields(self, value: Json, schemas: list[Json], where: str) -> list[str]:
        """The fields in a value that none of its schemas names; a schema without properties allows all."""
        flat = [one for schema in schemas for one in self._flat(schema)]
        if isinstance(value, list):
            inner = [schema["items"] for schema in flat if "items" in schema]
            return [bad for n, item in enumerate(value) for bad in self.unknown_fields(item, inner, f"{where}[{n}]")]
        named = [schema["properties"] for schema in flat if "properties" in schema]
        if not isinstance(value, dict) or not named:
            return []
        found = []
        for key, item in value.items():
            inner = [properties[key] for properties in named if key in properties]
            found += self.unknown_fields(item, inner, f"{where}.{key}") if inner else [f"{where}.{key}"]
        return found

    def _flat(self, schema: Json) -> list[Json]:
        schema = self.resolved(schema)
        parts = [part for word in ("allOf", "oneOf", "anyOf") for part in schema.get(word, [])]
        return [schema, *(one for part in parts for one in self._flat(part))]

"""JSON schema of a sweep file, for editors: `python -m orchestrator.schema` writes search_spaces/schema.json."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.detector_spec import OWN_KEYS
from orchestrator.space import KINDS
from orchestrator.spec import SweepKeys
from trainables.metrics import METRICS
from trainables.registry import DETECTORS, config_class

SCHEMA_FILE = Path(__file__).resolve().parent.parent / "search_spaces" / "schema.json"


class OwnDetector(BaseModel):
    """A detector of one's own; its other keys are the fields of its Config."""

    model_config = ConfigDict(extra="allow")

    class_path: str = Field(alias="class", description="module:Class, from the current folder or PYTHONPATH.")
    space: dict[str, Any] = Field(default={}, description="Searched settings.")


def sweep_schema() -> dict[str, Any]:
    """Return the JSON schema: the keys of a sweep, and under each built-in detector the fields of its Config."""
    schema = SweepKeys.model_json_schema()
    definitions = schema.setdefault("$defs", {})
    properties = {}
    for name in DETECTORS:
        definitions[f"detector_{name}"] = _detector(name, definitions)
        properties[name] = {"$ref": f"#/$defs/detector_{name}"}
    own = OwnDetector.model_json_schema(by_alias=True)
    own["properties"]["space"]["additionalProperties"] = _dimension()
    schema["properties"]["detectors"] = {
        "type": "object",
        "minProperties": 1,
        "properties": properties,
        "additionalProperties": own,
    }
    schema["required"] = [*schema.get("required", []), "detectors"]
    schema["properties"]["objective"] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {"metric": {"enum": list(METRICS), "default": "average_precision"}},
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Sweep"}


def schema_text() -> str:
    """Return the text of schema.json."""
    return json.dumps(sweep_schema(), indent=1, ensure_ascii=False) + "\n"


def _detector(name: str, definitions: dict[str, Any]) -> dict[str, Any]:
    schema = config_class(name).model_json_schema()
    definitions.update(schema.pop("$defs", {}))
    dimensions = {key: _dimension() for key in schema.get("properties", {})}
    own = {
        "class": {"type": "string", "description": "module:Class instead of the built-in one."},
        "space": {"type": "object", "additionalProperties": False, "properties": dimensions},
        "sources": {
            "type": "array",
            "items": {"type": "string"},
            "minItems": 1,
            "description": "Names of the sources that it runs on; without it on all.",
        },
    }
    return {
        "type": "object",
        "description": schema.get("description", name).splitlines()[0],
        "additionalProperties": False,
        "properties": {**schema.get("properties", {}), **{key: own[key] for key in OWN_KEYS}},
    }


def _dimension() -> dict[str, Any]:
    kinds = {
        kind: {
            "type": "array",
            "description": row.meaning,
            "minItems": 1 if kind == "choice" else 2,
            **({} if kind == "choice" else {"maxItems": 2, "items": {"type": "number"}}),
        }
        for kind, row in KINDS.items()
    }
    return {
        "type": "object",
        "properties": kinds,
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }


if __name__ == "__main__":
    SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")

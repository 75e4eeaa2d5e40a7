"""The JSON schema of config.yaml, with which editors complete, explain and check what is typed.

It covers files that are laid over config.yaml as well. Mistakes that take more than one value to
see, such as an undefined name, are found by `load_settings` when the pipeline starts.
"""

from typing import Any

from workflow.lib.runtime.version import VERSION
from workflow.lib.settings.inheritance import DEFAULTS
from workflow.lib.settings.root import Settings

EXTENDS = {"type": "string", "description": "name of the recipe that this one starts from"}
# YAML 1.1 reads 5e-5 as text, which the settings accept as a number.
EXPONENT = "^[-+]?[0-9.]+[eE][-+]?[0-9]+$"


def config_schema() -> dict[str, Any]:
    """Return the schema of config.yaml, presets and other files for --configfile."""
    schema = _fit(Settings.model_json_schema())
    definitions = schema["$defs"]
    definitions["Recipe"]["properties"] = {
        "extends": EXTENDS,
        **definitions["Recipe"]["properties"],
    }
    schema["properties"]["recipes"]["properties"] = {
        DEFAULTS: {
            "description": "values for all recipes that do not set their own",
            "allOf": [
                {"$ref": "#/$defs/Recipe"},
                {"properties": {"extends": False, "published": False}},
            ],
        }
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$comment": f"Version {VERSION}, made by `python -m workflow schema`.",
        "title": "Instruction finetuning: config.yaml",
        **schema,
    }


def _fit(schema: dict[str, Any]) -> dict[str, Any]:
    """Turn pydantic's schema of complete settings into a schema of the files that users write.

    A file may hold any part of the settings, since Snakemake merges it with config.yaml key by key:
    nothing is required. Keywords newer than draft 07, which editors know best, are replaced.
    """
    fitted: dict[str, Any] = {}
    for keyword, value in schema.items():
        match keyword:
            case "title" | "required" | "discriminator":
                pass
            case "default" if "$ref" in schema:
                pass  # the section's own keys have their defaults
            case "type" if value == "number":
                fitted |= {"type": ["number", "string"], "pattern": EXPONENT}
            case "properties" | "$defs":
                fitted[keyword] = {name: _fit(inner) for name, inner in value.items()}
            case "patternProperties":  # definitions by name
                [(pattern, inner)] = value.items()
                fitted["propertyNames"] = {"pattern": pattern}
                fitted["additionalProperties"] = _fit(inner)
            case "prefixItems":  # a pair of one type
                fitted["items"] = _fit(value[0])
            case "oneOf" | "anyOf":
                fitted["anyOf"] = [_fit(inner) for inner in value]
            case "items" | "additionalProperties" | "propertyNames" if isinstance(value, dict):
                fitted[keyword] = _fit(value)
            case _:
                fitted[keyword] = value
    return fitted

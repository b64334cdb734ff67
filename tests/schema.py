"""As much of JSON Schema as the golden vectors use."""

import re


def violations(value, schema, root):
    """Where a value departs from a JSON Schema, as far as ours goes."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    known = {"$schema", "$defs", "title", "description", "type", "properties", "required"}
    known |= {"additionalProperties", "items", "minimum", "pattern", "const", "enum"}
    assert set(schema) <= known, "this check does not know all of the schema"
    kinds = {"object": dict, "array": list, "string": str, "integer": int}
    if "type" in schema and not isinstance(value, kinds[schema["type"]]):
        return [f"{value!r:.40} is no {schema['type']}"]
    found = []
    if "const" in schema and value != schema["const"] or value not in schema.get("enum", [value]):
        found.append(f"{value!r:.40} is another value")
    if "pattern" in schema and not re.search(schema["pattern"], value):
        found.append(f"{value!r:.40} is another text")
    if "minimum" in schema and value < schema["minimum"]:
        found.append(f"{value} is too small")
    if isinstance(value, list) and "items" in schema:
        found += [v for item in value for v in violations(item, schema["items"], root)]
    if isinstance(value, dict):
        found += [f"{key} is missing" for key in set(schema.get("required", [])) - set(value)]
        rest = schema.get("additionalProperties", True)
        for key, item in value.items():
            inner = schema.get("properties", {}).get(key, rest)
            if inner is False:
                found.append(f"{key} is not foreseen")
            elif inner is not True:
                found += violations(item, inner, root)
    return found

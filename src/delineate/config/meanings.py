"""What each key means, for messages, editors and the reference page.

The text stands below each field in schema.py and parts.py and is read from there only when someone
asks: to take it up at every start would cost a third of the time that a configuration takes.
"""

import ast
import inspect
from functools import cache
from itertools import pairwise
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from delineate.config import parts, schema
from delineate.config.budget import Budget
from delineate.config.schema import Config

__all__ = ["json_schema", "meaning"]


def meaning(model: type[BaseModel], key: str) -> str:
    """The line below a field; a section that has none of its own says what its class says."""
    for owner in model.__mro__:
        if (text := _texts().get((owner.__name__, key))) is not None:
            return text
    annotation = model.model_fields[key].annotation
    return (inspect.getdoc(annotation) or "").splitlines()[0]


def json_schema() -> dict[str, Any]:
    """The JSON Schema that lets an editor complete and check a YAML file."""
    found = Config.model_json_schema(schema_generator=_Generator)
    for name, definition in [*found["$defs"].items(), ("Config", found)]:
        for key, property_ in definition["properties"].items():
            property_["description"] = meaning(getattr(schema, name), key)
            property_.pop("title", None)
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, **found, "title": "A delineate configuration"}


class _Generator(GenerateJsonSchema):
    """Writes a budget as its text."""

    def encode_default(self, dft: Any) -> Any:
        return str(dft) if isinstance(dft, Budget) else super().encode_default(dft)


@cache
def _texts() -> dict[tuple[str, str], str]:
    """By class and field."""
    trees = [ast.parse(inspect.getsource(module)) for module in (parts, schema)]
    return {
        (owner.name, field.target.id): inspect.cleandoc(str(text.value.value))
        for tree in trees
        for owner in tree.body
        if isinstance(owner, ast.ClassDef)
        for field, text in pairwise(owner.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
    }

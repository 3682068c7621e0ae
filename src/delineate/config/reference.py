"""The page that lists every key: docs/reference/config.md is this function's text."""

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_jsonable_python

from delineate.config.budget import Budget
from delineate.config.meanings import meaning
from delineate.config.schema import Config, LossTerm, Optimizer, Part, Section, Stage
from delineate.config.words import describe
from delineate.config.yaml_text import write_yaml

__all__ = ["config_reference"]

HEAD = """\
# Configuration

A configuration is a YAML file, or a recipe by name, and any of its keys can be replaced on the
command line:

```
delineate train starter data.root=DIR train.budget=10min loss.0.weight=2
```

A key that is not listed here is an error. A swappable part is `name:` with its arguments beside it:
a bare name is looked up in the part's own package, a dotted one is imported, so a class of yours or
of another package needs no registration. `delineate schema > config.schema.json` writes the JSON
Schema; with this first line an editor completes and checks the file:

```yaml
# yaml-language-server: $schema=config.schema.json
```
"""


def config_reference() -> str:
    """Markdown: every section, its keys, what they accept, their defaults and what they mean."""
    sections: list[Any] = [
        (key, field.annotation)
        for key, field in Config.model_fields.items()
        if _is_plain_section(field)
    ]
    parts = [("model, schedule and each entry of augment", Part)]
    parts += [("each entry of loss", LossTerm), ("optimizer", Optimizer)]
    return "\n".join(
        [HEAD, *_table("Sections", Config), *(line for s in sections for line in _table(*s))]
        + [line for p in parts for line in _table(*p, free=True)]
        + [*_table("each entry of stages", Stage)]
    )


def _is_plain_section(field: FieldInfo) -> bool:
    annotation = field.annotation
    return (
        isinstance(annotation, type)
        and issubclass(annotation, Section)
        and (not issubclass(annotation, Part))
    )


def _table(title: str, model: type[Section], *, free: bool = False) -> Iterator[str]:
    yield from (f"## {title}", "", (model.__doc__ or "").strip(), "")
    yield from ("| key | accepts | default | meaning |", "|---|---|---|---|")
    for key, field in model.model_fields.items():
        cells = (f"`{key}`", _accepts(field), _default(field), meaning(model, key))
        yield f"| {' | '.join(cells)} |"
    if free:
        yield "| any other | what the constructor takes | | an argument of it |"
    yield ""


def _accepts(field: FieldInfo) -> str:
    annotation: Any = field.annotation
    return describe(Annotated[annotation, *field.metadata] if field.metadata else annotation)


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required"
    if _is_plain_section(field):
        return ""
    plain = isinstance(field.default, Budget)
    default = str(field.default) if plain else to_jsonable_python(field.default)
    text = write_yaml(default, flow=True)
    return f"`{text.splitlines()[0]}`"

"""The documented schema of labels: structures inside structures, with colours and remaps.

    {"hierarchy": {"brainstem": {"label_id": 9, "name": "Brainstem", "subdivisions":
        {"pons": {"label_range": [120, 139], "name": "Pons", "nuclei":
            {"locus_coeruleus": {"label_id": 121, "functional_class": "consciousness", ...}}}}}},
     "color_mapping": {"consciousness": [100, 100, 255], ...},
     "class_remaps": {"6": [{"name": "red_nucleus", "label_ids": [4], "parent": "midbrain"}, ...]}}

Any structure may have a label_id of its own, inside or outside of the range above it, and any
depth is read: what lies inside a structure is under 'subdivisions', 'nuclei' or 'children'.
`class_remaps` says, by the number of classes with the background, which ids each class unites,
class 1 first.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from delineate.datasets.label_file import read_labels
from delineate.errors import DataError
from delineate.io import atomic_path
from delineate.labels import Labels
from delineate.systems.brainstem.schema import Remap, Schema, Structure

__all__ = ["SHIPPED", "read_schema", "write_schema"]

SHIPPED = Path(__file__).with_name("brainstem_labels_schema.json")
"""The schema of 36 nuclei that comes with delineate."""
INSIDE = ("subdivisions", "nuclei", "children")
"""Where a structure holds others; by depth when written."""
KNOWN = ("label_id", "label_range", "name", *INSIDE)
COLOURS, REMAPS, HIERARCHY = "color_mapping", "class_remaps", "hierarchy"


def read_schema(path: str | Path) -> Schema:
    """The schema of a JSON file, or the labels of any file that `data.labels` takes."""
    path = Path(path)
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_without_repeats)
    except FileNotFoundError:
        raise DataError(
            f"{path}: no such file. Fix: write the schema of the labels there."
        ) from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a readable JSON file ({error}).") from None
    if not isinstance(data, Mapping) or HIERARCHY not in data:
        return _of_labels(read_labels(path))
    structures = tuple(_walk(data[HIERARCHY], None, str(path)))
    schema = Schema(
        structures=structures,
        colours=_colours(data.get(COLOURS, {}), str(path)),
        remaps=_remaps(data.get(REMAPS, {}), str(path)),
        rest={k: v for k, v in data.items() if k not in (HIERARCHY, COLOURS, REMAPS)},
    )
    _refuse_repeats(structures, str(path))
    return schema


def write_schema(schema: Schema, path: str | Path) -> None:
    """The file that `read_schema` reads the same from."""
    path = Path(path)
    colours = {name: list(rgb) for name, rgb in schema.colours.items()}
    remaps = {str(n): [_spelled(one) for one in classes] for n, classes in schema.remaps.items()}
    tree = {HIERARCHY: _tree(schema, None, 0), COLOURS: colours, REMAPS: remaps}
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as part:
        text = json.dumps({**schema.rest, **tree}, indent=1, ensure_ascii=False)
        part.write_text(text + "\n", encoding="utf-8")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A table of JSON, whose second value for a key would take the place of the first unsaid."""
    keys = [key for key, _ in pairs]
    if twice := next((key for i, key in enumerate(keys) if key in keys[:i]), None):
        raise ValueError(f"a table has the key '{twice}' twice")
    return dict(pairs)


def _walk(nodes: Any, parent: str | None, where: str) -> Iterator[Structure]:
    if not isinstance(nodes, Mapping) or not (nodes or parent):
        raise DataError(f"{where}: the hierarchy has {nodes!r} where structures by key are wanted.")
    for key, node in nodes.items():
        if not isinstance(node, Mapping):
            raise DataError(f"{where}: '{key}' is {node!r}. Fix: a table with name and label_id.")
        inside = [node[name] for name in INSIDE if node.get(name)]
        number = node.get("label_id")
        if number is not None and (not _is_whole(number) or number < 1):
            raise DataError(f"{where}: '{key}' has the label_id {number!r}. Fix: a number above 0.")
        if number is None and not inside:
            raise DataError(
                f"{where}: '{key}' has no label_id. Fix: the id that masks have for it."
            )
        yield Structure(
            key=str(key),
            name=str(node.get("name", key)),
            label_id=number,
            label_range=_range(node.get("label_range"), str(key), where),
            parent=parent,
            facts={k: v for k, v in node.items() if k not in KNOWN},
        )
        for part in inside:
            yield from _walk(part, str(key), where)


def _range(limits: Any, key: str, where: str) -> tuple[int, int] | None:
    if limits is None:
        return None
    pair = isinstance(limits, list) and len(limits) == 2 and all(map(_is_whole, limits))
    if not pair or limits[0] > limits[1]:
        raise DataError(f"{where}: '{key}' has the label_range {limits!r}. Fix: [lowest, highest].")
    return limits[0], limits[1]


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _colours(table: Any, where: str) -> dict[str, tuple[int, int, int]]:
    try:
        return {name: (int(r), int(g), int(b)) for name, (r, g, b) in table.items()}
    except (AttributeError, TypeError, ValueError):
        raise DataError(f"{where}: {COLOURS} is {table!r}. Fix: [r, g, b] by name.") from None


def _remaps(table: Any, where: str) -> dict[int, tuple[Remap, ...]]:
    try:
        remaps = {
            int(number): tuple(
                Remap(
                    name=one["name"],
                    label_ids=tuple(map(int, one["label_ids"])),
                    parent=one.get("parent"),
                )
                for one in classes
            )
            for number, classes in table.items()
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{where}: {REMAPS} cannot be read ({error!r}). Fix: by the number of classes a "
            'list of {"name": ..., "label_ids": [...], "parent": ...}.'
        ) from None
    for number, classes in remaps.items():
        if len(classes) != number - 1:
            raise DataError(
                f"{where}: {REMAPS} '{number}' lists {len(classes)} classes. "
                f"Fix: {number - 1} of them, the background is not listed."
            )
        ids = [i for one in classes for i in one.label_ids]
        names = [one.name for one in classes]
        if not all(one.label_ids for one in classes) or min(ids, default=1) < 1:
            raise DataError(f"{where}: {REMAPS} '{number}' wants label_ids above 0 in each class.")
        for what, values in (("label_id", ids), ("name", names)):
            _refuse_repeated(what, values, f"{where}: {REMAPS} '{number}'")
    return remaps


def _refuse_repeats(structures: tuple[Structure, ...], where: str) -> None:
    for what in ("key", "label_id"):
        values = [v for s in structures if (v := getattr(s, what)) is not None]
        _refuse_repeated(what, values, where)


def _refuse_repeated(what: str, values: Sequence[Any], where: str) -> None:
    twice = next((v for i, v in enumerate(values) if v in values[:i]), None)
    if twice is not None:
        raise DataError(f"{where}: the {what} {twice!r} is used twice. Fix: give one another.")


def _of_labels(labels: Labels) -> Schema:
    colours = {c.name: c.colour for c in labels.classes if c.colour is not None}
    facts = {name: {"functional_class": name} for name in colours}
    return Schema(
        structures=tuple(
            Structure(
                key=c.name, name=c.name, label_id=c.id, parent=c.parent, facts=facts.get(c.name, {})
            )
            for c in labels.classes
        ),
        colours=colours,
    )


def _tree(schema: Schema, parent: str | None, depth: int) -> dict[str, Any]:
    nodes = {}
    for s in (s for s in schema.structures if s.parent == parent):
        own = {"label_id": s.label_id, "label_range": s.label_range and list(s.label_range)}
        node = {k: v for k, v in own.items() if v is not None} | {"name": s.name, **s.facts}
        if inside := _tree(schema, s.key, depth + 1):
            node[INSIDE[min(depth, 2)]] = inside
        nodes[s.key] = node
    return nodes


def _spelled(remap: Remap) -> dict[str, Any]:
    said = {"name": remap.name, "label_ids": list(remap.label_ids), "parent": remap.parent}
    return {key: value for key, value in said.items() if value is not None}

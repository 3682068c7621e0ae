"""Labels that a person gives beside a data set, in place of what the data set declares."""

import json
from collections.abc import Mapping
from pathlib import Path

from delineate.datasets.declared import declared_labels
from delineate.errors import DataError
from delineate.labels import Labels

__all__ = ["read_labels"]


def read_labels(source: Path | Mapping[str, int]) -> Labels:
    """Labels from a table of names and ids, or from a JSON file.

    The file holds such a table, a `labels` key with one (any dataset.json), or what plan.json has
    under `labels`: a list of classes with name, id, colour and parent.
    """
    if not isinstance(source, Path):
        return declared_labels(source, where="data.labels")
    try:
        data = json.loads(source.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise DataError(f"{source}: no such file of labels.") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{source}: not a readable JSON file ({error}).") from None
    if isinstance(data, Mapping) and "labels" in data:
        data = data["labels"]
    if isinstance(data, Mapping) and "classes" in data:
        try:
            return Labels.from_json(data)
        except (KeyError, TypeError) as error:
            raise DataError(f"{source}: a class has the wrong keys ({error}).") from None
    return declared_labels(data, where=str(source))

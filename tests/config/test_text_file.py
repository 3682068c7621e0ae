from pathlib import Path

import pytest

from delineate.config.text_file import read_text
from delineate.errors import ConfigError


def test_the_text_comes_without_the_mark_of_an_editor(tmp_path: Path):
    path = tmp_path / "a.yaml"
    path.write_bytes("\ufeffa: \u00e4\n".encode())
    assert read_text(path) == "a: \u00e4\n"


def test_what_is_no_text_is_told_by_the_name_that_it_is_given(tmp_path: Path):
    path = tmp_path / "a.yaml"

    def refusal() -> str:
        with pytest.raises(ConfigError) as caught:
            read_text(path, "mine")
        return str(caught.value)

    assert refusal() == "mine: no such file."
    path.write_bytes("\u00e4".encode("latin1"))
    assert refusal() == "mine: not text in UTF-8."
    path.unlink()
    path.mkdir()
    assert refusal() == "mine: cannot be read: Is a directory."

"""The settings of a cascade come from YAML and from the command line."""

from pathlib import Path

import pytest

from delineate.errors import ConfigError
from delineate.systems.spine.cascade.command import read_cascade
from delineate.systems.spine.cascade.settings import CascadeSettings


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_without_a_file_the_defaults_count_and_words_go_over_them():
    assert read_cascade(None) == CascadeSettings()
    found = read_cascade(
        None, weights=Path("w"), batch_size=4, confidence=0.3, device=None, preview=True
    )
    assert found.lesion.confidence == 0.3
    assert found.lesion.checkpoint == "lesion_segmentation"
    assert (found.weights, found.batch_size, found.device) == (Path("w"), 4, "auto")


def test_a_file_says_which_classes_go_on(tmp_path: Path):
    file = written(
        tmp_path / "cascade.yaml",
        "weights: trained\n"
        "gates:\n"
        "  - {name: anatomy, checkpoint: anatomy, keep: [spine, 3], confidence: 6e-1}\n"
        "  - {name: cord, checkpoint: x, keep: [1], by: slice}\n"
        "lesion: {confidence: 0.4}\n",
    )
    found = read_cascade(file)
    assert found.weights == tmp_path / "trained"
    assert found.gates[0].keep == ("spine", 3)
    assert found.gates[0].confidence == 0.6
    assert [gate.by for gate in found.gates] == ["series", "slice"]
    over = read_cascade(file, confidence=0.7, weights=Path("other"))
    assert over.lesion.confidence == 0.7
    assert over.weights == Path("other")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("minimum_slice: 3\n", r"unknown key 'minimum_slice'. Did you mean 'minimum_slices'\?"),
        (
            "gates:\n  - {name: a, checkpoint: a, keep: []}\n",
            "gates.0.keep wants a list of one or more classes, numbers or names, got",
        ),
        ("gates:\n  - {name: a, keep: [1]}\n", "missing key 'gates.0.checkpoint'"),
        ("batch_size: 0\n", "batch_size wants a whole number of at least 1, got 0"),
        (
            "lesion: {confidence: 2}\n",
            "lesion.confidence wants a number of at least 0 and up to 1, got 2",
        ),
        ("- a\n", "wants keys such as weights and gates"),
    ],
)
def test_mistakes_are_told_with_their_line(text: str, said: str, tmp_path: Path):
    file = written(tmp_path / "cascade.yaml", text)
    with pytest.raises(ConfigError, match=said) as caught:
        read_cascade(file)
    assert "cascade.yaml" in str(caught.value)


def test_a_mistaken_word_is_one_of_the_command_line():
    with pytest.raises(ConfigError, match="command line: batch_size wants a whole number of at"):
        read_cascade(None, batch_size=0)

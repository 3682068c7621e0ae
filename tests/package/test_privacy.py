"""Names of cases and folders are found in any text, and plain words are not taken for them."""

from pathlib import Path

import pytest

from delineate.package import PrivateText
from delineate.package.privacy import private_words, refuse_private

OUT = Path("model.zip")


def test_folders_count_in_full_and_single_steps_do_not():
    words = private_words([], ["scans", Path("study/scans"), "/data/study"])
    assert {"study/scans", "/data/study", str(Path("scans").absolute())} <= words
    assert "scans" not in words
    assert str(Path.home()) in words


@pytest.mark.parametrize("case", ["Doe_Jane", "case_017", "1047562", "sub-01", "Jane Doe"])
def test_an_id_that_tells_of_somebody_is_private(case: str):
    words = private_words([case], [])
    for text in (f"as in {case}.", f'"{case}"', f"{case}", f"({case})"):
        with pytest.raises(PrivateText, match=f"line 2 of card.md would hold '{case}'"):
            refuse_private(OUT, {"card.md": f"# Card\n{text}"}, words)
    refuse_private(OUT, {"card.md": f"x{case} {case}2"}, words)


@pytest.mark.parametrize("case", ["12", "2024", "liver", "CT", "T1"])
def test_a_plain_word_or_a_small_number_is_not(case: str):
    refuse_private(OUT, {"card.md": f"{case} of {case}"}, private_words([case], []))


def test_a_number_within_a_figure_is_no_id():
    refuse_private(OUT, {"domain.json": "3.14159, 14159.25"}, private_words(["14159"], []))


def test_without_private_words_every_text_passes():
    refuse_private(OUT, {"card.md": "/home/somebody"}, ())

import pytest

from delineate.tracking.row_file import RowFile


class Lines(RowFile):
    """A file of lines that are appended as they are."""

    def log_metrics(self, metrics, step=None):
        self.append(f"{step}\n")


def test_the_heading_comes_once_and_the_lines_follow(tmp_path):
    file = Lines(tmp_path / "deep" / "rows.txt", heading="top\n")
    file.append("a\n")
    file.append("b\n")
    assert file.path.read_text() == "top\na\nb\n"


def test_a_state_from_before_the_first_line_begins_anew(tmp_path):
    path = tmp_path / "rows.txt"
    state = Lines(path).state_dict()
    Lines(path).append("left over\n")
    file = Lines(path)
    file.load_state_dict(state)
    file.append("a\n")
    assert path.read_text() == "a\n"


def test_a_file_that_is_gone_is_made_anew_with_its_heading(tmp_path):
    first = Lines(tmp_path / "rows.txt", heading="top\n")
    first.append("a\n")
    state = first.state_dict()
    first.path.unlink()
    second = Lines(first.path, heading="top\n")
    second.load_state_dict(state)
    second.append("b\n")
    assert second.path.read_text() == "top\nb\n"


def test_a_file_that_does_not_say_how_a_row_is_written_cannot_be_made(tmp_path):
    with pytest.raises(TypeError, match=r"abstract method '?log_metrics"):
        RowFile(tmp_path / "rows.txt")

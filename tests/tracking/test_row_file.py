from delineate.tracking.row_file import RowFile


def test_the_heading_comes_once_and_the_lines_follow(tmp_path):
    file = RowFile(tmp_path / "deep" / "rows.txt", heading="top\n")
    file.append("a\n")
    file.append("b\n")
    assert file.path.read_text() == "top\na\nb\n"


def test_a_state_from_before_the_first_line_begins_anew(tmp_path):
    path = tmp_path / "rows.txt"
    state = RowFile(path).state_dict()
    RowFile(path).append("left over\n")
    file = RowFile(path)
    file.load_state_dict(state)
    file.append("a\n")
    assert path.read_text() == "a\n"


def test_a_file_that_is_gone_is_made_anew_with_its_heading(tmp_path):
    first = RowFile(tmp_path / "rows.txt", heading="top\n")
    first.append("a\n")
    state = first.state_dict()
    first.path.unlink()
    second = RowFile(first.path, heading="top\n")
    second.load_state_dict(state)
    second.append("b\n")
    assert second.path.read_text() == "top\nb\n"

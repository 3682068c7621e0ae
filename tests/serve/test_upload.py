"""Forms that arrive in pieces: what is kept of them, and when they are refused."""

import asyncio
import re
from pathlib import Path

import pytest

pytest.importorskip("python_multipart", reason="the extra 'serve' is not installed")

from delineate.serve.refusal import Refusal
from delineate.serve.upload import receive

KIND = "multipart/form-data; boundary=xyz"


def form(*parts, end=b"--xyz--\r\n"):
    lines = [
        b'--xyz\r\nContent-Disposition: form-data; name="%b"; filename="%b"\r\n\r\n%b\r\n'
        % (field, name, data)
        for field, name, data in parts
    ]
    return b"".join(lines) + end


def take(body, folder, *, kind=KIND, max_bytes=10**6, step=7):
    taken = []

    async def chunks():
        for start in range(0, len(body), step):
            taken.append(start)
            yield body[start : start + step]

    return asyncio.run(receive(kind, chunks(), folder, max_bytes=max_bytes)), taken


@pytest.mark.parametrize("step", [1, 7, 10**7])
def test_each_part_is_a_file_whatever_the_pieces_that_it_comes_in(tmp_path, step):
    data = bytes(range(256)) * 3 + b"\r\n--xy not the end"
    parts, _ = take(form((b"image", b"a", data), (b"T1", b"b", b"")), tmp_path, step=step)
    assert [part.field for part in parts] == ["image", "T1"]
    assert [part.path.read_bytes() for part in parts] == [data, b""]


@pytest.mark.parametrize("name", [b"../../etc/passwd", b"/etc/passwd", b"C:\\x", b"DOE^JANE.nii"])
def test_the_name_that_a_client_gives_its_file_never_touches_the_disk(tmp_path, name):
    folder = tmp_path / "in"
    folder.mkdir()
    parts, _ = take(form((name, name, b"x")), folder)
    assert [part.path for part in parts] == [folder / "part0"]
    assert [p.name for p in tmp_path.rglob("*")] == ["in", "part0"]


def test_an_upload_that_is_too_large_is_refused_before_it_has_arrived(tmp_path):
    body = form((b"image", b"a", bytes(100_000)))
    seen = []

    async def chunks():
        for start in range(0, len(body), 1000):
            seen.append(start)
            yield body[start : start + 1000]

    with pytest.raises(Refusal, match=r"the upload is larger than 0.01 MB\.") as caught:
        asyncio.run(receive(KIND, chunks(), tmp_path, max_bytes=10_000))
    assert caught.value.status == 413
    assert len(seen) == 11


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_part_whose_end_finds_no_room_is_no_part(tmp_path):
    (tmp_path / "part0").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        take(form((b"image", b"a", b"data")), tmp_path)


@pytest.mark.parametrize(
    ("kind", "body", "status", "message"),
    [
        ("application/json", b"{}", 415, "the body is application/json, not multipart/form-data."),
        ("", b"", 415, "the body is of no declared type, not multipart/form-data."),
        ("multipart/form-data", b"", 415, "the body is multipart/form-data, not"),
        (KIND, b"nonsense that has no boundary", 400, "the form is broken"),
        (
            KIND,
            form((b"image", b"a", b"data"), end=b""),
            400,
            "the form breaks off before its end.",
        ),
        (KIND, b"--xyz\r\nX: 1\r\n\r\nx\r\n--xyz--\r\n", 400, "a part of the form has no name."),
        (
            KIND,
            b"--xyz\r\nX: " + b"y" * 9000,
            400,
            "the form is broken (Maximum header size exceeded).",
        ),
        (KIND, form(*[(b"image", b"a", b"x")] * 65), 400, "the form has more than 64 parts."),
    ],
)
def test_what_is_no_form_is_refused_with_a_reason(tmp_path, kind, body, status, message):
    with pytest.raises(Refusal, match=re.escape(message)) as caught:
        take(body, tmp_path, kind=kind, step=4096)
    assert caught.value.status == status

"""A multipart form taken apart as it arrives: each part goes straight into a file of its own.

The names of those files are numbers. What a client calls its file, and its type, are not looked at;
only the name of the form's field is kept, for it can say which channel the file is.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from delineate.serve.refusal import Refusal, too_large

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

__all__ = ["Part", "receive"]

_STEP = 1 << 20
"""Bytes that are written together."""
_MAX_PARTS = 64
_EXAMPLE = "Send a form: curl -F image=@scan.nii.gz URL"


@dataclass(frozen=True, slots=True)
class Part:
    """One field of a form."""

    field: str
    path: Path


async def receive(
    content_type: str, chunks: AsyncIterator[bytes], folder: Path, *, max_bytes: int
) -> list[Part]:
    """Write every part into the folder; more than `max_bytes` in all is refused on the way."""
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data" or b"boundary" not in options:
        got = content_type.partition(";")[0].strip() or "of no declared type"
        raise Refusal(415, f"the body is {got}, not multipart/form-data.", fix=_EXAMPLE)
    form = _Form(folder)
    try:
        parser = MultipartParser(options[b"boundary"], form.callbacks())
        await _feed(parser, chunks, max_bytes)
    except FormParserError as error:
        raise Refusal(400, f"the form is broken ({error}).", fix=_EXAMPLE) from None
    finally:
        form.give_up()
    if not form.ended:
        raise Refusal(400, "the form breaks off before its end.", fix="Send it again.")
    return form.parts


async def _feed(parser: MultipartParser, chunks: AsyncIterator[bytes], max_bytes: int) -> None:
    """Everything to the parser, in a thread, for the parser writes files."""
    seen, held = 0, bytearray()
    async for chunk in chunks:
        seen += len(chunk)
        if seen > max_bytes:
            raise too_large(max_bytes)
        held += chunk
        if len(held) >= _STEP:
            await asyncio.to_thread(parser.write, bytes(held))
            held.clear()
    await asyncio.to_thread(parser.write, bytes(held))


class _Form:
    """What the parser has found up to here."""

    def __init__(self, folder: Path) -> None:
        self.parts: list[Part] = []
        self.ended = False
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._name, self._value = bytearray(), bytearray()
        self._disposition = b""

    def callbacks(self) -> "MultipartCallbacks":
        """What the parser calls, by the names that it has for the events."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._add_name,
            "on_header_value": self._add_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._open,
            "on_part_data": self._write,
            "on_part_end": self._close,
            "on_end": self._end,
        }

    def give_up(self) -> None:
        """No more of a part that has no end; what is still buffered need not reach the disk."""
        with suppress(OSError):
            self._close()

    def _begin(self) -> None:
        self._disposition = b""

    def _add_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if bytes(self._name).lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._name.clear()
        self._value.clear()

    def _open(self) -> None:
        if len(self.parts) == _MAX_PARTS:
            raise Refusal(400, f"the form has more than {_MAX_PARTS} parts.", fix=_EXAMPLE)
        _, options = parse_options_header(self._disposition)
        if b"name" not in options:
            raise Refusal(400, "a part of the form has no name.", fix=_EXAMPLE)
        path = self._folder / f"part{len(self.parts)}"
        self._file = path.open("wb")
        self.parts.append(Part(options[b"name"].decode("utf-8", "replace"), path))

    def _write(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(memoryview(data)[start:end])

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _end(self) -> None:
        self.ended = True

"""What a client is told when it gets no mask: a status, what is wrong, and what would help."""

import re
import traceback
from pathlib import Path

from delineate.errors import DataError, DelineateError

__all__ = ["Refusal", "explain", "too_large", "where"]


class Refusal(Exception):
    """An answer that is not a mask.

    Args:
        status: Of HTTP.
        error: What is wrong, in one sentence.
        fix: What the client can do; empty where it can do nothing.
        retry_after: Seconds after which another try may succeed.
    """

    def __init__(
        self, status: int, error: str, *, fix: str = "", retry_after: int | None = None
    ) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.fix = fix
        self.retry_after = retry_after

    def to_json(self) -> dict[str, str]:
        """The body of the answer."""
        return {"error": self.error, "fix": self.fix}

    def headers(self) -> dict[str, str]:
        """The headers of the answer."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


def too_large(max_bytes: int, what: str = "the upload") -> Refusal:
    """The refusal of what is larger than a service takes."""
    return Refusal(
        413,
        f"{what} is larger than {max_bytes / 1e6:g} MB.",
        fix="Send one scan at a time, or start the service with a larger --max-mb.",
    )


def explain(error: Exception, folder: Path) -> Refusal:
    """What went wrong with the files in `folder`, whose place on the disk is not told.

    A fault that is not the client's has no text of its own, for that may quote the scan.
    """
    if isinstance(error, Refusal):
        return error
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return Refusal(
            503,
            "the machine ran out of memory on this scan.",
            fix="Start the service with --memory-gb, so that it works in what there is.",
            retry_after=60,
        )
    if isinstance(error, DelineateError):
        text = re.sub(re.escape(f"{folder}/") + "(scan/)?", "", str(error))
        said, _, fix = text.partition("Fix:")
        return Refusal(400 if isinstance(error, DataError) else 422, said.strip(), fix=fix.strip())
    return Refusal(
        500, "the service failed on this scan.", fix="Ask who runs it: its log says where."
    )


def where(error: BaseException) -> str:
    """The kind of an error and the lines that it came through, for a log; not its words."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = (f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames)
    return "\n".join((type(error).__name__, *lines))

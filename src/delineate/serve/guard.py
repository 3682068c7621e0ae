"""The outermost layer: who is listened to, what is logged, and what leaves when something breaks.

Method, path, status and duration go into the log, and nothing that a client wrote: no query, no
file name, no message of an error, for any of them may name a patient.
"""

import json
import logging
import re
import time
from collections.abc import Set
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from delineate.serve.refusal import Refusal, too_large, where

__all__ = ["Guard"]

log = logging.getLogger("delineate.serve")

_KNOWN = re.compile(r"/(health|model|predict|openapi\.json|jobs)?$")
_JOB = re.compile(r"/jobs/([\w-]{6})[\w-]+(/mask)?$")


class Guard:
    """Wraps an application.

    Args:
        app: What answers.
        hosts: Names by which the service may be called; None is any. A page of the web that has
            its own name resolved to this machine (DNS rebinding) is so kept from reading masks.
        max_bytes: Of one request.
    """

    def __init__(self, app: ASGIApp, *, hosts: Set[str] | None, max_bytes: int) -> None:
        self._app = app
        self._hosts = hosts
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever happens within."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        status = 0

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            refusal = self._refusal(scope)
            if refusal is None:
                await self._app(scope, receive, note)
            else:
                await _send(refusal, note)
        except Exception as error:
            log.error("failed: %s", where(error))
            if not status:
                await _send(Refusal(500, "the service failed.", fix="Ask who runs it."), note)
        finally:
            seconds = time.monotonic() - began
            log.info("%s %s %s %.2f s", scope["method"], _loggable(scope["path"]), status, seconds)

    def _refusal(self, scope: Scope) -> Refusal | None:
        """What can be refused by the headers alone."""
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        callers = [_hostname(f"//{headers.get(b'host', '')}")]
        if b"origin" in headers:
            callers.append(_hostname(headers[b"origin"]))
        if self._hosts is not None and not set(callers) <= self._hosts:
            return Refusal(
                403,
                "this service answers to this machine alone.",
                fix="Call it as 127.0.0.1, or start it with --host.",
            )
        length = headers.get(b"content-length", "")
        if length.isdigit() and int(length) > self._max_bytes:
            return too_large(self._max_bytes)
        return None


def _hostname(url: str) -> str:
    """The host without its port; empty where there is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _loggable(path: str) -> str:
    """The path where it is one of ours, the id of a job cut short; nothing else is repeated."""
    if _KNOWN.match(path):
        return path
    job = _JOB.match(path)
    return f"/jobs/{job[1]}...{job[2] or ''}" if job else "(unknown path)"


async def _send(refusal: Refusal, send: Send) -> None:
    body = json.dumps(refusal.to_json()).encode()
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

"""The service as a process: a port, a log, a word of warning, and uvicorn."""

import ipaddress
import logging
import socket
import sys
import time
import warnings

from delineate.errors import ConfigError, require
from delineate.notes import heard_by
from delineate.serve.service import Service

__all__ = ["require_packages", "serve"]

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_OPEN = (
    "WARNING: on {host}, whoever reaches this machine can send scans and read masks: there is no "
    "log-in and no encryption. Fix: leave --host out, or let a proxy with TLS and a log-in stand "
    "in front."
)


def require_packages() -> None:
    """A MissingExtra where a package of the service is not installed."""
    for package in ("fastapi", "uvicorn", "python_multipart"):
        require(package, extra="serve")


def serve(service: Service, *, host: str, port: int) -> None:
    """Answer until the process is told to end; a port of 0 is any that is free."""
    require_packages()
    import uvicorn

    from delineate.serve.app import make_app

    # They quote what stands in the header of a scan.
    warnings.filterwarnings("ignore", module="pydicom")
    door = _open(host, port)
    local = is_loopback(host)
    if not local:
        print(_OPEN.format(host=host), file=sys.stderr)
    shown = f"[{host}]" if ":" in host else host
    print(
        f"{service.name} on http://{shown}:{door.getsockname()[1]} ({service.device}); "
        "POST /predict takes scans, Ctrl-C ends.",
        file=sys.stderr,
        flush=True,
    )
    app = make_app(service, hosts=_LOOPBACK_NAMES | {host} if local else None)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=5,
    )
    with heard_by(_timed_lines()):
        uvicorn.Server(config).run(sockets=[door])


def is_loopback(host: str) -> bool:
    """Whether only this machine itself can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _open(host: str, port: int) -> socket.socket:
    """A socket that listens; a port that is taken is a ConfigError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(
            f"--host {host} --port {port}: {reason}. Fix: choose another port or address."
        ) from None


def _timed_lines() -> logging.Handler:
    """One line per request on stderr, with the time of day."""
    handler = logging.StreamHandler()
    form = logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    form.converter = time.gmtime
    handler.setFormatter(form)
    # Its warnings quote bytes of what was sent.
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
    return handler

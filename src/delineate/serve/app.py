"""The HTTP application: its routes, its errors as JSON, and what lives as long as it does."""

from collections.abc import AsyncIterator, Set
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

from delineate import __version__
from delineate.serve.guard import Guard
from delineate.serve.jobs import Jobs
from delineate.serve.refusal import Refusal
from delineate.serve.routes import make_routes
from delineate.serve.service import Service

__all__ = ["make_app"]

_ADVICE = {
    404: "GET /openapi.json lists what there is.",
    405: "Use another method: see /openapi.json.",
}


def make_app(service: Service, *, hosts: Set[str] | None = None) -> ASGIApp:
    """The application that uvicorn, or a test, runs.

    Args:
        service: Its networks must be on its device, in evaluation mode.
        hosts: Names by which it may be called; None is any.
    """
    jobs = Jobs(service.limits)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            jobs.close()

    # The pages of FastAPI fetch their scripts from the web, where a hospital's network ends.
    app = FastAPI(
        title="delineate",
        version=__version__,
        summary=f"Masks and volumes by {service.name}. Research software: not a medical device.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.include_router(make_routes(service, jobs))
    for kind in (Refusal, HTTPException, RequestValidationError, ClientDisconnect, Exception):
        app.add_exception_handler(kind, _tell)
    return Guard(app, hosts=hosts, max_bytes=service.limits.max_bytes)


def _tell(_: Request, error: Exception) -> JSONResponse:
    """Every error in one form."""
    refusal = _as_refusal(error)
    return JSONResponse(refusal.to_json(), refusal.status, headers=refusal.headers())


def _as_refusal(error: Exception) -> Refusal:
    if isinstance(error, Refusal):
        return error
    if isinstance(error, HTTPException):
        said = str(error.detail).rstrip(".").lower()
        return Refusal(error.status_code, f"{said}.", fix=_ADVICE.get(error.status_code, ""))
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        said = f"{first['msg'][0].lower()}{first['msg'][1:]}"
        return Refusal(422, f"'{first['loc'][-1]}' is wrong: {said}.", fix=_ADVICE[404])
    if isinstance(error, ClientDisconnect):
        return Refusal(499, "the client has gone.")  # as proxies write it: nobody reads it
    return Refusal(500, "the service failed.", fix="Ask who runs it: its log says where.")

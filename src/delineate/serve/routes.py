"""What can be asked: health, the model, a mask at once, and jobs for scans that take long."""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from delineate import __version__
from delineate.errors import DelineateError
from delineate.serve.answer import Answer, refuse_form
from delineate.serve.jobs import Job, Jobs
from delineate.serve.refusal import Refusal, explain
from delineate.serve.scan import check_grid, take_scan
from delineate.serve.service import Service, answer_scan, describe, plans_of
from delineate.serve.upload import Part, receive

__all__ = ["make_routes"]

Form = Literal["", "nii.gz", "nii", "nrrd", "mha", "h5", "png", "tif", "dcm", "json", "zip"]
_LOOK_S = 0.25
"""How often it is asked whether a client that waits is still there."""
_BODY = {
    "requestBody": {
        "required": True,
        "description": "The scan as 'image': one file, or one for each channel in the order of "
        "/model; or each channel under its own name.",
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["image"],
                    "properties": {
                        "image": {"type": "array", "items": {"type": "string", "format": "binary"}}
                    },
                }
            }
        },
    }
}


class Wish(NamedTuple):
    """What a client asks for."""

    form: str
    series: str


def make_routes(service: Service, jobs: Jobs) -> APIRouter:
    """All routes of a service."""
    routes = APIRouter()
    _add_facts(routes, service, jobs)
    _add_predict(routes, service, jobs)
    _add_jobs(routes, service, jobs)
    return routes


def _add_facts(routes: APIRouter, service: Service, jobs: Jobs) -> None:
    @routes.get("/health")
    async def health() -> JSONResponse:
        """Whether scans are predicted, and how many wait."""
        alive = jobs.alive()
        facts = {
            "status": "ok" if alive else "down",
            "version": __version__,
            "device": service.device,
            "jobs": jobs.counts(),
        }
        return JSONResponse(facts, 200 if alive else 503)

    @routes.get("/model")
    async def model() -> dict[str, Any]:
        """Channels, labels and card of the model."""
        return describe(service)


def _add_predict(routes: APIRouter, service: Service, jobs: Jobs) -> None:
    @routes.post("/predict", openapi_extra=_BODY, response_class=Response)
    async def predict(request: Request, format: Form = "", series: str = "") -> Response:
        """The mask of a scan, in the answer itself."""
        job = jobs.reserve()
        try:
            paths = await _take(request, job, service, Wish(format, series))
            jobs.submit(job, partial(answer_scan, service, paths, job.folder, format))
            answer = await _wait(job, request, service.limits.timeout_s)
        except BaseException:
            # Also a client that has gone: its scan must not stay.
            jobs.drop(job)
            raise
        if answer.path is None:
            jobs.drop(job)
            return JSONResponse(dict(answer.facts))
        return _Sent(answer, answer.path, partial(jobs.drop, job))


def _add_jobs(routes: APIRouter, service: Service, jobs: Jobs) -> None:
    @routes.post("/jobs", openapi_extra=_BODY, status_code=202)
    async def start(request: Request, format: Form = "", series: str = "") -> JSONResponse:
        """Queue a scan; the answer says where to ask for the mask."""
        job = jobs.reserve()
        try:
            paths = await _take(request, job, service, Wish(format, series))
            jobs.submit(job, partial(answer_scan, service, paths, job.folder, format))
        except BaseException:
            jobs.drop(job)
            raise
        return JSONResponse(_state(job, jobs), 202, headers={"Location": f"/jobs/{job.id}"})

    @routes.get("/jobs/{id}")
    async def look(id: str) -> dict[str, Any]:
        """How far a job is, and the volumes once it is done."""
        return _state(jobs.find(id), jobs)

    @routes.get("/jobs/{id}/mask", response_class=Response)
    async def fetch(id: str) -> Response:
        """The mask of a job that is done; it stays until it is deleted, or has lain too long."""
        job = jobs.find(id)
        if not job.outcome.done():
            raise Refusal(409, f"the job is {job.state}.", fix="Ask again later.", retry_after=2)
        answer = _answer(job)
        if answer.path is None:
            raise Refusal(
                404, "this job was asked for the volumes alone.", fix=f"GET /jobs/{id} has them."
            )
        return FileResponse(answer.path, media_type=answer.media_type, filename=answer.path.name)

    @routes.delete("/jobs/{id}", status_code=204)
    async def delete(id: str) -> Response:
        """Forget a job and its mask; one that waits is not predicted."""
        jobs.drop(jobs.find(id))
        return Response(status_code=204)


class _Sent(FileResponse):
    """A mask whose job goes when it is sent, and also when the client has gone before."""

    def __init__(self, answer: Answer, path: Path, drop: Callable[[], None]) -> None:
        super().__init__(path, media_type=answer.media_type, filename=path.name)
        self._drop = drop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._drop()


async def _take(request: Request, job: Job, service: Service, wish: Wish) -> tuple[str, ...]:
    """The upload in the job's folder, and its files once they are found to be a scan."""
    folder, limits = job.folder / "scan", service.limits
    folder.mkdir()
    kind = request.headers.get("content-type", "")
    try:
        async with asyncio.timeout(limits.timeout_s):
            parts = await receive(kind, request.stream(), folder, max_bytes=limits.max_bytes)
    except TimeoutError:
        raise Refusal(
            408, f"the upload takes longer than {limits.timeout_s:g} s.", fix="Send it again."
        ) from None
    try:
        return await asyncio.to_thread(_check, parts, folder, service, wish)
    except DelineateError as error:
        raise explain(error, job.folder) from None


def _check(parts: list[Part], folder: Path, service: Service, wish: Wish) -> tuple[str, ...]:
    max_bytes, plans = service.limits.max_bytes, plans_of(service.predictor)
    channels = service.predictor.channels
    paths = take_scan(parts, channels, folder, max_bytes=max_bytes, series=wish.series)
    refuse_form(wish.form, paths[0], dims=len(plans[0].spacing))
    check_grid(paths[0], plans, max_bytes=max_bytes)
    return paths


async def _wait(job: Job, request: Request, timeout_s: float) -> Answer:
    """The answer, once the job is done; a client that has gone, or waited too long, ends it."""
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout_s
    future = asyncio.wrap_future(job.outcome)
    while not future.done():
        await asyncio.wait((future,), timeout=_LOOK_S)
        if future.done():
            break
        if await request.is_disconnected():
            raise ClientDisconnect
        if loop.time() > end:
            raise Refusal(
                503,
                f"the mask takes longer than {timeout_s:g} s.",
                fix="POST the scan to /jobs, and ask for its mask later.",
                retry_after=max(1, round(timeout_s)),
            )
    return _answer(job)


def _answer(job: Job) -> Answer:
    """What a finished job came to."""
    if job.outcome.cancelled():
        raise Refusal(503, "the service is ending.", fix="Send the scan again.", retry_after=10)
    outcome = job.outcome.result()
    if isinstance(outcome, Refusal):
        raise outcome
    return outcome


def _state(job: Job, jobs: Jobs) -> dict[str, Any]:
    """A job in words; `before` is how many scans are predicted first."""
    facts: dict[str, Any] = {"id": job.id, "state": job.state, "before": jobs.place(job)}
    if job.state in ("done", "failed"):
        try:
            facts["result"] = dict(_answer(job).facts)
        except Refusal as refusal:
            facts |= refusal.to_json()
    return facts

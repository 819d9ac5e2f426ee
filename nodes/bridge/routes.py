"""The routes by which a browser asks about runs and acts on them. Clients name runs by the server's own ids, never
files."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from aiohttp import web

from .compat import running_server
from .kept import PREVIEW, RUN_ID, folder_of, remove, unfinished
from .runs import CheckpointFailed, Run, RunEnded, all_runs, find_run
from .scene_files import scene_files

MAX_BODY = 1024  # bytes; no action needs any
CHECKPOINT_SECONDS = 600  # a step of a large model on a CPU takes minutes


def register_routes() -> None:
    """Add the routes to ComfyUI's server; nothing if there is none."""
    server = running_server()
    if server is None:
        return
    server.routes.get("/tbsd/runs")(get_runs)
    server.routes.get("/tbsd/runs/{run}")(get_state)
    server.routes.get("/tbsd/runs/{run}/previews/{step}")(get_preview)
    server.routes.post("/tbsd/runs/{run}/stop")(post_stop)
    server.routes.post("/tbsd/runs/{run}/checkpoint")(post_checkpoint)
    server.routes.get("/tbsd/runs/{run}/thumbnail")(get_thumbnail)
    server.routes.post("/tbsd/runs/{run}/remove")(post_remove)
    server.routes.get("/tbsd/unfinished")(get_unfinished)
    server.routes.get("/tbsd/files")(get_files)


async def get_runs(request: web.Request) -> web.Response:
    return web.json_response({"runs": [run.summary() for run in all_runs()]})


async def get_state(request: web.Request) -> web.Response:
    return web.json_response(known_run(request).state())


async def get_preview(request: web.Request) -> web.Response:
    """The JPEG closest to a step; the step it belongs to is in the header X-TBSD-Step."""
    text = request.match_info["step"]
    if not re.fullmatch(r"[0-9]{1,7}", text):
        raise refusal(web.HTTPBadRequest, "A step is a number of up to 7 digits.")
    found = known_run(request).picture(int(text), "final" in request.query)
    if found is None:
        raise refusal(web.HTTPNotFound, "This run has no preview yet.")
    step, jpeg = found
    cache = "private, max-age=3600, immutable" if step == int(text) else "no-store"
    headers = {"Cache-Control": cache, "X-TBSD-Step": str(step), "X-Content-Type-Options": "nosniff"}
    return web.Response(body=jpeg, content_type="image/jpeg", headers=headers)


async def post_stop(request: web.Request) -> web.Response:
    run = known_run(request)
    try:
        run.stop()
    except RunEnded as error:
        raise refusal(web.HTTPConflict, str(error)) from None
    return web.json_response({"run": run.id, "status": "stopping"})


async def post_checkpoint(request: web.Request) -> web.Response:
    run = known_run(request)
    try:
        name = await asyncio.wait_for(asyncio.wrap_future(run.want_checkpoint()), CHECKPOINT_SECONDS)
    except RunEnded as error:
        raise refusal(web.HTTPConflict, str(error)) from None
    except asyncio.TimeoutError:
        text = f"The current step takes longer than {CHECKPOINT_SECONDS} s. Try again after it."
        raise refusal(web.HTTPGatewayTimeout, text) from None
    except CheckpointFailed as error:
        raise refusal(web.HTTPInsufficientStorage, str(error)) from None
    return web.json_response({"run": run.id, "file": name})


async def get_unfinished(request: web.Request) -> web.Response:
    """Runs that can be continued; a disk may be slow, and the server goes on meanwhile."""
    found = await asyncio.to_thread(unfinished)
    names = ("run", "node", "prompt", "steps", "at", "text", "method", "scene", "status", "nodes")
    return web.json_response({"runs": [{n: getattr(a, n) for n in names} | {"step": a.saved} for a in found]})


async def get_files(request: web.Request) -> web.Response:
    return web.json_response({"files": await asyncio.to_thread(scene_files)})


async def get_thumbnail(request: web.Request) -> web.Response:
    """The newest picture that the folder of a run has."""
    folder = known_folder(request)
    try:
        jpeg = await asyncio.to_thread((folder / PREVIEW).read_bytes)
    except OSError:
        raise refusal(web.HTTPNotFound, "This run has no picture.") from None
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return web.Response(body=jpeg, content_type="image/jpeg", headers=headers)


async def post_remove(request: web.Request) -> web.Response:
    folder = known_folder(request)
    if not await asyncio.to_thread(remove, folder):
        raise refusal(web.HTTPConflict, "The run or its graph is still running. Stop it first.")
    return web.json_response({"run": folder.name})


def known_folder(request: web.Request) -> Path:
    """The folder of the run that a request names. Raises the 4xx to answer with."""
    check_request(request)
    try:
        return folder_of(request.match_info["run"])
    except FileNotFoundError:
        raise refusal(web.HTTPNotFound, "No such run in this output folder.") from None


def known_run(request: web.Request) -> Run:
    """The run that a request names. Raises the 4xx to answer with."""
    check_request(request)
    run = find_run(request.match_info["run"])
    if run is None:
        raise refusal(web.HTTPNotFound, "No such run. The server remembers only the latest runs.")
    return run


def check_request(request: web.Request) -> None:
    """Raise the 4xx to answer with where a request names no run, or brings more than any needs."""
    if request.method == "POST" and ((request.content_length or 0) > MAX_BODY):
        raise web.HTTPRequestEntityTooLarge(MAX_BODY, request.content_length or 0)
    if not RUN_ID.fullmatch(request.match_info["run"]):
        raise refusal(web.HTTPBadRequest, "The id of a run has a date, a time and eight digits.")


def refusal(status: type[web.HTTPException], text: str) -> web.HTTPException:
    """An error that names what is wrong and repeats nothing of the request."""
    return status(text=text)

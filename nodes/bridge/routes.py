"""What a browser may ask about runs, and do with them. Clients name runs by the server's own ids, never files."""

from __future__ import annotations

import asyncio
import re

from aiohttp import web

from .compat import running_server
from .runs import CheckpointFailed, Run, RunEnded, all_runs, find_run

MAX_BODY = 1024  # bytes; no action needs any
CHECKPOINT_SECONDS = 600  # a step of a large model on a CPU takes minutes


def register_routes() -> None:
    """Add the routes to ComfyUI's server; nothing where there is none."""
    server = running_server()
    if server is None:
        return
    server.routes.get("/tbsd/runs")(get_runs)
    server.routes.get("/tbsd/runs/{run}")(get_state)
    server.routes.get("/tbsd/runs/{run}/previews/{step}")(get_preview)
    server.routes.post("/tbsd/runs/{run}/stop")(post_stop)
    server.routes.post("/tbsd/runs/{run}/checkpoint")(post_checkpoint)


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
        text = f"The present step takes longer than {CHECKPOINT_SECONDS} s. Try again after it."
        raise refusal(web.HTTPGatewayTimeout, text) from None
    except CheckpointFailed as error:
        raise refusal(web.HTTPInsufficientStorage, str(error)) from None
    return web.json_response({"run": run.id, "file": name})


def known_run(request: web.Request) -> Run:
    """The run that a request names. Raises the 4xx to answer with."""
    name = request.match_info["run"]
    if request.method == "POST" and ((request.content_length or 0) > MAX_BODY):
        raise web.HTTPRequestEntityTooLarge(MAX_BODY, request.content_length or 0)
    if not re.fullmatch(r"[0-9a-f]{16}", name):
        raise refusal(web.HTTPBadRequest, "A run is named by 16 hexadecimal digits.")
    run = find_run(name)
    if run is None:
        raise refusal(web.HTTPNotFound, "No such run; the server keeps the last one of each node.")
    return run


def refusal(status: type[web.HTTPException], text: str) -> web.HTTPException:
    """An error that names what is wrong and repeats nothing of the request."""
    return status(text=text)

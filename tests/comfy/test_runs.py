"""Questions of browsers about a run, and their actions on it, over HTTP and the websocket of a real server."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def node(kind: str, **inputs) -> dict:
    return {"class_type": kind, "inputs": inputs}


def graph(steps: int, seed: int, run: str = "run", **more) -> dict:
    """The shipped text-to-image workflow at another length, its optimiser under the id `run`."""
    found = json.loads((ROOT / "tests" / "workflows" / "Text to image.json").read_text(encoding="utf-8"))
    kind = "TBSD_OptimizeImage"
    (optimizer,) = (k for k, v in found.items() if v["class_type"] == kind)
    inputs = found[optimizer]["inputs"]
    first = {}
    for name in ("guidance", "scene"):
        first |= ancestors(found, inputs[name][0])
    return first | {run: node(kind, **(inputs | {"steps": steps, "seed": seed, "lr": 0.02}))} | more


def ancestors(graph: dict, name: str) -> dict:
    """The part of a graph that a node depends on, itself included."""
    found = {name: graph[name]}
    for value in graph[name]["inputs"].values():
        if isinstance(value, list):
            found |= ancestors(graph, value[0])
    return found


def ask(server, path: str, method: str = "GET", body: bytes | None = None):
    """Status, headers and body of an answer, also of a refusal."""
    request = urllib.request.Request(server.url + path, data=body, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def running(server, node_id: str = "run") -> dict:
    """The state of the run of a node once it has done a few steps."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for run in server.request("/tbsd/runs")["runs"]:
            if run["node"] == node_id and run["status"] == "running":
                state = server.request(f"/tbsd/runs/{run['run']}")
                if state["step"] >= 5:
                    return state
        time.sleep(0.05)
    raise AssertionError(f"no run of {node_id}: {server.log_tail()}")


def last_run(server, node_id: str = "run") -> dict:
    found = [r for r in server.request("/tbsd/runs")["runs"] if r["node"] == node_id]
    return server.request(f"/tbsd/runs/{found[-1]['run']}")


@pytest.fixture(scope="module")
def finished(server) -> dict:
    server.run(graph(40, 900))
    return last_run(server)


def test_a_finished_run_can_be_looked_at_again(server, finished):
    assert finished["status"] == "done" and finished["step"] == finished["steps"] == 40
    curves = finished["curves"]
    assert curves["steps"][0] == 1 and curves["steps"][-1] == 40
    assert set(curves["series"]) >= {"lambda_shape", "lambda_texture", "t", "lr", "grad_rms", "norm_delta_cls"}
    assert all(len(values) == len(curves["steps"]) for values in curves["series"].values())
    assert all(v == pytest.approx(0.02) for v in curves["series"]["lr"])
    assert 0 < min(curves["series"]["t"]) <= max(curves["series"]["t"]) < 1
    assert finished["elapsed"] > 0 and finished["remaining"] is None
    step = finished["previews"][0]
    status, headers, jpeg = ask(server, f"/tbsd/runs/{finished['run']}/previews/{step}")
    assert status == 200 and headers["Content-Type"] == "image/jpeg" and jpeg[:3] == b"\xff\xd8\xff"
    assert headers["X-TBSD-Step"] == str(step) and "immutable" in headers["Cache-Control"]


def test_a_preview_that_is_not_kept_gives_its_neighbour(server, finished):
    status, headers, _ = ask(server, f"/tbsd/runs/{finished['run']}/previews/9999999")
    assert status == 200 and headers["X-TBSD-Step"] == "40" and headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "path",
    [
        "/tbsd/runs/..%2f..%2fetc",
        "/tbsd/runs/%2e%2e",
        "/tbsd/runs/../../../etc/passwd",
        "/tbsd/runs/" + "a" * 5000,
        "/tbsd/runs/20260131-120000-0123ABCD",
        "/tbsd/runs/20260131-120000-0123abcd",
        "/tbsd/runs/20260131-120000-0123abcd/thumbnail",
        "/tbsd/runs/..%2f../thumbnail",
        "/tbsd/runs/%00",
        "/tbsd/runs/{run}/previews/-1",
        "/tbsd/runs/{run}/previews/1e3",
        "/tbsd/runs/{run}/previews/99999999",
        "/tbsd/runs/{run}/previews/..%2f..%2fx",
        "/tbsd/runs/{run}/previews/%D9%A3",
        "/tbsd/runs/{run}/stop",
        "/tbsd/runs/{run}/other",
    ],
)
def test_what_names_no_run_is_refused_and_the_server_goes_on(server, finished, path):
    for prefix in ("", "/api"):
        status, _, body = ask(server, prefix + path.replace("{run}", finished["run"]))
        assert 400 <= status < 500 and len(body) < 500
    assert server.request("/system_stats")


@pytest.mark.parametrize("action", ["stop", "checkpoint", "remove"])
def test_actions_are_posted_to_a_run_that_goes_on_and_bring_nothing(server, finished, action):
    path = f"/tbsd/runs/{finished['run']}/{action}"
    assert ask(server, path, "GET")[0] in (404, 405)
    assert ask(server, path, "DELETE")[0] in (404, 405)
    if action != "remove":
        status, _, body = ask(server, path, "POST", b"")
        assert status == 409 and b"has ended (done)" in body
    assert ask(server, path, "POST", b"x" * 5000)[0] == 413
    assert ask(server, f"/tbsd/runs/..%2f../{action}", "POST", b"")[0] in (400, 404)
    assert ask(server, f"/tbsd/runs/20260131-120000-0123abcd/{action}", "POST", b"")[0] == 404
    assert ask(server, f"/tbsd/runs/{finished['run']}", "POST", b"")[0] in (404, 405)


def test_stop_keeps_the_partial_result_and_the_graph_goes_on(server):
    save = node("SaveImage", images=["run", 0], filename_prefix="stopped")
    prompt_id = server.queue(graph(50_000, 901, save=save))
    state = running(server)
    assert state["remaining"] > 0
    start = time.monotonic()
    assert ask(server, f"/tbsd/runs/{state['run']}/stop", "POST", b"")[0] == 200
    entry = server.wait(prompt_id, seconds=30)
    assert time.monotonic() - start < 10
    assert entry["status"]["status_str"] == "success"
    assert server.file(entry["outputs"]["save"]["images"][0]).stat().st_size > 100
    assert len(entry["outputs"]["run"]["images"]) == 1
    state = last_run(server)
    assert state["status"] == "stopped" and 5 <= state["step"] < 50_000
    assert state["preview"] == state["step"], "the panel ends on the result"


@pytest.mark.once
def test_a_checkpoint_is_the_scene_at_that_step_and_the_run_goes_on(server):
    # a node id of an API prompt is any text; it must not lead out of the folder
    prompt_id = server.queue(graph(50_000, 902, run="../../evil"))
    state = running(server, "../../evil")
    status, _, body = ask(server, f"/tbsd/runs/{state['run']}/checkpoint", "POST", b"")
    assert status == 200
    name = json.loads(body)["file"]
    assert name.startswith("tbsd/checkpoint_") and name.endswith(".safetensors") and ".." not in name
    assert (server.base / "output" / name).stat().st_size > 1000
    later = server.request(f"/tbsd/runs/{state['run']}")
    assert later["status"] == "running" and later["saved"] == [name]
    ask(server, f"/tbsd/runs/{state['run']}/stop", "POST", b"")
    server.wait(prompt_id, seconds=30)
    load = node("TBSD_LoadScene", scene_file=name)
    again = graph(1, 903, load=load)
    again["run"]["inputs"]["scene"] = ["load", 0]
    assert server.run(again)["run"]["images"]


def unfinished(server) -> list[dict]:
    return server.request("/tbsd/unfinished")["runs"]


def test_a_cancelled_run_is_offered_and_continued(server):
    prompt_id = server.queue(graph(50_000, 904))
    state = running(server)
    folder = server.base / "output" / "tbsd" / "runs" / state["run"]
    assert ask(server, f"/tbsd/runs/{state['run']}/remove", "POST", b"")[0] == 409, "it goes on"
    server.request("/interrupt", {})
    entry = server.wait(prompt_id, seconds=30)
    assert "execution_interrupted" in dict(entry["status"]["messages"])
    assert server.request(f"/tbsd/runs/{state['run']}")["status"] == "interrupted"
    offered = unfinished(server)[0]
    done = offered["step"]
    assert (offered["run"], offered["status"], offered["steps"]) == (state["run"], "interrupted", 50_000)
    assert offered["nodes"]["run"] == "TBSD_OptimizeImage" and "TBSD_DemoModels" in offered["nodes"].values()
    assert done >= state["step"] and "brick house" in offered["text"]
    status, headers, jpeg = ask(server, f"/tbsd/runs/{state['run']}/thumbnail")
    assert status == 200 and headers["Content-Type"] == "image/jpeg" and jpeg[:3] == b"\xff\xd8\xff"
    (listed,) = (f for f in server.request("/tbsd/files")["files"] if f["run"] == state["run"])
    assert (listed["kind"], listed["step"]) == ("run", done) and listed["bytes"] > 1000
    assert (server.base / "output" / listed["file"]).is_file()

    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix == ".safetensors"}
    again = graph(done + 4, 905)  # the widget has drawn another seed since
    again["run"]["inputs"]["continue_run"] = state["run"]
    server.run(again)
    ended = last_run(server)
    assert (ended["status"], ended["resumed"], ended["step"]) == ("done", done, done + 4)
    (warning,) = ended["warnings"]
    assert warning == f"Resuming after step {done} with other settings: optim.n_steps was 50000, is {done + 4}."
    assert ended["curves"]["steps"][0] == 1, "with the curves of the steps before"
    assert state["run"] not in [run["run"] for run in unfinished(server)]
    kept = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix == ".safetensors"}
    assert kept == before, "what a run is continued from stays as it is"
    assert ask(server, f"/tbsd/runs/{state['run']}/remove", "POST", b"")[0] == 200 and not folder.exists()


def test_a_run_that_cannot_be_continued_says_why(server):
    prompt = graph(5, 905)
    prompt["run"]["inputs"]["continue_run"] = "20260131-120000-0123abcd"
    said = server.error(prompt)
    assert "was removed, or it belongs to another output folder. Run the graph to start a new run" in said
    prompt["run"]["inputs"]["continue_run"] = "../../etc"
    assert "has a date" in server.error(prompt)


@pytest.fixture(scope="module")
def cancelled(server) -> str:
    """A run to continue, of three steps or more."""
    prompt_id = server.queue(graph(50_000, 906, "long"))
    running(server, "long")
    server.request("/interrupt", {})
    server.wait(prompt_id, seconds=30)
    return unfinished(server)[0]["run"]


CHANGED = {  # node, widget, value and how the warning names it
    "prompt": ("TBSD_PromptEncode", "prompt", "a photo of a wooden cone", "prompt.prompt was"),
    "view words": ("TBSD_PromptEncode", "view_dependent", True, "prompt.view_dependent was"),
    "target negative": ("TBSD_TargetNegativePrompt", "descriptors", "dark", "prompt.negative_descriptors was"),
    "praise": ("TBSD_TargetNegativePrompt", "target_modifier", "sharp", "prompt.target_modifier was"),
    "guidance scale": ("TBSD_Guidance", "guidance_scale", 100.0, "guidance.guidance_scale was"),
    "balancer": ("TBSD_Guidance", "balancer", "pcgrad", "guidance.balancer was"),
    "learning rate": ("TBSD_OptimizeImage", "lr", 0.03, "optim.lr was"),
    "reuse": ("TBSD_OptimizeImage", "reuse_steps", 2, "optim.reuse_steps was"),
    "timesteps": ("TBSD_OptimizeImage", "t_max", 0.7, "optim.timesteps.t_max was"),
    "the scene": ("TBSD_ImageScene", "seed", 5, "the scene of the graph has no effect: seed was"),
    "another model's patch": ("ModelSamplingDiscrete", "sampling", "eps", "ModelSamplingDiscrete is new"),
}


@pytest.mark.parametrize("changed", CHANGED)
@pytest.mark.once
def test_what_differs_from_the_run_that_goes_on_is_named_before_the_first_step(server, cancelled, changed):
    kind, widget, value, named = CHANGED[changed]
    prompt = graph(50_000, 906, "long")
    if kind == "ModelSamplingDiscrete":
        models = next(k for k, v in prompt.items() if v["class_type"] == "TBSD_DemoModels")
        prompt["patch"] = node(kind, model=[models, 0], sampling=value, zsnr=False)
        next(v for v in prompt.values() if v["class_type"] == "TBSD_Guidance")["inputs"]["model"] = ["patch", 0]
    else:
        next(v for v in prompt.values() if v["class_type"] == kind)["inputs"][widget] = value
    prompt["long"]["inputs"]["continue_run"] = cancelled
    prompt_id = server.queue(prompt)
    end = time.monotonic() + 60
    try:
        while (state := last_run(server, "long"))["prompt"] != prompt_id or not state["warnings"]:
            assert time.monotonic() < end, server.log_tail()
            time.sleep(0.02)
    finally:  # the next test's run must not wait for 50,000 steps
        server.request("/interrupt", {})
        server.wait(prompt_id, seconds=30)
    assert named in " ".join(state["warnings"]), state["warnings"]
    assert ask(server, f"/tbsd/runs/{state['run']}/remove", "POST", b"")[0] in (200, 404)  # without a step it is gone


@pytest.mark.once
def test_what_is_kept_is_bounded(server):
    prompt_id = server.queue(graph(50_000, 905))
    state = running(server)
    time.sleep(4)
    late = server.request(f"/tbsd/runs/{state['run']}")
    assert len(late["previews"]) <= 60 and len(late["curves"]["steps"]) <= 401
    ask(server, f"/tbsd/runs/{state['run']}/stop", "POST", b"")
    server.wait(prompt_id, seconds=30)
    assert len(server.request("/tbsd/runs")["runs"]) <= 16


@pytest.mark.once
def test_events_are_few_and_small(server):
    """Read as a browser does; the server's own Python has aiohttp, the tests' one need not have it."""
    messages: list[tuple[float, bytes]] = []
    listener = threading.Thread(target=listen, args=(server, messages), daemon=True)
    listener.start()
    time.sleep(0.5)
    server.run(graph(60, 906))
    listener.join(20)
    events = [(at, json.loads(text)["data"], len(text)) for at, text in messages if b'"tbsd.step"' in text]
    assert events[-1][1]["status"] == "done" and events[-1][1]["step"] == 60
    assert max(size for _, _, size in events) < 2048
    times = [at for at, event, _ in events if event["status"] == "running"]
    assert len(times) > 5
    assert len(times) <= 10 * (times[-1] - times[0]) + 2


def listen(server, messages: list[tuple[float, bytes]]) -> None:
    """Collect the text messages of the websocket until a run has ended."""
    import base64
    import os
    import socket

    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as s:
        key = base64.b64encode(os.urandom(16)).decode()
        head = f"GET /ws?clientId=watcher HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
        head += f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        s.sendall(head.encode())
        stream = s.makefile("rb")
        while stream.readline().strip():
            pass
        while not (messages and b'"status": "done"' in messages[-1][1]):
            kind, length = stream.read(2)
            assert length < 128, "the server does not mask"
            if length == 126:
                length = int.from_bytes(stream.read(2), "big")
            elif length == 127:
                length = int.from_bytes(stream.read(8), "big")
            payload = stream.read(length)
            if kind & 15 == 1:
                messages.append((time.monotonic(), payload))


def resumed(name: str, steps: int, run: str = "again") -> dict:
    """The graph with the scene of a file, whose run goes on."""
    prompt = graph(steps, 77, run)
    prompt["file"] = node("TBSD_LoadScene", scene_file=name)
    prompt[run]["inputs"] |= {"scene": ["file", 0], "resume": True}
    return prompt


@pytest.mark.once
def test_a_saved_result_takes_more_steps(server):
    prompt = graph(6, 77, "short", keep=node("TBSD_SaveScene", scene=["short", 1], filename_prefix="tbsd/short"))
    name = server.run(prompt)["keep"]["text"][0]
    server.run(resumed(name, 9, "longer"))
    assert last_run(server, "longer")["step"] == 9
    assert "Raise steps" in server.error(resumed(name, 4))


def test_resume_needs_a_run(server):
    prompt = graph(5, 78, "none")
    prompt["none"]["inputs"]["resume"] = True
    assert "the scene does not come from a run. Connect Load Scene" in server.error(prompt)


@pytest.mark.once
def test_a_storm_of_interrupts_leaves_a_server_that_works(server):
    """Runs, cancels and questions at once: each run ends one way or the other, and the next one is fine."""
    queued = [server.queue(graph(120, 910 + k, f"storm{k}")) for k in range(4)]
    for k in range(60):
        server.request("/interrupt", {})
        server.request("/tbsd/runs")
        time.sleep(0.02 * (k % 4))
    for prompt_id in queued:
        status = server.wait(prompt_id, seconds=60)["status"]
        assert "execution_error" not in dict(status["messages"]), status
    states = [server.request(f"/tbsd/runs/{run['run']}") for run in server.request("/tbsd/runs")["runs"]]
    assert not [s for s in states if s["node"].startswith("storm") and s["status"] not in ("interrupted", "done")]
    assert server.run(graph(3, 920, "calm"))["calm"]["images"]

"""A ComfyUI of our own for the demo and the tests.

Started without a window, spoken to over HTTP, cleared away afterwards.

`Host` is the server process, `Client` talks to any server. Graphs are in API format (see graphs.py).
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import aiohttp

from . import environment
from .install import MODELS

DEMO = environment.REPO / "demo"
PACKS = {"comfyui-video-ldm": environment.REPO, "toy-world": DEMO / "host_pack"}
NOT_THE_PACK = shutil.ignore_patterns(".*", "__pycache__", "tests", "*.egg-info", "build", "dist")

Graph = dict[str, dict[str, Any]]
Listener = Callable[[str, dict[str, Any]], None]


def _ignore(event: str, data: dict[str, Any]) -> None:
    """Nobody listens."""


class HostError(RuntimeError):
    """ComfyUI refused or failed; the message holds what it said."""


class Interrupted(HostError):
    """The run was stopped on request."""


def stage(base: Path, packs: Mapping[str, Path] = PACKS) -> None:
    """Fill ComfyUI's base directory: this pack, the toy world's pack, the bundled toy models that exist."""
    for name, source in packs.items():
        _link(source, base / "custom_nodes" / name)
    for folder, names in MODELS.items():
        (base / "models" / folder).mkdir(parents=True)
        for name in names:
            if (DEMO / "models" / name).is_file():
                _link(DEMO / "models" / name, base / "models" / folder / name)


def arguments(base: Path, port: int, packs: Mapping[str, Path] = PACKS) -> list[str]:
    """ComfyUI's command line for a staged base directory: CPU, nothing of the user's, no other packs."""
    return [
        *("--cpu", "--port", str(port), "--base-directory", str(base)),
        *("--database-url", "sqlite:///:memory:", "--disable-api-nodes", "--disable-all-custom-nodes"),
        *("--whitelist-custom-nodes", *packs),
    ]


def free_port() -> int:
    """A TCP port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _link(source: Path, target: Path) -> None:
    """Link a file or folder, or copy it where links are refused."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.symlink_to(source, target_is_directory=source.is_dir())
    except OSError:
        if source.is_dir():
            shutil.copytree(source, target, ignore=NOT_THE_PACK)
        else:
            shutil.copy2(source, target)


def _unwind_when_terminated() -> None:
    """Let a polite kill end this program as an exception does, so that the server is not left behind."""
    in_main = threading.current_thread() is threading.main_thread()
    if in_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


class Host:
    """A ComfyUI server process with this pack, others if named, and the toy models, as a context manager.

    Raises HostError.
    """

    def __init__(
        self,
        preview_method: str = "none",
        patience: float = 180.0,
        packs: Mapping[str, Path] | None = None,
        flags: Sequence[str] = (),
    ) -> None:
        self.flags = flags
        self.packs = {**PACKS, **(packs or {})}
        self.preview_method = preview_method
        self.patience = patience
        self.base = Path(tempfile.mkdtemp(prefix="video_ldm_"))
        self.log = self.base / "comfyui.log"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Client:
        atexit.register(self.stop)
        _unwind_when_terminated()
        try:
            return self._start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self) -> Client:
        stage(self.base, self.packs)
        port = free_port()
        command = [
            sys.executable,
            str(environment.host_path() / "main.py"),
            *arguments(self.base, port, self.packs),
            *self.flags,
        ]
        # Tiny models on few cores are many times faster without threads of their own.
        surroundings = {"OMP_NUM_THREADS": "1", **os.environ}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--preview-method", self.preview_method],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=surroundings,
                cwd=self.base,
            )
        client = Client(f"http://127.0.0.1:{port}")
        deadline = time.monotonic() + self.patience
        while not client.is_up():
            if self.process.poll() is not None:
                raise HostError(f"ComfyUI ended while it started. Its last words:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise HostError(
                    f"ComfyUI did not start in {self.patience:.0f} s. Its last words:\n{self.tail()}"
                )
            time.sleep(0.2)
        return client

    def tail(self, lines: int = 30) -> str:
        """The end of the server's log."""
        return "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-lines:])

    def stop(self) -> None:
        """End the server and remove its files; harmless when repeated."""
        atexit.unregister(self.stop)
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.base, ignore_errors=True)


class Client:
    """Talks to one ComfyUI server. Every failure is a HostError."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.id = uuid.uuid4().hex

    def is_up(self) -> bool:
        """True if the server answers."""
        try:
            self.get("/system_stats")
        except HostError:
            return False
        return True

    def get(self, path: str) -> Any:
        """JSON at a path."""
        return json.loads(self._request(path))

    def post(self, path: str, body: Any) -> Any:
        """Send JSON, receive JSON (or None)."""
        return json.loads(self._request(path, json.dumps(body).encode()) or b"null")

    def interrupt(self) -> None:
        """Stop the graph that is running."""
        self.post("/interrupt", {})

    def object_info(self) -> dict[str, Any]:
        """Description of every node type."""
        return self.get("/object_info")

    def view(self, file: dict[str, str]) -> bytes:
        """Content of a file that a node reported: `filename`, `subfolder`, `type`."""
        return self._request(
            "/view?" + urlencode({key: file[key] for key in ("filename", "subfolder", "type")})
        )

    def queue(self, graph: Graph) -> str:
        """Queue a graph; its prompt id. A graph with any invalid node is refused."""
        answer = self.post("/prompt", {"prompt": graph, "client_id": self.id})
        if answer["node_errors"]:
            raise HostError(_refusal(answer))
        return answer["prompt_id"]

    def run(self, graph: Graph, listen: Listener = _ignore) -> dict[str, Any]:
        """Run a graph to its end: what its nodes showed, by node id.

        `listen(event, data)` hears the server's events: `executing`, `progress`, `executed` and others.
        Raises HostError with the failing node's message, Interrupted after `interrupt`.
        """
        prompt_id = asyncio.run(self._follow(graph, listen))
        return self._shown(prompt_id)

    def _shown(self, prompt_id: str, patience: float = 10.0) -> dict[str, Any]:
        """Results that a finished graph's nodes showed.

        The server announces the end a moment before it writes its history.
        """
        deadline = time.monotonic() + patience
        while prompt_id not in (history := self.get(f"/history/{prompt_id}")):
            if time.monotonic() > deadline:
                raise HostError(
                    f"ComfyUI at {self.url} forgot the graph {prompt_id} when it had finished it."
                )
            time.sleep(0.02)
        return history[prompt_id]["outputs"]

    async def _follow(self, graph: Graph, listen: Listener) -> str:
        address = f"{self.url.replace('http', 'ws', 1)}/ws?clientId={self.id}"
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(address, max_msg_size=0) as socket,
            ):
                prompt_id = await asyncio.to_thread(self.queue, graph)
                async for message in socket:
                    if message.type == aiohttp.WSMsgType.TEXT and is_over(message.json(), prompt_id, listen):
                        return prompt_id
        except aiohttp.ClientError as error:
            raise HostError(f"ComfyUI at {self.url} cannot be followed: {error}") from error
        raise HostError(f"ComfyUI at {self.url} ended while the graph was running.")

    def _request(self, path: str, body: bytes | None = None) -> bytes:
        request = Request(self.url + path, data=body, headers={"Content-Type": "application/json"})
        try:
            with urlopen(request, timeout=60) as answer:
                return answer.read()
        except HTTPError as error:
            text = error.read()
            if error.code == 400 and path == "/prompt":
                raise HostError(_refusal(json.loads(text))) from error
            raise HostError(f"ComfyUI answered {error.code} to {path}: {text[:200]!r}") from error
        except (URLError, OSError) as error:
            raise HostError(f"ComfyUI at {self.url} does not answer: {error}") from error


def is_over(message: dict[str, Any], prompt_id: str, listen: Listener = _ignore) -> bool:
    """Pass an event on; whether our graph has ended well. Raises HostError, Interrupted."""
    event, data = message["type"], message["data"]
    if data.get("prompt_id") != prompt_id:
        return False
    listen(event, data)
    if event == "execution_error":
        raise HostError(f"{data['node_type']} (node {data['node_id']}): {data['exception_message'].strip()}")
    if event == "execution_interrupted":
        raise Interrupted(f"{data['node_type']} (node {data['node_id']}) was interrupted.")
    return event == "execution_success"


def _refusal(answer: dict[str, Any]) -> str:
    """Reasons for which a graph was not accepted, one a line."""
    reasons = [
        f"{node['class_type']} (node {key}): {error['message']}: {error['details']}"
        for key, node in answer["node_errors"].items()
        for error in node["errors"]
    ]
    return "\n".join(reasons or [f"{answer['error']['message']}: {answer['error'].get('details', '')}"])

"""ComfyUI inside the test process: direct access to nodes, models and patchers, and the same host over HTTP.

Booted once per session. `nodes/` of this repository and the host's `nodes.py` share a name, so the repository
root must not be on `sys.path` when this runs (conftest.py takes it off).
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import inspect
import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from video_ldm.demo import comfy as demo_comfy
from video_ldm.demo import environment


@dataclass
class Run:
    """Results of a finished graph by node id."""

    outputs: dict[str, list[Any]]  # first (usually only) value of each output socket
    shown: dict[str, dict[str, Any]]  # what nodes reported to the interface: files, pictures
    events: list[tuple[str, dict[str, Any]]]  # messages in order


@dataclass
class Listener:
    """Stands where the executor expects the server, and writes down what it is told."""

    client_id: str | None = "tests"
    last_node_id: str | None = None
    last_prompt_id: str | None = None
    sockets_metadata: dict[str, Any] = field(default_factory=dict)
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def send_sync(self, event: str, data: dict[str, Any], sid: str | None = None) -> None:
        self.events.append((event, data))


class InProcessHost:
    """The booted host. `nodes` maps node ids to classes; `client` speaks HTTP to the same process.

    Without `serves` no thread answers HTTP, so that the process can be copied.
    """

    def __init__(self, base: Path, serves: bool = True) -> None:
        self.base = base
        port = demo_comfy.free_port()
        demo_comfy.stage(base)
        with _undisturbed():
            sys.argv = ["main.py", *demo_comfy.arguments(base, port)]
            sys.path.insert(0, str(environment.host_path()))
            main = _load_main(environment.host_path() / "main.py")
            self._loop, server, serve = main.start_comfyui()
        # The host sets it with the first prompt; tests move progress bars without one.
        server.last_prompt_id = None
        self.nodes: dict[str, type] = sys.modules["nodes"].NODE_CLASS_MAPPINGS
        self._thread = threading.Thread(target=self._serve, args=(serve,), daemon=True)
        self.client = demo_comfy.Client(f"http://127.0.0.1:{port}")
        if serves:
            self._thread.start()
            _wait(self.client)

    def pack(self, name: str) -> ModuleType:
        """A module of this pack as the host loaded it ("temporal.errors").

        Its classes are not `video_ldm`'s.
        """
        root = str(self.base / "custom_nodes" / "comfyui-video-ldm").replace(".", "_x_")
        return importlib.import_module(f"{root}.{name}")

    def models(self) -> list[Any]:
        """Models that the host holds loaded at the moment (its LoadedModel records)."""
        return list(sys.modules["comfy.model_management"].current_loaded_models)

    def call(self, node_id: str, **inputs: Any) -> tuple[Any, ...]:
        """Run one node by itself, as the host would: its outputs."""
        import torch

        node = self.nodes[node_id]
        with torch.inference_mode():
            if hasattr(node, "GET_SCHEMA"):
                return node.PREPARE_CLASS_CLONE(None).execute(**inputs).result or ()
            return getattr(node(), node.FUNCTION)(**inputs)

    def run(self, graph: demo_comfy.Graph, prompt_id: str = "test") -> Run:
        """Run an API-format graph in this thread, nothing cached. Raises HostError, Interrupted."""
        import execution
        from comfy.cli_args import args

        ok, error, wanted, node_errors = asyncio.run(execution.validate_prompt(prompt_id, graph, None))
        if not ok or node_errors:
            raise demo_comfy.HostError(f"The graph was refused: {error} {node_errors}")
        listener = Listener()
        kept = {"lru": 0, "ram": 0, "ram_inactive": 0}  # the last one since ComfyUI 0.26
        executor = execution.PromptExecutor(listener, cache_type=execution.CacheType.CLASSIC, cache_args=kept)
        shown = args.preview_method.value  # newer hosts set it anew with every graph
        executor.execute(graph, prompt_id, {"client_id": listener.client_id, "preview_method": shown}, wanted)
        for event, data in executor.status_messages:
            demo_comfy.is_over({"type": event, "data": data}, prompt_id)
        cached = {key: _now(executor.caches.outputs.get(key)) for key in graph}
        outputs = {key: [values[0] for values in entry.outputs] for key, entry in cached.items() if entry}
        return Run(outputs, executor.history_result["outputs"], listener.events)

    def close(self) -> None:
        """Stop serving."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _serve(self, serve: Any) -> None:
        asyncio.set_event_loop(self._loop)
        task = self._loop.create_task(serve())
        self._loop.run_forever()
        task.cancel()


def _now(value: Any) -> Any:
    """A value that older hosts give at once and newer ones when it is awaited."""

    async def awaited() -> Any:
        return await value

    return asyncio.run(awaited()) if inspect.isawaitable(value) else value


def _load_main(path: Path) -> ModuleType:
    """The host's main.py under a name that cannot be anybody else's."""
    import comfy.options

    comfy.options.enable_args_parsing()
    spec = importlib.util.spec_from_file_location("comfyui_main", path)
    main = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(main)
    return main


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Give the command line, the output streams and the loggers back to the test runner afterwards."""
    root = logging.getLogger()
    kept = sys.argv, sys.stdout, sys.stderr, root.level, list(root.handlers)
    try:
        yield
    finally:
        sys.argv, sys.stdout, sys.stderr, level, handlers = kept
        root.setLevel(level)
        root.handlers[:] = handlers


def _wait(client: demo_comfy.Client, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not client.is_up():
        if time.monotonic() > deadline:
            raise demo_comfy.HostError(f"The host did not serve in {seconds:.0f} s.")
        time.sleep(0.05)

"""ComfyUI's page in a headless Chromium, as an artist's browser shows it (playwright drives it).

`Editor` is the page of one server: it loads saved graphs, reads what is wrong with them, and runs them.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .comfy import Client

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",  # the page asks the internet for nothing
)
SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Minimap.Visible": False,
    "Comfy.Graph.CanvasInfo": False,
    "LiteGraph.Canvas.MinFontSizeForLOD": 0,  # texts stay texts at any zoom
    "Comfy.Workflow.Persist": False,
}
PATIENCE = 180_000  # milliseconds; a loaded machine is slow to start a page

UP = "() => window.app?.graph && Object.keys(window.LiteGraph?.registered_node_types ?? {}).length > 300"
PROBLEMS = """() => {
    const problems = [...document.querySelectorAll(
        '.p-toast-message-error, .p-toast-message-warn, [role=alertdialog]')]
        .concat([...document.querySelectorAll('[role=dialog]')].filter(dialog => dialog.offsetParent))
        .map(shown => shown.innerText.trim().slice(0, 300));
    for (const node of app.graph.nodes) {
        const name = `${node.type} (node ${node.id})`;
        if (!LiteGraph.registered_node_types[node.type]) problems.push(`${name} is missing`);
        if (node.has_errors) problems.push(`${name} has an error badge`);
        if (node.mode === 4) continue;  // bypassed: nothing of it is sent
        for (const widget of node.widgets ?? []) {
            const {values, min, max} = widget.options ?? {}, value = widget.value;
            const choices = typeof values === 'function' ? values(widget, node) : values;
            const wrong = widget.type === 'combo' ? Array.isArray(choices) && !choices.includes(value)
                : widget.type === 'number' ? !(value >= (min ?? -Infinity) && value <= (max ?? Infinity))
                : value === undefined && widget.type !== 'button';
            if (wrong) problems.push(`${name}: ${widget.name} is ${JSON.stringify(value)}`);
        }
    }
    return problems.concat(Object.values(app.lastNodeErrors ?? {}).map(error => JSON.stringify(error)));
}"""
DROP = """([name, text]) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([text], name, {type: 'application/json'}));
    const options = {dataTransfer: transfer, bubbles: true, cancelable: true, clientX: 700, clientY: 500};
    document.querySelector('#graph-canvas').dispatchEvent(new DragEvent('drop', options));
}"""
QUEUE = """async () => {
    const names = ['execution_success', 'execution_error', 'execution_interrupted'];
    const over = new Promise(resolve => {
        const listen = event => {
            names.forEach(name => app.api.removeEventListener(name, listen));
            resolve([event.type, event.detail?.exception_message ?? '']);
        };
        names.forEach(name => app.api.addEventListener(name, listen));
    });
    await app.queuePrompt(0, 1);
    const refused = Object.values(app.lastNodeErrors ?? {});
    return refused.length ? ['refused', JSON.stringify(refused)] : over;
}"""

SELECT = """type => {
    const node = app.graph.nodes.find(node => node.type === type);
    app.canvas.deselectAll();
    app.canvas.selectNode(node);
}"""
CLICKS, LOST_AFTER = 4, 20.0  # a click that shows nothing after so many seconds was lost


def executable() -> str | None:
    """Path of a Chromium on this machine."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextlib.contextmanager
def open_editor(client: Client, width: int = 1600, height: int = 1000) -> Iterator[Editor]:
    """The server's page in a fresh browser, closed afterwards."""
    from playwright.sync_api import sync_playwright

    client.post("/settings", SETTINGS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=FLAGS)
        page = browser.new_page(viewport={"width": width, "height": height})
        try:
            yield Editor(page, client.url)
        finally:
            browser.close()


class Editor:
    """The page of a ComfyUI server. `page` is playwright's."""

    def __init__(self, page: Any, url: str) -> None:
        self.page = page
        self.errors: list[str] = []
        # ComfyUI's own templates, hundreds of pictures, stay out of the template browser
        page.route("**/templates/index*.json", lambda route: route.fulfill(json=[]))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.set_default_timeout(PATIENCE)
        page.goto(url, wait_until="domcontentloaded")
        page.wait_for_function(UP)

    def load(self, workflow: dict[str, Any]) -> None:
        """Show a saved graph, as opening it from the menu does."""
        self.page.evaluate("async workflow => { await app.loadGraphData(workflow); }", workflow)

    def drop(self, path: Path) -> None:
        """Drop a file on the canvas, and wait until its graph is there."""
        text = path.read_text("utf-8")
        self.page.evaluate("() => app.graph.clear()")
        self.page.evaluate(DROP, [path.name, text])
        self.wait_for_nodes(len(json.loads(text)["nodes"]))

    def open_template(self, pack: str, name: str, nodes: int) -> None:
        """Choose a graph in the template browser, as an artist does.

        A browser that the page has closed again is opened again, and a click that it has lost is repeated.
        """
        self.page.evaluate("() => app.graph.clear()")
        card = self.page.locator(f"[data-testid=template-workflow-{name}]")
        self.until_shown(card, lambda: self.browse_templates(pack))
        for _ in range(CLICKS):
            card.click()
            if self.has_nodes(nodes, LOST_AFTER) or not card.is_visible():
                break
        self.wait_for_nodes(nodes)
        # The page closes its browser some time after the graph is there: the next one is not that one.
        card.wait_for(state="hidden")
        self.page.wait_for_selector("[role=dialog]", state="hidden")

    def browse_templates(self, pack: str) -> None:
        """Open the template browser at the graphs of a pack."""
        self.page.evaluate("() => app.extensionManager.command.execute('Comfy.BrowseTemplates')")
        self.page.get_by_text(pack, exact=True).first.click(timeout=1000 * LOST_AFTER)

    def until_shown(self, wanted: Any, act: Callable[[], None]) -> None:
        """Act until an element is there, a few times at most; the last error is playwright's."""
        from playwright.sync_api import TimeoutError as TookTooLong

        for tries_left in reversed(range(CLICKS)):
            try:
                act()
                wanted.wait_for(timeout=1000 * LOST_AFTER)
                break
            except TookTooLong:
                if not tries_left:
                    raise

    def open_help(self, node_type: str) -> str:
        """Select the first node of a type and press its info button: the text of its help page.

        A page that has just drawn its first graph may forget what is selected, so it is selected again.
        """
        button = self.page.locator("[data-testid=info-button]")
        self.until_shown(button, lambda: self.page.evaluate(SELECT, node_type))
        # Not a click at a place: the veil of a dialog that has been closed may still lie over the page.
        button.dispatch_event("click")
        self.page.wait_for_selector(".node-help-content h1")
        return self.page.inner_text(".node-help-content")

    def has_nodes(self, count: int, patience: float) -> bool:
        """True if a graph of so many nodes is shown within some seconds."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if self.page.evaluate("() => app.graph.nodes.length") == count:
                return True
            self.page.wait_for_timeout(100)
        return False

    def wait_for_nodes(self, count: int) -> None:
        """Wait until a graph of so many nodes is shown."""
        self.page.wait_for_function("count => app.graph.nodes.length === count", arg=count)

    def problems(self) -> list[str]:
        """Everything an artist would see in red: missing nodes, error badges, invalid values, dialogs."""
        return [*self.page.evaluate(PROBLEMS), *self.errors]

    def prompt(self) -> dict[str, Any]:
        """The graph as the page would queue it."""
        return self.page.evaluate("async () => (await app.graphToPrompt()).output")

    def queue(self) -> tuple[str, str]:
        """Press Run and wait for the end: the last event, and the message of an error."""
        event, message = self.page.evaluate(QUEUE)
        return event, message

    def set_values(self, values: dict[str, dict[str, Any]]) -> None:
        """Set widgets by node type and name."""
        self.page.evaluate(
            """values => {
                for (const node of app.graph.nodes)
                    for (const [name, value] of Object.entries(values[node.type] ?? {}))
                        node.widgets.find(widget => widget.name === name).value = value;
            }""",
            values,
        )

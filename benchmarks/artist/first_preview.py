"""`python -m video_ldm.benchmarks.artist.first_preview`: seconds from Run to the first moving preview.

A fresh ComfyUI with the toy models and its page in a browser: the first template is opened in the template
browser, Run is pressed, and the first preview that moves and is at least 256 pixels large stops the clock.
The first run of a server also reads the models; the run after it has a new seed. Processor seconds are those
of the server alone, and say more on a machine that is busy.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "results" / "first_preview.json"
TEMPLATE, PACK = "text_to_video", "comfyui-video-ldm"
SIDE = 256  # pixels of the longer side, at least
WATCH = """() => {
    const seen = (window.firstPreview = {});
    const look = async blob => {
        if (seen.size || !seen.pressed) return;
        const bytes = new DataView(await blob.arrayBuffer());
        const text = new TextDecoder('latin1').decode(bytes);
        const frames = text.split('ANMF').length - 1;  // of an animated WebP, whose size follows in its head
        const [width, height] = [24, 27].map(place => (bytes.getUint32(place, true) & 0xffffff) + 1);
        seen.sent = (seen.sent ?? 0) + 1;
        if (seen.size || frames < 2 || Math.max(width, height) < SIDE) return;
        const seconds = (performance.now() - seen.pressed) / 1000;
        Object.assign(seen, {seconds, size: [width, height], frames});
    };
    app.api.addEventListener('b_preview', event => look(event.detail));
}""".replace("SIDE", str(SIDE))
PRESS = """async () => {
    window.firstPreview.size = undefined;
    window.firstPreview.sent = 0;
    window.firstPreview.pressed = performance.now();
    await app.queuePrompt(0, 1);
}"""
SEEN = "() => window.firstPreview.size !== undefined"
IDLE = "async () => (await (await fetch('/queue')).json()).queue_running.length === 0"


def main(arguments: list[str] | None = None) -> None:
    """Measure, print and write benchmarks/results/first_preview.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", type=int, default=3, help="fresh servers, of two runs each")
    chosen = parser.parse_args(arguments)
    runs = [run for number in range(chosen.servers) for run in measure(number)]
    found = {"template": TEMPLATE, "load": [round(part, 1) for part in os.getloadavg()], "runs": runs}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print("| server | run | seconds | processor seconds | preview |\n|---|---|---|---|---|")
    for run in runs:
        size = "{} x {}, {} frames".format(*run["size"], run["frames"])
        print(f"| {run['server']} | {run['kind']} | {run['seconds']} | {run['processor']} | {size} |")


def measure(number: int) -> list[dict[str, Any]]:
    """The first and a later run of the template in the page of a fresh server."""
    from ...demo import browser
    from ...demo.comfy import Host

    saved = json.loads((Path(__file__).parents[2] / "workflows" / f"{TEMPLATE}.json").read_text("utf-8"))
    runs = []
    with (host := Host("auto")) as client, browser.open_editor(client) as editor:
        editor.open_template(PACK, TEMPLATE, len(saved["nodes"]))
        editor.page.evaluate(WATCH)
        for kind in ("first", "again"):
            editor.set_values({"VLDM_VideoKSampler": {"seed": 10 * number + len(runs)}})
            runs.append({"server": number + 1, "kind": kind, **until_seen(editor.page, host.process.pid)})
            client.interrupt()
            editor.page.wait_for_function(IDLE)
    return runs


def until_seen(page: Any, server: int) -> dict[str, Any]:
    """Press Run and wait for the preview: seconds, processor seconds of the server, and what was seen."""
    import psutil

    def used() -> float:
        times = psutil.Process(server).cpu_times()
        return times.user + times.system

    before = used()
    page.evaluate(PRESS)
    while not page.evaluate(SEEN):
        time.sleep(0.05)
    seen = page.evaluate("() => window.firstPreview")
    return {
        "seconds": round(seen["seconds"], 2),
        "processor": round(used() - before, 2),
        **{name: seen[name] for name in ("size", "frames", "sent")},
    }


if __name__ == "__main__":
    main()

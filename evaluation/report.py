"""Numbers of films as JSON, and as one HTML page on which the films play."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..temporal.curation.table import write_text
from ..temporal.metrics.films import TITLES, FilmNumbers

JSON, PAGE = "evaluation.json", "evaluation.html"
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em }
body { color: #222; background: #fff }
table { border-collapse: collapse }
td, th { padding: .3em .9em .3em 0; text-align: left; vertical-align: top }
.films { display: flex; flex-wrap: wrap; gap: 10px } figure { margin: 0; width: 220px; font-size: 12px }
video, img { width: 220px; display: block } .muted { color: #777 }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #181818 } }
"""
Folders = Mapping[str, Sequence[FilmNumbers]]  # by "made" and "real"


def means(films: Sequence[FilmNumbers]) -> dict[str, tuple[float, float]]:
    """Mean and half of its 95 % interval over films, by number; what was not measured is left out."""
    result = {}
    for name in TITLES:
        values = np.array([v for film in films if (v := getattr(film, name)) is not None and np.isfinite(v)])
        if len(values):
            spread = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
            result[name] = (float(values.mean()), 1.96 * float(spread))
    return result


def write_results(
    out: Path,
    folders: Folders,
    paths: Mapping[str, Path],
    distances: Mapping[str, Any],
    remarks: Sequence[str],
) -> Path:
    """Write JSON and page into a folder and return the page; `paths` are the folders of the films.

    Raises OSError.
    """
    values = {
        "films": {side: [film.to_json() for film in films] for side, films in folders.items()},
        "means": {side: means(films) for side, films in folders.items()},
        "distances": distances,
        "remarks": list(remarks),
    }
    write_text(out / JSON, json.dumps(values, indent=1) + "\n")
    parts = ["<h1>Films, measured</h1>", _table(folders), _distances(distances), _remarks(remarks)]
    parts += [_films(side, films, paths[side], out) for side, films in folders.items()]
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>Evaluation</title>'
    head += f"<style>{STYLE}</style>"
    write_text(out / PAGE, head + "\n".join(parts) + "</html>\n")
    return out / PAGE


def _table(folders: Folders) -> str:
    sides = {side: means(films) for side, films in folders.items()}
    head = "".join(f"<th>{side} ({len(folders[side])} films)</th>" for side in sides)
    lines = []
    for name, (title, unit) in TITLES.items():
        if any(name in values for values in sides.values()):
            cells = "".join(
                f"<td>{values[name][0]:.4g} ± {values[name][1]:.2g}</td>" if name in values else "<td></td>"
                for values in sides.values()
            )
            lines.append(f'<tr><td>{title} <span class="muted">{unit}</span></td>{cells}</tr>')
    return f"<table><tr><th>mean and 95 % interval over films</th>{head}</tr>{''.join(lines)}</table>"


def _distances(distances: Mapping[str, Any]) -> str:
    lines = []
    for name, facts in distances.items():
        interval = f"{facts['low']:.4g} to {facts['high']:.4g}" if "low" in facts else ""
        rest = ", ".join(
            f"{key} {value}" for key, value in facts.items() if key not in ("value", "low", "high")
        )
        cells = (name, f"{facts['value']:.4g}", interval, html.escape(rest))
        lines.append(f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    head = "<tr><th>distance</th><th>value</th><th>95 % interval</th><th>of</th></tr>"
    return f"<h2>Distances</h2><table>{head}{''.join(lines)}</table>" if lines else ""


def _remarks(remarks: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{html.escape(said)}</li>' for said in remarks)}</ul>" if remarks else ""


def _films(side: str, films: Sequence[FilmNumbers], folder: Path, out: Path) -> str:
    figures = []
    for film in films:
        source = html.escape(Path(os.path.relpath(folder / film.file, out)).as_posix(), quote=True)
        moving = f'<video src="{source}" autoplay loop muted playsinline></video>'
        tag = f'<img src="{source}" alt="">' if source.endswith(".gif") else moving
        said = f"{html.escape(film.file)}<br>flicker {film.flicker:.3g}, warping {film.warping_error:.3g}"
        figures.append(f"<figure>{tag}{said}</figure>")
    return f"<h2>{html.escape(side)}</h2><div class='films'>{''.join(figures)}</div>"

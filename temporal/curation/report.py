"""The report of a curation: one HTML page that needs nothing else, and the table as CSV.

It shows what went in and came out, and for every filter a histogram with its threshold and the clips nearest
to it on both sides, so that a person can see whether the threshold is right.
"""

from __future__ import annotations

import base64
import csv
import html
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InvalidInputError
from ..video.reading import fitted, frame_at, probe
from .ledger import FilmResult
from .table import ClipRow, write_text
from .thresholds import Threshold

PAGE, CSV = "report.html", "clips.csv"
NEAREST = 12  # clips that are shown on each side of a threshold
SIDE = 96  # pixels of the shorter side of their pictures
BINS = 30
NARROW = 0.01  # width of a histogram of scores that are all 0
NAMES = {
    "motion": "Motion (diagonals a second)",
    "text_area": "Text (share of the frame)",
    "aesthetic": "Aesthetic score",
    "text_match": "Caption match (cosine)",
}
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 60em; padding: 0 1em }
body { color: #222; background: #fff }
h1, h2 { font-weight: 600 } table { border-collapse: collapse }
td, th { padding: .2em .8em .2em 0; text-align: left }
.sheet { display: flex; flex-wrap: wrap; gap: 6px; margin: .3em 0 1em }
figure { margin: 0; width: 120px; font-size: 11px; overflow-wrap: anywhere }
figure img { width: 120px; display: block; border-radius: 3px }
.bar { background: #4a7bd0; height: 1.1em; display: inline-block }
.muted { color: #777 } svg { background: #f6f6f6; border-radius: 4px }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #181818 } svg { background: #242424 } }
"""


@dataclass(frozen=True)
class Curated:
    """A whole run: the folder, a result for each film, the clips with their verdicts, and the thresholds."""

    root: Path
    films: Sequence[FilmResult]
    rows: Sequence[ClipRow]
    thresholds: Sequence[Threshold]


def write_report(out: Path, run: Curated) -> Path:
    """Write the page and the CSV into a folder and return the page. Raises OSError."""
    write_text(out / CSV, _as_csv(run.rows))
    parts = [
        _head(run),
        _funnel(run),
        _problems(run),
        *(_filter(run, t) for t in run.thresholds if t.measured),
    ]
    body = "\n".join(parts)
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>Curation</title>'
    page = f"{head}<style>{STYLE}</style>{body}</html>\n"
    write_text(out / PAGE, page)
    return out / PAGE


def _head(run: Curated) -> str:
    kept = [row for row in run.rows if row.kept]
    films = sum(not film.problem for film in run.films)
    return (
        f"<h1>{len(kept)} of {len(run.rows)} clips kept</h1><p>{films} of {len(run.films)} films could be "
        f"used, {_time(sum(film.seconds for film in run.films))} in all; "
        f"{_time(sum(row.seconds for row in kept))} are kept. Every clip with its scores stands in "
        f"<code>{CSV}</code> and <code>dataset.jsonl</code>.</p>"
    )


def _funnel(run: Curated) -> str:
    left = len(run.rows) - sum(row.duplicate_of is not None for row in run.rows)
    steps = [("found in the films", len(run.rows)), ("without duplicates", left)]
    for threshold in (t for t in run.thresholds if t.measured):
        left -= threshold.dropped
        steps.append((f"after {threshold.filter.column}", left))
    most = max(1, len(run.rows))
    lines = [
        f"<tr><td>{html.escape(name)}</td>"
        f'<td><span class="bar" style="width:{30 * count / most:.2f}em"></span> {count}</td></tr>'
        for name, count in steps
    ]
    return f"<h2>What was left after each filter</h2><table>{''.join(lines)}</table>"


def _problems(run: Curated) -> str:
    lines = [
        f"<tr><td>{html.escape(film.file)}</td><td>{html.escape(said)}</td></tr>"
        for film in run.films
        for said in filter(None, (film.problem, *film.notes))
    ]
    reasons = Counter(row.why.partition(" ")[0] for row in run.rows if not row.kept)
    counts = ", ".join(f"{count} by {name}" for name, count in reasons.most_common())
    table = (
        f"<table>{''.join(lines)}</table>"
        if lines
        else '<p class="muted">Every film was read without a remark.</p>'
    )
    return f"<h2>Films with a remark</h2>{table}<p>Dropped clips: {html.escape(counts) or 'none'}.</p>"


def _filter(run: Curated, threshold: Threshold) -> str:
    rule = threshold.filter
    rows = [row for row in run.rows if getattr(row, rule.column) is not None]
    value = threshold.value if threshold.counts or rule.limit is None else rule.limit
    name = NAMES.get(rule.column, rule.column)
    if value is None:
        said = f"No threshold was set; {threshold.measured} clips were measured."
        return f"<h2>{name}</h2>{_histogram(rows, rule.column, None)}<p>{said}</p>"
    side = "below" if rule.side == "low" else "above"
    mark = "dropped" if threshold.counts else "marked and kept, as a share of few clips says little"
    said = (
        f"The {rule.share:.0%} {side} {threshold.value:.3g} are {mark}."
        if threshold.value is not None
        else ""
    )
    if rule.limit is not None:
        said += f" Clips {side} {rule.limit:.3g} are always dropped."
    ordered = sorted(rows, key=lambda row: abs(getattr(row, rule.column) - value))
    under = [row for row in ordered if getattr(row, rule.column) < value][:NEAREST]
    over = [row for row in ordered if getattr(row, rule.column) >= value][:NEAREST]
    return (
        f"<h2>{name}</h2>{_histogram(rows, rule.column, value)}<p>{said}</p><p>Just "
        f"below:</p>{_sheet(run.root, under, rule.column)}<p>Just "
        f"above:</p>{_sheet(run.root, over, rule.column)}"
    )


def _histogram(rows: Sequence[ClipRow], column: str, value: float | None) -> str:
    """Counts of a score as an SVG, the threshold as a line."""
    values = np.array([getattr(row, column) for row in rows])
    low, high = values.min(), values.max()
    counts, edges = np.histogram(values, BINS, (low, high if high > low else low + max(abs(low), NARROW)))
    width, height, most = 600, 120, max(1, counts.max())
    bars = [
        f'<rect x="{n * width / BINS:.1f}" y="{height - height * count / most:.1f}" '
        f'width="{width / BINS - 1:.1f}" height="{height * count / most:.1f}" fill="#4a7bd0"/>'
        for n, count in enumerate(counts)
    ]
    span = edges[-1] - edges[0] or 1.0
    if value is not None and edges[0] <= value <= edges[-1]:
        x = (value - edges[0]) / span * width
        bars.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height}" stroke="#d33" stroke-width="2"/>')
    axis = f'<p class="muted">{edges[0]:.3g} to {edges[-1]:.3g}, most {counts.max()} clips a bar</p>'
    return (
        f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}">{"".join(bars)}</svg>{axis}'
    )


def _sheet(root: Path, rows: Sequence[ClipRow], column: str) -> str:
    if not rows:
        return '<p class="muted">none</p>'
    return f'<div class="sheet">{"".join(_figure(root, row, column) for row in rows)}</div>'


def _figure(root: Path, row: ClipRow, column: str) -> str:
    picture = _picture(root, row)
    image = f'<img alt="" src="data:image/jpeg;base64,{picture}">' if picture else "(no picture)"
    place = html.escape(f"{Path(row.file).name} {row.start:.1f} s")
    return f"<figure>{image}{getattr(row, column):.3g}<br>{place}</figure>"


def _picture(root: Path, row: ClipRow) -> str:
    """The middle frame of a clip as base64 JPEG, empty where it cannot be read."""
    from PIL import Image

    try:
        film = probe(root / row.file)
        frame = frame_at(film, (row.start + row.end) / 2, fitted(film, SIDE))
    except InvalidInputError:
        return ""
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "JPEG", quality=75)
    return base64.b64encode(file.getvalue()).decode()


def _as_csv(rows: Sequence[ClipRow]) -> str:
    file = io.StringIO()
    columns = "key file start end motion motion_paper text_area aesthetic text_match kept why".split()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*columns, "captions", "marks"])
    for row in rows:
        texts = " | ".join(caption.text for caption in row.captions)
        writer.writerow([*(getattr(row, column) for column in columns), texts, " | ".join(row.marks)])
    return file.getvalue()


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"

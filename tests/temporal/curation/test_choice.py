"""Thresholds, the table and its ledger: what is kept, and that nothing half-written is believed."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from video_ldm.temporal.curation.ledger import FilmResult, Ledger, find_result, save_result
from video_ldm.temporal.curation.table import TABLE, Caption, ClipRow, key_of, read_table, write_table
from video_ldm.temporal.curation.thresholds import PAPER, Filter, choose
from video_ldm.temporal.errors import InvalidInputError


def rows(count: int, **columns: np.ndarray) -> list[ClipRow]:
    """Clips of one film with scores."""
    plain = [
        ClipRow(key_of("a.mp4", n, n + 1), "a.mp4", float(n), n + 1.0, 25.0, 64, 48) for n in range(count)
    ]
    return [
        replace(row, **{name: float(values[n]) for name, values in columns.items()})
        for n, row in enumerate(plain)
    ]


def test_the_papers_shares_are_dropped():
    rng = np.random.default_rng(0)
    order = rng.permutation(400) / 400 + 0.01
    chosen, (threshold,) = choose(rows(400, motion=order), [Filter("motion", "low", 0.25)])
    dropped = [row.motion for row in chosen if not row.kept]
    assert len(dropped) == 100 == threshold.dropped and max(dropped) < min(r.motion for r in chosen if r.kept)
    assert all("motion" in row.why and "lowest" in row.why for row in chosen if not row.kept)


def test_text_is_dropped_from_above_and_always_beyond_its_limit():
    area = np.concatenate([np.zeros(390), np.full(10, 0.08)])
    chosen, _ = choose(rows(400, text_area=area), PAPER)
    assert [row.kept for row in chosen] == [True] * 390 + [False] * 10


def test_shares_of_few_clips_only_mark():
    chosen, (threshold,) = choose(rows(20, motion=np.arange(20) + 1), [Filter("motion", "low", 0.25, 0.5)])
    assert all(row.kept for row in chosen) and not threshold.counts
    assert sum(bool(row.marks) for row in chosen) == 5


def test_a_clip_without_a_score_is_not_judged_by_it():
    chosen, thresholds = choose(rows(300), PAPER)
    assert all(row.kept for row in chosen) and [t.measured for t in thresholds] == [0, 0, 0, 0]


def test_choosing_again_forgets_the_last_choice():
    once, _ = choose(rows(300, motion=np.arange(300.0)), [Filter("motion", "low", 0.5)])
    again, _ = choose(once, [Filter("motion", "low", 0.0)])
    assert all(row.kept and not row.why for row in again)


def test_duplicates_go_first():
    first, second = rows(2)
    chosen, _ = choose([first, replace(second, duplicate_of=first.key)], ())
    assert [row.kept for row in chosen] == [True, False] and first.key in chosen[1].why


def test_the_table_comes_back_as_it_was(tmp_path):
    given = [
        replace(row, captions=(Caption("ein Haus, \u5c71", "server", 0.5),))
        for row in rows(3, motion=np.ones(3))
    ]
    write_table(tmp_path, given)
    assert read_table(tmp_path) == given
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize("line", ["{}", "nonsense", '{"key": 1, "captions": 3}', "[]"])
def test_a_line_that_is_no_row_is_named(tmp_path, line):
    write_table(tmp_path, rows(2))
    with (tmp_path / TABLE).open("a") as file:
        file.write(line + "\n")
    with pytest.raises(InvalidInputError, match=f"Line 3 of .*{TABLE} is no row"):
        read_table(tmp_path)


def test_a_folder_without_a_table_is_told_how_to_make_one(tmp_path):
    with pytest.raises(InvalidInputError, match=r"python -m video_ldm\.curation"):
        read_table(tmp_path)


def test_the_ledger_believes_only_whole_results_of_the_same_film_and_settings(tmp_path, caplog):
    film = tmp_path / "a.mp4"
    film.write_bytes(b"film")
    result = FilmResult("a.mp4", 3.0, tuple(rows(2)), notes=("HDR",))
    ledger = Ledger(tmp_path / "films", "settings")
    place = ledger.place(film)
    assert find_result(place) is None and not caplog.text
    save_result(place, result)
    assert find_result(place) == result
    assert Ledger(tmp_path / "films", "others").place(film) != place
    whole = place.read_text()
    other, wrong = whole.replace("3.0", "4.0"), json.dumps({"result": {"rows": 3}})
    for damaged in ("", "{", wrong, json.dumps([1]), other):
        place.write_text(damaged)
        caplog.clear()
        assert find_result(place) is None and "is damaged; its film is looked at again" in caplog.text
    film.write_bytes(b"another film")
    assert ledger.place(film) != place

"""The grammar of prompts: lines such as "0: a red circle" or "3s: a blue one", for frames and seconds."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn

from ...errors import InvalidInputError
from ..prompt_schedule import shortened

COMMA, COLON = "[,\uff0c]", "[:\uff1a]"  # also in full width, as Chinese and Japanese keyboards write them
NUMBER, SECONDS = r"\d+", r"\d+(?:\.\d+)?\s*[sS]"
PLACE = re.compile(rf'\s*("?)({SECONDS}|{NUMBER})\1\s*{COLON}(?!\d)')
NEXT = {  # where an entry ends and another begins on the same line, by the quotes around places
    "": re.compile(rf"{COMMA}\s*(?=(?:{SECONDS}|{NUMBER})\s*{COLON}(?!\d))"),
    '"': re.compile(rf'{COMMA}\s*(?="(?:{SECONDS}|{NUMBER})"\s*{COLON})'),
}
# what someone writes who means a place: frame 12: | 3 sec: | -1: | 1.5: | 0:05: | 8 = | 3s; | 16:9
ALMOST = re.compile(
    r"""["']?(?:frame|second|sec)?\s{0,8}[-+~]?\.?\d[\d.,]*\s{0,8}"""
    r"""(?:s|secs?|seconds?|ms|min|m|h|f|frames?|%)?["']?"""
    rf"\s{{0,8}}(?:{COLON}|[=;\uff1b])",
    re.IGNORECASE,
)
LONGEST_NUMBER = 9  # digits


@dataclass(frozen=True)
class Entry:
    """Text that is written for one place, and the number of its line."""

    line: int
    place: str
    prompt: str

    def frame(self, fps: float, num_frames: int) -> int:
        """Frame of its place; `num_frames`, which is behind the clip, for numbers too long to read."""
        if is_time(self.place):
            return min(nearest_frame(self.place, fps), num_frames)
        digits = self.place.lstrip("0")
        return num_frames if len(digits) > LONGEST_NUMBER else int(digits or "0")

    def name(self, frame: int) -> str:
        """Name of its place in a sentence."""
        shown = shortened(self.place.lstrip("0") or "0")
        return f"{shown}, which is frame {frame}," if is_time(self.place) else f"Frame {shown}"


def is_time(place: str) -> bool:
    """True if a place is in seconds."""
    return re.fullmatch(SECONDS, place) is not None


def nearest_frame(time: str, fps: float) -> int:
    """Frame that is nearest to a time such as "3s"."""
    return round(min(float(time[:-1]) * fps, float(10**LONGEST_NUMBER)))


def parse_schedule(text: str, num_frames: int, fps: float) -> tuple[tuple[int, str], ...]:
    """Prompts by frame from lines such as "0: a red circle", in the order of frames; empty lines are skipped.

    A place is a frame, counted from 0, or a time in seconds: "3s". A line may hold several entries, each
    behind a comma: "0: a cat, 8: a dog". Places and prompts may stand in quotes.

    Raises:
        InvalidInputError: a line without a place, a place outside the clip or named twice, no lines at all.
    """
    prompts: dict[int, Entry] = {}
    for entry in _entries(text):
        frame = entry.frame(fps, num_frames)
        if frame >= num_frames:
            raise InvalidInputError(
                f"{entry.name(frame)} in line {entry.line} is not in the clip: it has {num_frames} "
                f"frames, 0 to {num_frames - 1}. Change the line, or make the clip longer."
            )
        if frame in prompts:
            raise InvalidInputError(
                f"Frame {frame} has two prompts, in lines {prompts[frame].line} and {entry.line}; each "
                "frame can have one."
            )
        prompts[frame] = entry
    if not prompts:
        raise InvalidInputError("The prompt schedule is empty; write lines such as 0: a red circle.")
    return tuple((frame, entry.prompt) for frame, entry in sorted(prompts.items()))


def names_places(text: str) -> bool:
    """True if a line names a frame or a time, or looks as if it should."""
    return any(PLACE.match(line) or ALMOST.match(line.strip()) for line in text.splitlines())


def prompts_of_segments(keyframes: Sequence[tuple[int, str]], firsts: Sequence[int]) -> dict[int, str]:
    """Prompts by segment, in order: each begins with the first segment that starts at its frame or later.

    `firsts`: the first new frame of each segment.

    Raises:
        InvalidInputError: a prompt that no segment would follow.
    """
    begun: dict[int, tuple[int, str]] = {}
    for frame, prompt in keyframes:
        number = bisect_left(firsts, frame)
        if number == len(firsts):
            raise InvalidInputError(
                f"No segment would follow the prompt of frame {frame}: the last one starts at frame "
                f"{firsts[-1]}. Put the prompt earlier, or make the film longer."
            )
        if number in begun:
            raise InvalidInputError(
                f"The prompts of frames {begun[number][0]} and {frame} would begin with the same segment, "
                f"which starts at frame {firsts[number]}, and a segment follows one prompt. Put them "
                "further apart, or make segments shorter."
            )
        begun[number] = (frame, prompt)
    return {number: prompt for number, (_, prompt) in begun.items()}


def _entries(text: str) -> Iterator[Entry]:
    for number, line in enumerate(text.splitlines(), start=1):
        first = PLACE.match(line)
        if first is None:
            if not line.strip():
                continue
            _refuse(number, line.strip())
        for found in filter(None, map(PLACE.match, NEXT[first[1]].split(line))):
            prompt = found.string[found.end() :].strip()
            prompt = prompt[:-1].rstrip() if re.fullmatch(COMMA, prompt[-1:]) else prompt
            if found[1] and len(prompt) > 1 and prompt[0] == prompt[-1] == '"':
                prompt = prompt[1:-1].strip()
            yield Entry(number, found[2], prompt)


def _refuse(number: int, line: str) -> NoReturn:
    if ALMOST.match(line):
        raise InvalidInputError(
            f"Line {number}, {shortened(line)!r}, cannot be read: write a frame as 12: or a time as 3s:, "
            "with a space behind the colon."
        )
    raise InvalidInputError(
        f"Line {number}, {shortened(line)!r}, names no frame; write lines such as 0: a red circle, or "
        "3s: a red circle."
    )

"""`python -m video_ldm.demo.locales`.

Writes `locales/*/nodeDefs.json` from `locales/phrases.json` and the nodes as they are.

phrases.json is what people edit: for each English text of a node, and each name of an input or output, the
same in every language. What has no translation yet, or translates what no node says any more, is listed and
nothing is written.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

from . import environment
from .comfy import Host

LOCALES = environment.REPO / "locales"
PHRASES = LOCALES / "phrases.json"
LANGUAGES = ("zh", "zh-TW", "ja", "ko")
ENGLISH = "en"  # what nodes say, with names for people in place of those in saved graphs
WRITTEN_LANGUAGES = (ENGLISH, *LANGUAGES)
PREFIX = "VLDM_"
WRITTEN = {"ensure_ascii": False, "indent": 1}

Phrases = dict[str, dict[str, dict[str, str]]]


class LocaleError(ValueError):
    """Phrases and nodes do not fit together; the message lists where."""


def main() -> None:
    """Ask a ComfyUI for the pack's nodes and write every language."""
    with Host() as client:
        nodes = client.object_info()
    try:
        for language in WRITTEN_LANGUAGES:
            path = LOCALES / language / "nodeDefs.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text(content(nodes, read_phrases(), language), "utf-8")
    except LocaleError as error:
        sys.exit(str(error))


def read_phrases() -> Phrases:
    """Translations by kind ("names", "texts"), English and language."""
    return json.loads(PHRASES.read_text("utf-8"))


def content(nodes: dict[str, Any], phrases: Phrases, language: str) -> str:
    """Text of one language's nodeDefs.json; `nodes` is the server's object_info. Raises LocaleError."""
    check(nodes, phrases)
    texts = {english: words.get(language, english) for english, words in phrases["texts"].items()}
    names = {key: words.get(language, plain(key)) for key, words in phrases["names"].items()}
    described = {}
    for name, node in own(nodes).items():
        outputs = zip(node["output_name"], node["output_tooltips"], strict=True)
        described[name] = {
            "display_name": texts[node["display_name"]],
            "description": texts[node["description"]],
            "inputs": {
                key: {"name": names[own_key(phrases, name, key)], "tooltip": texts[tip]}
                for key, tip in inputs(node)
            },
            "outputs": {
                str(index): {"name": names[key], "tooltip": texts[tip]}
                for index, (key, tip) in enumerate(outputs)
            },
        }
    return json.dumps(described, **WRITTEN) + "\n"


def check(nodes: dict[str, Any], phrases: Phrases) -> None:
    """Raise LocaleError when a phrase is missing in a language, or is left over."""
    problems = []
    for kind, wanted in zip(("names", "texts"), said(nodes, phrases), strict=True):
        for english in sorted(wanted | set(phrases[kind])):
            missing = [code for code in LANGUAGES if not phrases[kind].get(english, {}).get(code)]
            if english not in wanted:
                problems.append(f"no node says it any more: {english!r}")
            elif missing:
                problems.append(f"not in {', '.join(missing)}: {english!r}")
    if problems:
        raise LocaleError(f"{PHRASES.name}, {len(problems)} to do:\n" + "\n".join(problems))


def plain(name: str) -> str:
    """The name of an input as people write it, where phrases hold no better one."""
    return name.replace("_", " ")


def own_key(phrases: Phrases, node: str, name: str) -> str:
    """Key of the name of a node's input: with that of the node where it has another name there."""
    own = f"{node}.{name}"
    return own if own in phrases["names"] else name


def said(nodes: dict[str, Any], phrases: Phrases) -> tuple[set[str], set[str]]:
    """Names and texts of the pack's nodes."""
    names, texts = set(), set()
    for key, node in own(nodes).items():
        texts |= {node["display_name"], node["description"], *node["output_tooltips"]}
        texts |= {tooltip for _, tooltip in inputs(node)}
        names |= {*node["output_name"], *(own_key(phrases, key, name) for name, _ in inputs(node))}
    return names, texts


def own(nodes: dict[str, Any]) -> dict[str, Any]:
    """The pack's nodes, by id."""
    return {name: nodes[name] for name in sorted(nodes) if name.startswith(PREFIX)}


def inputs(node: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Name and tooltip of every input."""
    for group in ("required", "optional"):
        for name, (_, options) in node["input"].get(group, {}).items():
            yield name, options["tooltip"]


if __name__ == "__main__":
    main()

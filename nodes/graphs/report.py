"""Report of a conversion, in plain words."""

from __future__ import annotations

from dataclasses import dataclass, field

CHANGED, DIFFERENT, LOST = "became", "differs", "lost"
HEADINGS = {
    CHANGED: "What became what:",
    DIFFERENT: "What is a little different, and how:",
    LOST: "What could not be carried over:",
}
NOTHING = "This graph has no nodes of AnimateDiff-Evolved; nothing was changed."


@dataclass
class Report:
    """Sentences by kind, each once, in the order they came up."""

    lines: dict[str, dict[str, None]] = field(default_factory=lambda: {kind: {} for kind in HEADINGS})

    def add(self, kind: str, sentence: str) -> None:
        """One more sentence."""
        self.lines[kind][sentence] = None

    @property
    def changed(self) -> bool:
        """True if anything was converted."""
        return bool(self.lines[CHANGED])

    def text(self) -> str:
        """All of it, as a note or for a terminal."""
        if not any(self.lines.values()):
            return NOTHING
        parts = [
            f"{heading}\n" + "\n".join(f"- {line}" for line in self.lines[kind])
            for kind, heading in HEADINGS.items()
            if self.lines[kind]
        ]
        return "\n\n".join(parts)

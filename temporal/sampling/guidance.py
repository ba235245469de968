"""Guidance towards the text and, inside it, towards the known frames (Video LDM, equation 4).

Shapes: f frames, c h w a latent.
"""

from __future__ import annotations

from torch import Tensor


def with_context(text_known: Tensor, text: Tensor, empty: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Two predictions whose plain classifier-free guidance with weight w is the nested guidance

    f(0, 0) + w (f(text, 0) - f(0, 0)) + s (f(text, known) - f(text, 0)), with s = `scale` and all (f c h w).

    Both get the same step towards the known frames, so whatever else edits the pair sees an ordinary one.
    """
    step = scale * (text_known - text)
    return text + step, empty + step

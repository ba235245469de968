"""The door of every node: what an artist connected or set is checked here, once, before the node begins.

The host checks widgets alone: what comes through a link is checked for nothing but its type, and ComfyUI
0.3.75 takes any text for a choice.

Shapes: f frames, c channels, h w size, m text tokens, e features.
"""

from __future__ import annotations

import functools
import inspect
import math
import reprlib
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any, cast

from comfy_api.latest import io
from torch import Tensor

from ...temporal.errors import IncompatibleModelError, InvalidInputError
from ...temporal.finite import is_finite

FILE = "file"  # the choice of a file: opening it says which folder it should be in
COLOURS = (3, 4)
PIECE = 64  # frames that are looked at together


class FloatPerFrame(io.Float.Input):
    """A number, or through a link a list of them, one for each frame."""


class Node(io.ComfyNode):
    """Base of all nodes of the pack: `execute` gets only what its schema allows."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        execute = cls.__dict__.get("execute")
        # a function that is wrapped already is that of the host's copy of a node
        if execute is not None and not hasattr(execute.__func__, "__wrapped__"):
            cls.execute = classmethod(  # pyright: ignore[reportAttributeAccessIssue] the host's own is one too
                _behind_the_door(execute.__func__)
            )
            if FILE in inspect.signature(execute.__func__).parameters:
                cls.validate_inputs = classmethod(  # pyright: ignore[reportAttributeAccessIssue] as above
                    _leave_file
                )


def _leave_file(cls: type[io.ComfyNode], file: str) -> bool:
    """Keep newer hosts from refusing a file that is gone as a value that is not in a list.

    Opening it says more.
    """
    return True


def _behind_the_door(execute: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(execute)
    rest = next((name for name, part in signature.parameters.items() if part.kind == part.VAR_KEYWORD), None)

    @functools.wraps(execute)
    def checked(cls: type[io.ComfyNode], *args: Any, **kwargs: Any) -> Any:
        schema = cls.define_schema()
        if rest is not None:
            optional = {part.id for part in schema.inputs if part.optional}
            said = {
                name: value for name, value in kwargs.items() if value is not None or name not in optional
            }
            kwargs = {**_defaults(schema, signature.parameters), **said}
        bound = signature.bind(cls, *args, **kwargs)
        for name, part in signature.parameters.items():  # a graph may say that an input was left out
            if name in bound.arguments and bound.arguments[name] is None and part.default is not part.empty:
                del bound.arguments[name]
        given = dict(bound.arguments)
        more = given.pop(rest, {}) if rest is not None else {}
        check_inputs(schema, {**given, **more})
        return execute(*bound.args, **bound.kwargs)

    return checked


def _defaults(schema: io.Schema, named: Mapping[str, Any]) -> dict[str, Any]:
    """Defaults, by id, of what a node takes without naming it.

    A script may leave it out, the host never does.
    """
    widgets = (part for part in schema.inputs if part.id not in named and not part.optional)
    defaults = ((part.id, getattr(part, "default", None)) for part in widgets)
    return {name: value for name, value in defaults if value is not None}


def check_inputs(schema: io.Schema, given: Mapping[str, Any]) -> None:
    """Refuse values by id that a node's schema does not allow, and those that do not go together.

    Raises InvalidInputError, and IncompatibleModelError for text that the MODEL cannot read.
    """
    for part in schema.inputs:
        if part.id not in given:
            continue
        value, kind = given[part.id], part.get_io_type()
        if value is None and kind != "CLIP":  # whose nodes say what they are for
            if not part.optional:
                raise InvalidInputError(
                    f"{schema.display_name} was given nothing at {part.id}, as the node before it has no "
                    f"{kind}. Connect one from a file that has it."
                )
        elif kind in CHECKS and value is not None:
            CHECKS[kind](part, value)
    _check_texts(schema, given)


def _check_number(part: Any, value: Any) -> None:
    if isinstance(part, FloatPerFrame) and isinstance(value, list | tuple) and value:
        for number in value:
            _check_number(part, number)
        return
    whole = part.get_io_type() == "INT"
    allowed = isinstance(value, Integral if whole else Real) and not isinstance(value, bool)
    low, high = (-math.inf if part.min is None else part.min), (math.inf if part.max is None else part.max)
    if not allowed or not low <= cast(float, value) <= high:
        raise _refused(part, value, f"a {'whole ' if whole else ''}number from {low} to {high}")


def _check_text(part: Any, value: Any) -> None:
    if not isinstance(value, str):
        raise _refused(part, value, "text")


def _check_unicode(part: Any, value: Any) -> None:
    """Refuse what no text encoder and no file can take: half of a pair of UTF-16, as broken JSON brings."""
    _check_text(part, value)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _refused(part, value, "text without halves of characters") from None


def _check_switch(part: Any, value: Any) -> None:
    if not isinstance(value, bool):
        raise _refused(part, value, "true or false")


def _refused(part: Any, value: Any, expected: str) -> InvalidInputError:
    return InvalidInputError(
        f"{part.id} is {described(value)}, but it takes {expected}. Change it, or what is linked to it."
    )


def _check_choice(part: Any, value: Any) -> None:
    if part.id == FILE:
        _check_text(part, value)
    elif value not in part.options:
        raise InvalidInputError(
            f"{part.id} is {described(value)}, which is not there to choose. Choose one of "
            f"{', '.join(map(str, part.options))}; a graph from elsewhere may name what another node pack "
            "brings along."
        )


def _check_pictures(part: Any, value: Any) -> None:
    if not _is_batch(value) or value.shape[-1] not in COLOURS:
        raise InvalidInputError(
            f"{part.id} was given {described(value)}, but it takes pictures: (frames, height, width, 3) of "
            "decimal numbers, at least one. Connect an IMAGE in colours, such as that of Load Image or VAE "
            "Decode."
        )
    _check_finite(part, value)


def _check_latent(part: Any, value: Any) -> None:
    samples: Any = value.get("samples") if isinstance(value, Mapping) else value
    if not _is_batch(samples):
        raise InvalidInputError(
            f"{part.id} was given {described(samples)}, but it takes one clip: (frames, channels, height, "
            "width) of decimal numbers, at least one frame. Connect a LATENT of frames, such as that of "
            "Empty Latent Image or VAE Encode."
        )
    _check_finite(part, samples)
    mask = value.get("noise_mask")
    if mask is not None and not (isinstance(mask, Tensor) and mask.ndim in (2, 3, 4) and mask.numel()):
        raise InvalidInputError(
            f"The noise mask of {part.id} is {described(mask)}, but it should be (frames, height, width). "
            "Put Set Latent Noise Mask with another mask before the node, or leave it out."
        )


def _check_text_batch(part: Any, value: Any) -> None:
    texts = [pair[0] for pair in value] if isinstance(value, list) else []
    if not texts or not all(isinstance(text, Tensor) and text.ndim == 3 and text.numel() for text in texts):
        what = described(texts[0]) if texts else "nothing"
        raise InvalidInputError(
            f"{part.id} was given {what}, but it takes a text: (texts, tokens, width). Connect the "
            "CONDITIONING of CLIP Text Encode or Prompt Schedule."
        )
    for text in texts:
        _check_finite(part, text)


def _is_batch(value: Any) -> bool:
    """True if a value is a batch (f ...) of things with two sides and one more axis, none of them empty."""
    return isinstance(value, Tensor) and value.ndim == 4 and bool(value.numel()) and value.is_floating_point()


def _check_finite(part: Any, value: Tensor) -> None:
    if not all(is_finite(piece) for piece in value.split(PIECE)):
        raise InvalidInputError(
            f"{part.id} holds values that are no numbers (NaN or infinite): something went wrong where it "
            "was made, often for want of precision. Make it anew in float32 or bfloat16, a VAE with "
            "ComfyUI's --fp32-vae."
        )


CHECKS: Mapping[str, Callable[[Any, Any], None]] = {
    "INT": _check_number,
    "FLOAT": _check_number,
    "STRING": _check_unicode,
    "BOOLEAN": _check_switch,
    "COMBO": _check_choice,
    "IMAGE": _check_pictures,
    "LATENT": _check_latent,
    "CONDITIONING": _check_text_batch,
}


def _check_texts(schema: io.Schema, given: Mapping[str, Any]) -> None:
    """Refuse texts (m e) of another width than the MODEL reads."""
    kinds = {part.id: part.get_io_type() for part in schema.inputs}
    models = [given[name] for name, kind in kinds.items() if kind == "MODEL" and given.get(name) is not None]
    if not models:
        return
    width = models[0].model.model_config.unet_config.get("context_dim")
    for name, kind in kinds.items():
        if kind == "CONDITIONING" and width is not None and given.get(name) is not None:
            check_width(name, [pair[0].shape[-1] for pair in given[name]], width)
        if kind == "VLDM_MOTION_PROMPT" and width is not None and given.get(name) is not None:
            prompt = given[name]
            check_width(name, [prompt.positive.shape[-1], prompt.negative.shape[-1]], width)


def check_width(name: str, widths: list[int], expected: int) -> None:
    """Refuse text of other widths than expected."""
    other = next((width for width in widths if width != expected), None)
    if other is not None:
        raise IncompatibleModelError(
            f"{name} is text of {other} numbers a token, but the MODEL reads {expected}. Encode it with the "
            "CLIP of the checkpoint that the MODEL is from."
        )


def described(value: Any) -> str:
    """A value in a few words."""
    if isinstance(value, Tensor):
        return f"numbers of shape {tuple(value.shape)}, {str(value.dtype).removeprefix('torch.')}"
    return reprlib.repr(value)

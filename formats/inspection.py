"""Inspection of any file of weights that the pack reads, and its conversion to another spelling."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from ..temporal.decoder import formats as own_decoder
from ..temporal.decoder import report_decoder
from ..temporal.decoder.report import TOONCRAFTER
from ..temporal.decoder.svd import (
    DIFFUSERS,
    ORIGINAL,
    respelled_video_decoder,
    video_decoder,
    video_decoder_spelling,
)
from ..temporal.errors import InvalidInputError
from ..temporal.formats import (
    bare,
    model_families,
    report,
    report_model,
    stack_of,
    svd,
    video_family,
    video_model_of,
)
from ..temporal.formats.convert import NATIVE, SPELLINGS, as_family, write
from ..temporal.formats.respelling import (
    changes_of,
    is_temporal_lora,
    lora_spellings,
    respelled_lora,
    respelled_sparse_control,
    sparse_control_spelling,
)
from ..temporal.formats.sparse_control import FAMILY as SPARSE_CONTROL
from ..temporal.formats.sparse_control import control_kind, open_sparse_control
from ..temporal.upscaler import formats as own_upscaler
from ..temporal.upscaler import load_upscaler, report_upscaler
from ..temporal.weights.files import WeightsFile, read_weights, write_weights

Write = Callable[[str | Path, str], None]


@dataclass(frozen=True)
class Inspected:
    """A file that was read.

    What it holds, its report, its spelling, and all that `write` takes, with a path before it.
    """

    what: str
    report: str
    spelling: str
    spellings: tuple[str, ...]
    write: Write

    @property
    def usual(self) -> str:
        """The spelling to write where nobody asks for one: native, else the other one, else its own."""
        others = [spelling for spelling in self.spellings if spelling != self.spelling]
        return NATIVE if NATIVE in self.spellings else next(iter(others), self.spelling)

    def convert(self, out: str | Path, spelling: str) -> None:
        """Write the same weights in a spelling, as safetensors.

        Raises:
            InvalidInputError: there is no such spelling of them, or a file of that name.
        """
        if spelling not in self.spellings:
            raise InvalidInputError(
                f"{self.what} has no {spelling} spelling; it is written as {', '.join(self.spellings)}."
            )
        if Path(out).exists():
            raise InvalidInputError(
                f"There is a file at {out} already, which is left as it is; give another name."
            )
        self.write(out, spelling)


def inspected(path: str | Path, family: str | None = None) -> Inspected:
    """Inspect a file.

    `family`: what to take its temporal layers for, where their keys leave it open.

    Raises:
        CheckpointFormatError: no file that the pack reads (the message says what it is), or a damaged one.
        InvalidInputError: the keys do not leave that family open.
    """
    file = read_weights(path)
    if family is not None:
        return _layers(as_family(bare(file), family))
    found = (kind(file) for kind in KINDS)
    return next((known for known in found if known is not None), None) or _layers(file)


def _renaming(tensors: Callable[[str], dict[str, Tensor]]) -> Write:
    return lambda out, spelling: write_weights(out, tensors(spelling), {"format": "pt"})


def _as_it_is(file: WeightsFile) -> Write:
    return lambda out, _spelling: write_weights(out, file.tensors, file.metadata)


def _layers(file: WeightsFile) -> Inspected:
    stack, source = stack_of(file)
    return Inspected(
        what="the stack of temporal layers",
        report=report(stack, source),
        spelling=source.spelling,
        spellings=(NATIVE, *SPELLINGS),
        write=lambda out, spelling: write(out, stack, spelling),
    )


def _video_model(file: WeightsFile) -> Inspected | None:
    named = bare(file)
    family = video_family(named)
    if family is None:
        return None
    name, spelling = family.label
    targets = {other.label[1]: other for other in model_families() if other.label[0] == name}
    return Inspected(
        what=f"the UNet of {name}",
        report=report_model(video_model_of(file)),
        spelling=spelling,
        spellings=tuple(targets),
        write=_renaming(lambda spelling: family.respelled(named.tensors, targets[spelling])),
    )


def _sparse_control(file: WeightsFile) -> Inspected | None:
    named = bare(file)
    if control_kind(named) is None:
        return None
    return Inspected(
        what=f"the ControlNet of {SPARSE_CONTROL}",
        report=open_sparse_control(file.path, nn).report,
        spelling=sparse_control_spelling(named).name,
        spellings=(ORIGINAL, DIFFUSERS),
        write=_renaming(lambda spelling: respelled_sparse_control(named, spelling)),
    )


def _motion_lora(file: WeightsFile) -> Inspected | None:
    if not is_temporal_lora(file.tensors):
        return None
    lora, model = changes_of(file)
    spelling, spellings = lora_spellings(file.tensors)
    ranks = sorted({len(factor) for key, factor in lora.factors.items() if key.endswith("lora_down.weight")})
    lines = (
        f"Motion LoRA ({spelling} file), {_millions(lora.factors.values())} weights, for {model}",
        f"Changes: {len(lora.targets)} layers, rank {', '.join(map(str, ranks))}",
        "Folder: models/motion_lora, for Load Motion LoRA",
        f"Keys: {len(file.tensors) - len(lora.skipped)} used",
    )
    return Inspected(
        what="the motion LoRA",
        report="\n".join(lines),
        spelling=spelling,
        spellings=spellings,
        write=_renaming(lambda spelling: respelled_lora(file, lora, spelling)),
    )


def _video_decoder(file: WeightsFile) -> Inspected | None:
    known, decoder = video_decoder_spelling(file), video_decoder(file)
    if known is None or decoder is None:
        return None
    return Inspected(
        what=f"the autoencoder of {TOONCRAFTER if decoder.references else svd.NAME}",
        report=_in_folder(report_decoder(file), "temporal_decoders", "Load Temporal Decoder"),
        spelling=known[0],
        spellings=(ORIGINAL,) if decoder.references else (ORIGINAL, DIFFUSERS),
        write=_renaming(lambda spelling: respelled_video_decoder(file, spelling)),
    )


def _decoder(file: WeightsFile) -> Inspected | None:
    if file.metadata.get("format") != own_decoder.FORMAT:
        return None
    report = _in_folder(report_decoder(file), "temporal_decoders", "Load Temporal Decoder")
    return Inspected("the temporal decoder", report, NATIVE, (NATIVE,), _as_it_is(file))


def _upscaler(file: WeightsFile) -> Inspected | None:
    if not own_upscaler.recognise(file):
        return None
    text = f"{report_upscaler(load_upscaler(file.path))}\nKeys: {len(file.tensors)} used"
    report = _in_folder(text, "video_upscalers", "Load Video Upscaler")
    return Inspected("the video upscaler", report, NATIVE, (NATIVE,), _as_it_is(file))


# Kinds of files beside temporal layers; the first that knows a file has it. They share no loader: a motion
# LoRA is read against a stack, SparseCtrl brings a ControlNet, a decoder belongs to a VAE.
KINDS = (_upscaler, _decoder, _video_model, _sparse_control, _motion_lora, _video_decoder)


def _in_folder(text: str | None, folder: str, node: str) -> str:
    return f"{text}\nFolder: models/{folder}, for {node}"


def _millions(weights: Iterable[Tensor]) -> str:
    return f"{sum(weight.numel() for weight in weights) / 1e6:.1f} M"

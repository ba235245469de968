"""Reports on files of temporal decoders."""

from ..formats.facts import FACTS
from ..formats.svd import NAME
from ..weights.files import WeightsFile
from .formats import FORMAT, decoder_of
from .svd import video_decoder, video_decoder_spelling

TOONCRAFTER, TOONCRAFTER_LICENCE = "ToonCrafter", "Apache-2.0"


def report_decoder(file: WeightsFile) -> str | None:
    """Lines on a temporal decoder: whose it is, for which latents, its licence; None for another file.

    Raises CheckpointFormatError for a damaged one.
    """
    if file.metadata.get("format") == FORMAT:
        return _report_own(file)
    known, decoder = video_decoder_spelling(file), video_decoder(file)
    if known is None or decoder is None:
        return None
    weights = (*decoder.tensors.values(), *decoder.references.values())
    used = len(weights) + (len(decoder.beside) if decoder.references else 0)
    unused = len(file.tensors) - used
    name, licence = NAME, FACTS[NAME].licence
    if decoder.references:
        name, licence = TOONCRAFTER, TOONCRAFTER_LICENCE
    count = sum(weight.numel() for weight in weights)
    return "\n".join(
        (
            f"Temporal decoder of {name} ({known[0]} file), {count / 1e6:.1f} M weights, for latents of SD "
            "1.x and 2.x",
            f"Licence: {licence}",
            f"Keys: {used} used" + (f", {unused} beside them (not used)" if unused else ""),
        )
    )


def _report_own(file: WeightsFile) -> str:
    decoder = decoder_of(file)
    count = sum(weight.numel() for weight in decoder.parameters())
    kind = decoder.config.decoder.kind.upper()
    return (
        f"Video LDM decoder (native file), {count / 1e6:.1f} M weights, for the {kind} autoencoder of "
        f"{decoder.config.base}\nKeys: {len(file.tensors)} used"
    )

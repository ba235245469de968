"""The temporal decoder: layers in time for the decoder of an autoencoder, against flicker."""

from .decoder import DecoderConfig, TemporalDecoder
from .formats import decoder_of, image_weights, load_decoder, save_decoder
from .plan import KL, TAESD, DecoderShape, DecoderSite
from .report import report_decoder

__all__ = [
    "KL",
    "TAESD",
    "DecoderConfig",
    "DecoderShape",
    "DecoderSite",
    "TemporalDecoder",
    "decoder_of",
    "image_weights",
    "load_decoder",
    "report_decoder",
    "save_decoder",
]

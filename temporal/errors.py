"""The errors a user can meet. Each message says what was given, what was expected and what to do."""


class VideoLDMError(ValueError):
    """Base of all errors of this pack."""


class CheckpointFormatError(VideoLDMError):
    """A file is not what it should be."""


class IncompatibleModelError(VideoLDMError):
    """Weights, model and latent do not fit together."""


class InvalidInputError(VideoLDMError):
    """A value that the user chose cannot be used."""


class MissingLibraryError(InvalidInputError):
    """A stage needs a library that is not installed; the sentence names it."""


class OutputError(VideoLDMError):
    """A result cannot be written where the user wants it."""

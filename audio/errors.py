"""The one error type of the audio package: every bad input becomes a clear line with a stable code."""


class AudioError(Exception):
    """A call source or a recogniser cannot be used.

    `code` is stable (audio-unreadable, device-missing, model-unknown, model-corrupt, no-network ...);
    the text is one line that says what was expected and what to do.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code

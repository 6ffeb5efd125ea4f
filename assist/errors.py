"""The one error type of the roof: every bad input becomes a clear line with a stable code."""


class AssistError(Exception):
    """Something asked of the program cannot be done.

    `code` is stable (store-failed, data-folder, record-unknown, settings-invalid ...); the text is one line that
    says what was expected and what to do.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code

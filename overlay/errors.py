"""The one error type of the overlay package: every bad input becomes a clear line with a stable code."""


class OverlayError(Exception):
    """The screens cannot be served, or something asked of them cannot be done.

    `code` is stable (port-in-use, address-unknown, login-needed, records-missing, refused ...); the text is one line
    that says what was expected and what to do. Raised by an action handler or by records, it is shown on the page.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code

"""Words compared without case and punctuation."""


def normalised(text: str) -> str:
    """A word in lower case without punctuation, also inside it: "Account," and "account" are one."""
    return "".join(letter for letter in text.casefold() if letter.isalnum()) or text.casefold()

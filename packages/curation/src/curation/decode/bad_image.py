"""Why an image cannot be used: a reason code that is counted, and a detail for people."""

from __future__ import annotations

REASONS = {
    "unreadable": "the bytes could not be read from their source",
    "empty": "zero bytes",
    "not_an_image": "no decoder knows the bytes (text, HTML, SVG, random bytes, ...)",
    "truncated": "the file ends before the picture does",
    "corrupt": "the picture's data is damaged",
    "too_large": "more pixels than the limit (a decompression bomb, or a picture to be tiled first)",
    "too_small": "a side shorter than the limit",
    "too_long": "an aspect ratio above the limit",
    "not_downloaded": "there are no bytes behind its address",
    "opted_out": "its server asks robots to leave it alone",
    "repeated": "an archive has an earlier member of the same name",
    "gone": "its source does not offer it any more",
    "changed": "the downloaded bytes are not those that the table's checksum stands for",
}


def code_of(message: str) -> str:
    """`truncated` or `corrupt`, from the words of a decoder."""
    text = message.lower()
    return "truncated" if "truncated" in text or "premature end" in text else "corrupt"


class BadImage(Exception):
    """An image that goes to quarantine. `code` is a key of REASONS."""

    def __init__(self, code: str, detail: str) -> None:
        assert code in REASONS, code
        self.code, self.detail = code, " ".join(detail.split())[:200]
        super().__init__(f"{self.code}: {self.detail}" if self.detail else self.code)

    def __reduce__(self) -> tuple[type[BadImage], tuple[str, str]]:
        return type(self), (self.code, self.detail)

"""How much sound a file holds, where libsndfile does not tell: MP3 without a length, WAV with an old one, cut Ogg."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

MP3_KBITS = {
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Bit rates (kbit/s) of layer III by their code, for MPEG-1 (3) and for MPEG-2 and 2.5 (ISO/IEC 11172-3, 13818-3)."""
MP3_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
"""Hz by version code: MPEG-1, 2, 2.5."""
MP3_LENGTH_TAGS = (b"Xing", b"Info", b"VBRI")
"""In the first frame, before the number of all frames."""
OGG_LAST_PAGE = 4
"""Flag in a page's header."""
OGG_PAGE_BYTES = 27 + 255 + 255 * 255
"""The longest page."""
SEARCHED_BYTES = 65_536


def mp3_samples(path: Path) -> int | None:
    """Samples per channel in the frames of an MP3 file that does not say how many; None where it does."""
    with path.open("rb") as file:
        count = 0
        for at, header in _mp3_frames(file, _skip_id3(file)):
            if not count and any(tag in _read_at(file, at, _mp3_frame_bytes(header)) for tag in MP3_LENGTH_TAGS):
                return None
            count += 1152 if _version(header) == 3 else 576
    return count or None


def _skip_id3(file: BinaryIO) -> int:
    at = 0
    while (head := _read_at(file, at, 10))[:3] == b"ID3" and len(head) == 10:
        at += 10 + sum(byte << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
    return at


def _mp3_frames(file: BinaryIO, at: int) -> Iterator[tuple[int, bytes]]:
    """Offset and header of each frame that ends where another begins, or the file ends; damage is passed over."""
    size = os.fstat(file.fileno()).st_size
    while at < size:
        header = _read_at(file, at, 4)
        end = at + _mp3_frame_bytes(header)
        if end > at and (end == size or _mp3_frame_bytes(_read_at(file, end, 4))):
            yield at, header
            at = end
        else:
            found = _read_at(file, at + 1, SEARCHED_BYTES).find(b"\xff")
            at += 1 + (found if found >= 0 else SEARCHED_BYTES)


def _version(header: bytes) -> int:
    return header[1] >> 3 & 3


def _mp3_frame_bytes(header: bytes) -> int:
    """Length of the layer III frame with this header; 0 where it is none."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return 0
    version, bits, rate, padding = _version(header), header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version == 1 or bits in (0, 15) or rate == 3:
        return 0
    kbits = MP3_KBITS[3 if version == 3 else 2][bits]
    return (144 if version == 3 else 72) * kbits * 1000 // MP3_RATES[version][rate] + padding


def wav_unread_s(path: Path) -> float:
    """Seconds of a WAV file after the length that its header gives; what follows as chunks or as zeros is no sound."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if _read_at(file, 0, 4) != b"RIFF":
            return 0.0
        at, bytes_per_second, end = 12, 0, 0
        while at + 8 <= size:
            head = _read_at(file, at, 8)
            name, length = head[:4], int.from_bytes(head[4:], "little")
            if not name.isascii() or not name.decode().isprintable() or at + 8 + length > size:
                break
            if name == b"fmt ":
                bytes_per_second = int.from_bytes(_read_at(file, at + 16, 4), "little")
            if end or name == b"data":
                end = at + 8 + length
            at += 8 + length + length % 2
        if not end or not bytes_per_second or not _has_sound(file, end):
            return 0.0
        return (size - end) / bytes_per_second


def _has_sound(file: BinaryIO, at: int) -> bool:
    file.seek(at)
    return any(block.strip(b"\0") for block in iter(lambda: file.read(SEARCHED_BYTES), b""))


def ogg_is_whole(path: Path) -> bool:
    """Whether an Ogg file ends with a whole last page of its stream."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        tail = _read_at(file, max(0, size - OGG_PAGE_BYTES), OGG_PAGE_BYTES)
    page = tail[tail.rfind(b"OggS") :]
    if len(page) < 27 or not page[5] & OGG_LAST_PAGE:
        return False
    segments = page[27 : 27 + page[26]]
    return len(page) >= 27 + page[26] + sum(segments)


def _read_at(file: BinaryIO, at: int, count: int) -> bytes:
    file.seek(at)
    return file.read(count)

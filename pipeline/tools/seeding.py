"""Seeds that depend on what is done, not on who does it or when."""

from __future__ import annotations

import zlib


def derive_seed(*parts: int | str) -> int:
    """A 31-bit seed from names and numbers: the same for the same parts on any machine."""
    return zlib.crc32("/".join(map(str, parts)).encode()) & 0x7FFFFFFF

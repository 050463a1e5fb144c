"""Seeded mutations of bytes: what a full disk, a bad cable, an editor or a hostile hand does to a file."""

import random

SIGNS = tuple(bytes([code]) for code in b"\0\n\r\t ,;\"'#%=[]{}\\")
NUMBERS = (b"-1", b"0", b"1", b"2147483647", b"4294967296", b"9" * 30, b"1e999", b"nan", b"inf", b"-0.0", b"0,5")
MARKS = (b"\xff\xfe", b"\xef\xbb\xbf", b"\x1f\x8b", b"\xc3", b"\x80", b"../../x", b"\x1b[2J", b"true", b"null")
NESTING = (b"[" * 3000, b'{"a":' * 3000)
TOKENS = (b"", *SIGNS, *NUMBERS, *MARKS, *NESTING)


def mutate(content: bytes, source: random.Random) -> bytes:
    """Return the content with one to six changes at random places; small contents may become empty."""
    changed = bytearray(content)
    for _ in range(source.randint(1, 6)):
        place = _choose_place(len(changed), source)
        end = min(len(changed), place + source.choice((1, 1, 2, 4, 8, 64)))
        change = source.randrange(8)
        if change == 0:
            changed[place:place] = source.choice(TOKENS)
        elif change == 1:
            changed[place:end] = source.choice(TOKENS)
        elif change == 2:
            del changed[place:end]
        elif change == 3:
            changed[place:end] = bytes(source.randrange(256) for _ in range(end - place))
        elif change == 4 and place < len(changed):
            changed[place] ^= 1 << source.randrange(8)
        elif change == 5:
            changed[place:place] = changed[_choose_place(len(changed), source) :][: source.choice((1, 8, 64))]
        elif change == 6 and place < len(changed):
            changed[place] = source.choice(b"0123456789")
        elif source.random() < 0.2:
            del changed[place:]
    return bytes(changed)


def _choose_place(length: int, source: random.Random) -> int:
    """A place anywhere, or near either end, where headers and tables of contents are."""
    near = min(length, 400)
    return source.choice((source.randint(0, length), source.randint(0, near), length - source.randint(0, near)))

"""Numbers of things in sentences."""


def counted(n: int, thing: str, things: str = "") -> str:
    """``1 file``, ``2,310 files``, ``0 copies``.

    Args:
        n: The number of things.
        thing: The word for one of them.
        things: The word for several of them, where it is not ``thing`` with an s.

    Example:
        >>> counted(1, "file"), counted(2310, "file"), counted(0, "copy", "copies")
        ('1 file', '2,310 files', '0 copies')
    """
    return f"{n:,} {thing if n == 1 else things or thing + 's'}"

"""Numbers of things in sentences."""


def counted(n: int, thing: str, things: str = "") -> str:
    """``1 file``, ``2,310 files``, ``0 copies``.

    Args:
        n: how many.
        thing: one of them.
        things: several of them, where that is not ``thing`` with an s.
    """
    return f"{n:,} {thing if n == 1 else things or thing + 's'}"

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


def chance(probability: float) -> str:
    """A probability with two digits, which says 0 or 1 only where it is.

    Args:
        probability: The probability, from 0 to 1.

    Example:
        >>> chance(0.687), chance(0.9986), chance(1.0), chance(0.004), chance(0.0)
        ('0.69', '>0.99', '1', '<0.01', '0')
    """
    if probability in (0.0, 1.0):
        return f"{probability:.0f}"
    if probability >= 0.995:
        return ">0.99"
    return "<0.01" if probability < 0.005 else f"{probability:.2f}"


def rounded(value: float, digits: int = 2) -> str:
    """A number as people write it, rounded to a few digits: never with an exponent.

    Args:
        value: 0 or more.
        digits: Digits that are kept.

    Example:
        >>> rounded(183.2), rounded(5.31e7), rounded(0.0432), rounded(3.0), rounded(2e-9), rounded(0)
        ('180', '53,000,000', '0.043', '3', 'less than 0.0001', '0')
    """
    if 0 < value < 1e-4:
        return "less than 0.0001"
    if value >= 10 ** (digits - 1):
        return f"{float(f'{value:.{digits}g}'):,.0f}"
    return f"{value:.{digits}g}"

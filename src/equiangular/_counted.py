"""A number with its noun, in the singular where it is one."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str = "") -> str:
    """``number`` with thousands separated, and ``noun``, or its plural where the number is not 1.

    Args:
        number: any whole number.
        noun: the singular.
        plural: by default the singular with "s", or with "es" after "s" and "x".

    Example:
        >>> counted(1, "test sample"), counted(3080, "test sample"), counted(2, "class"), counted(0, "run")
        ('1 test sample', '3,080 test samples', '2 classes', '0 runs')
    """
    plural = plural or noun + ("es" if noun.endswith(("s", "x")) else "s")
    return f"{number:,} {noun if number == 1 else plural}"

"""Arrays on their way to the server, without a question that is asked of each of their elements.

To tell a nested array from an element, asyncpg asks of each element whether it is any iterable or sized thing. Those
are abstract classes, which find that out in Python; it takes half of the 9 µs that the 31 values of a credit take. The
service's own arrays are lists of what is not a list, so the question can be that simple.
"""

from asyncpg.protocol import protocol

ASKED = ("IterableABC", "SizedABC")
"""The names, in the driver's module, of the classes that it asks for."""


def ask_for_lists_only() -> bool:
    """Have the driver, in all of this process, take lists and tuples for arrays and nothing else. Returns whether it is
    a version that can be told so; nothing is changed in any other. Not for processes that others have a say in."""
    if not all(hasattr(protocol, name) for name in ASKED):
        return False
    for name in ASKED:
        setattr(protocol, name, (list, tuple))
    return True

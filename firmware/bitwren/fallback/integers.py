"""What is done to integers in several places."""


def square_root(value):
    """floor(sqrt(value)), a bit of the root a step."""
    root, bit = 0, 1 << 30
    while bit:
        if value >= root + bit:
            value -= root + bit
            root = (root >> 1) + bit
        else:
            root >>= 1
        bit >>= 2
    return root


def int8(value):
    """A byte, or an element of an array("b"), as what it stands for."""
    return value - 256 if value > 127 else value

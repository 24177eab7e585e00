"""The hot loop of projection.py as machine code that MicroPython's compiler makes (viper); fast.py has the rules."""

import micropython


@micropython.viper
def hadamard(values, begin: int, size: int):
    """Walsh-Hadamard transform of `size` values from `begin` on, in place."""
    all_values = ptr32(values)  # noqa: F821
    half = 1
    while half < size:
        first = begin
        while first < begin + size:
            for place in range(first, first + half):
                a = all_values[place]
                b = all_values[place + half]
                all_values[place] = a + b
                all_values[place + half] = a - b
            first += 2 * half
        half *= 2

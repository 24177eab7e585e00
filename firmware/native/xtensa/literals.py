"""literals.py FROM.s TO.s: LLVM's Xtensa assembly, with its literals and constants where a linker expects them.

`l32r` loads a word that lies before it at a multiple of four. LLVM leaves it to the assembler to put these words there, and its
own assembler puts them between the functions, unaligned. Here they go into one section, as gcc's do.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

LITERAL = re.compile(r"\s*\.literal\s+(\S+),\s*(.*)")
POSITION = re.compile(r"\s*\.literal_position\b")
# Constants with addresses in them, for which mpy_ld has the name that position-independent code gives them.
CONSTANTS = re.compile(r'\s*\.section\s+\.rodata,"a",@progbits')


def moved(lines: Iterable[str]) -> Iterator[str]:
    """The lines without their literals, and then those."""
    literals: list[str] = []
    for line in lines:
        if literal := LITERAL.fullmatch(line):
            literals += [f"{literal[1]}:", f"\t.long\t{literal[2]}"]
        elif CONSTANTS.fullmatch(line):
            yield '\t.section\t.data.rel.ro,"aw",@progbits'
        elif not POSITION.match(line):
            yield line
    yield '\t.section\t.literal,"ax",@progbits'
    yield "\t.p2align\t2"
    yield from literals


def main() -> None:
    """Rewrite a file."""
    source, target = map(Path, sys.argv[1:])
    target.write_text("\n".join(moved(source.read_text().splitlines())) + "\n")


if __name__ == "__main__":
    main()

"""gas.py FROM.s TO.s: gcc's Xtensa assembly for LLVM's assembler.

What gas would do is done: branches reach, and shifts. And names are those that both know.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

PAIRS = "beqz/bnez bltz/bgez beq/bne blt/bge bltu/bgeu beqi/bnei blti/bgei bltui/bgeui bbci/bbsi bbc/bbs bany/bnone ball/bnall"
OPPOSITES = dict(pair.split("/") for pair in PAIRS.split())
OPPOSITES |= {other: one for one, other in OPPOSITES.items()}
BRANCH = re.compile(r"\t(" + "|".join(OPPOSITES) + r")\t(.*), *(\S+)")
NARROW = re.compile(r"\t(beqz|bnez)\.n\t")
FAR_SHIFT = re.compile(r"\tsrli\t(\w+), (\w+), (1[6-9]|2\d|3[01])")  # of which srli itself has four bits
PLT = re.compile(r"(\s*\.literal\s.*)@PLT")


def assembled(lines: Iterable[str]) -> Iterator[str]:
    """The lines, each branch as one around a jump: gas does that to those that are too far."""
    for line in lines:
        line = NARROW.sub(r"\t\1\t", line)
        if branch := BRANCH.fullmatch(line):
            yield f"\t{OPPOSITES[branch[1]]}\t{branch[2]}, 1f"
            yield f"\tj\t{branch[3]}"
            yield "1:"
        elif shift := FAR_SHIFT.fullmatch(line):
            yield f"\textui\t{shift[1]}, {shift[2]}, {shift[3]}, {32 - int(shift[3])}"
        else:
            yield PLT.sub(r"\1", line).replace("\t.word\t", "\t.long\t")


def main() -> None:
    """Rewrite a file."""
    source, target = map(Path, sys.argv[1:])
    target.write_text("\n".join(assembled(source.read_text().splitlines())) + "\n")


if __name__ == "__main__":
    main()

"""sections.py FROM.s TO.s NAME: gcc's assembly, its sections of code and constants with NAME added to theirs."""

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

SHORT = re.compile(r"\s*\.(text|rodata|bss)\s*")
LONG = re.compile(r"(\s*\.section\s+\.(?:text|rodata|bss)[^,\s]*)(.*)")
FLAGS = {"text": '"ax",@progbits', "rodata": '"a",@progbits', "bss": '"aw",@nobits'}


def renamed(lines: Iterable[str], name: str) -> Iterator[str]:
    """The lines, with the sections that they choose renamed."""
    for line in lines:
        if short := SHORT.fullmatch(line):
            yield f"\t.section\t.{short[1]}.{name},{FLAGS[short[1]]}"
        elif long := LONG.fullmatch(line):
            yield f"{long[1]}.{name}{long[2]}"
        else:
            yield line


def main() -> None:
    """Rewrite a file."""
    source, target = map(Path, sys.argv[1:3])
    target.write_text("\n".join(renamed(source.read_text().splitlines(), sys.argv[3])) + "\n")


if __name__ == "__main__":
    main()

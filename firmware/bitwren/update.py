"""Finishes what `bitwren deploy` began, so that a cut of power leaves the old files or the new ones, and never a mixture.

deploy writes new files beside the old, as NAME.new, and checks them. Then it writes down what is to be done, a line each: "+PATH"
puts PATH.new in PATH's place, "-PATH" removes PATH. From the moment that list has its name, the new files count: whoever
imports bitwren finishes the list first, and a step may have been done before. The first lines replace this module and
the package's __init__; before they are done, the old ones are imported, and they serve the old bundle.

Imports nothing of bitwren: deploy runs this text on boards that have none.
"""

import os

SUFFIX = ".new"


def finish(path):
    """Do what the list at `path` says and remove it; False where there is none."""
    try:
        with open(path) as file:
            lines = file.read().split("\n")
    except OSError:
        return False
    for line in lines:
        name = line[1:]
        if line[:1] == "+" and _is_there(name + SUFFIX):
            try:
                os.rename(name + SUFFIX, name)
            except OSError:  # FAT replaces nothing
                os.remove(name)
                os.rename(name + SUFFIX, name)
        elif line[:1] == "-" and _is_there(name):
            os.remove(name)
    os.remove(path)
    return True


def _is_there(name):
    try:
        os.stat(name)
        return True
    except OSError:
        return False


if __name__ != "__main__" and finish(__file__.rsplit("/", 1)[0] + ".todo"):
    raise SystemExit  # a soft reset: what imports this may be the package as it was

"""``python -m bitwren.train``: repeat a recipe."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from ..errors import BitwrenError
from .fit import fit


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit status is 0 when a model was written."""
    parser = argparse.ArgumentParser(prog="python -m bitwren.train", description="Train an encoder from its recipe.")
    parser.add_argument("recipe", type=Path, help="recipe.toml of an encoder")
    parser.add_argument("--data", type=Path, required=True, help="folder with the recipe's sources")
    parser.add_argument("--teacher", default="all-MiniLM-L6-v2", help="a sentence-transformers name or folder")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the model's folder; one there is replaced")
    parser.add_argument("--cache", type=Path, default=Path(".cache/embeddings"), help="folder for the teacher's embeddings")
    parser.add_argument("--half", action="store_true", help="let the teacher compute in bfloat16: faster on newer processors")
    parser.add_argument("--seed", type=int, help="in place of the recipe's")
    given = parser.parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's start-up notes would bury the progress lines
    try:
        fit(given.recipe, given.data, given.output, given.teacher, given.cache, given.seed, given.half)
    except BitwrenError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The whole recipe: text, teacher, vocabulary, distillation, quantisation, and a model folder at the end."""

from __future__ import annotations

import io
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..container import check_folder, read_file, replace_folder
from ..frontend import INPUT_SCALE, Rows, pool, rescale
from ..tokenizer import Vocabulary
from . import TrainingError, require
from .distil import distil
from .hyper import Hyper, as_hyper
from .quantize import export_head, quantize_rows
from .sources import Source, read_sources
from .student import Weights, initial_rows
from .teacher import Teacher
from .texts import Texts, cluster
from .vocabulary import tokenize, train_vocabulary, weighted_counts

CALIBRATION_TEXTS = 500


def fit(
    recipe_path: Path, data_dir: Path, out_dir: Path, teacher: str, cache_dir: Path, seed: int | None = None, half: bool = False
) -> None:
    """Train the encoder of a recipe and write its folder, all of it or nothing.

    :param recipe_path: ``recipe.toml``.
    :param data_dir: the folder that the recipe's sources are in.
    :param out_dir: the model's folder; a model there is replaced, its README.md kept.
    :param teacher: a sentence-transformers name or folder.
    :param cache_dir: where the teacher's embeddings are kept between runs.
    :param seed: in place of the recipe's.
    :param half: let the teacher compute in bfloat16.
    """
    require("tensorflow", "sklearn")  # before the teacher's quarter of an hour, not after it
    recipe = read_recipe(recipe_path)
    seed = int(recipe["seed"]) if seed is None else seed
    hyper = as_hyper(recipe.get("training", {}))
    sources = [Source.from_recipe(entry) for entry in recipe["sources"]]
    guide = Teacher(teacher, cache_dir, half)

    texts = read_sources(sources, data_dir, int(recipe["seed"]))
    say("texts: " + ", ".join(f"{len(part)} {source.name}" for source, part in zip(sources, texts, strict=True)))
    targets = np.concatenate([guide.embed(part, source.name) for source, part in zip(sources, texts, strict=True)])
    everything = [text for part in texts for text in part]

    counts = weighted_counts(texts, [source.vocabulary_weight for source in sources])
    vocabulary = train_vocabulary(counts, int(recipe["vocabulary"]["pieces"]))
    ids, offsets = tokenize(vocabulary, everything)
    say(f"vocabulary: {len(vocabulary)} pieces, {len(ids) / len(everything):.1f} tokens a text")

    material = Texts(ids, offsets, targets)
    student = train_student(material, vocabulary, guide, hyper, seed)
    rows = quantize_rows(student.rows)
    inputs = calibration_inputs(rows, material, np.random.default_rng(seed))
    head = export_head([(student.kernel, student.bias)], inputs, hyper.binarizer != "lsh")
    settings = encoder_settings(recipe, hyper, guide.name, seed)
    write_model(out_dir, settings, vocabulary, rows, head, recipe_path)
    say(f"written: {out_dir}")


def train_student(texts: Texts, vocabulary: Vocabulary, teacher: Teacher, hyper: Hyper, seed: int) -> Weights:
    """Rows from the teacher's view of the pieces, clusters of the teacher's view of the texts, then distillation."""
    pieces = [piece.decode("utf-8", "replace") for piece in (*vocabulary.starts, *vocabulary.continuations)]
    counts = np.bincount(texts.ids, minlength=len(vocabulary))
    rows = initial_rows(teacher.embed(pieces, "vocabulary"), counts, hyper.dims)
    groups = cluster(texts.targets, hyper.clusters, seed)
    return distil(texts, rows, groups, hyper, seed)


def read_recipe(path: Path) -> dict[str, Any]:
    """A recipe, its necessary keys checked; ``extends`` names another, from its folder, whose keys it takes where it has none."""
    recipe = _read_toml(path)
    if "extends" in recipe:
        extended = _read_toml(path.parent / str(recipe.pop("extends")))
        tables = {key: extended[key] | value for key, value in recipe.items() if isinstance(value, dict) and key in extended}
        recipe = extended | recipe | tables
    missing = {"name", "version", "language", "licence", "seed", "vocabulary", "sources"} - set(recipe)
    if missing:
        raise TrainingError(f"The recipe {path} lacks {', '.join(sorted(missing))}: see models/base/recipe.toml.")
    return recipe


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise TrainingError(f"Cannot read the recipe {path}: {error}") from error


def calibration_inputs(rows: Rows, texts: Texts, random: np.random.Generator) -> NDArray[np.int8]:
    """int8 vectors of some training texts [N, D], computed as the chip does."""
    chosen = random.permutation(len(texts.offsets) - 1)[:CALIBRATION_TEXTS]
    return np.stack([rescale(pool(rows, texts.ids[texts.offsets[i] : texts.offsets[i + 1]].tolist())) for i in chosen])


def encoder_settings(recipe: Mapping[str, Any], hyper: Hyper, teacher: str, seed: int) -> dict[str, Any]:
    """What ``encoder.toml`` says."""
    return {
        "name": recipe["name"],
        "version": recipe["version"],
        "language": recipe["language"],
        "licence": recipe["licence"],
        "binarizer": hyper.binarizer,
        "dims": hyper.dims,
        "row_bits": 2,
        "units": hyper.outputs,
        "bits": hyper.bits,
        "input_scale": 1 / INPUT_SCALE,
        "teacher": teacher,
        "seed": seed,
    }


MODEL_FILES = ("encoder.toml", "vocabulary.txt", "rows.npy", "scales.npy", "head.tflite")
KEPT_FILES = ("README.md", "recipe.toml")


def write_model(
    out_dir: Path, settings: Mapping[str, Any], vocabulary: Vocabulary, rows: Rows, head: bytes, recipe: Path | None
) -> int:
    """Write a model folder as a whole; returns its bytes.

    The README.md (and a recipe, unless one is given) of a model that was there is kept.

    :raises BitwrenError: when the folder holds something else, or cannot be written.
    """
    kept = {name: out_dir / name for name in KEPT_FILES} | ({"recipe.toml": recipe} if recipe else {})
    files = {name: read_file(path) for name, path in kept.items() if path.is_file()}
    files["encoder.toml"] = "".join(f"{key} = {_toml(value)}\n" for key, value in settings.items()).encode()
    files |= {"vocabulary.txt": vocabulary.text(), "rows.npy": _npy(rows.packed), "scales.npy": _npy(rows.scales)}
    files["head.tflite"] = head
    return replace_folder(out_dir.resolve(), files, (*MODEL_FILES, *KEPT_FILES))


def check_output(out_dir: Path) -> None:
    """Refuse a folder that :func:`write_model` would refuse, before the work.

    :raises BitwrenError: when it holds something else.
    """
    check_folder(out_dir.resolve(), (*MODEL_FILES, *KEPT_FILES))


def _npy(array: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return str(value)


def say(message: str) -> None:
    """Progress goes to stderr; stdout is for results."""
    print(message, file=sys.stderr, flush=True)

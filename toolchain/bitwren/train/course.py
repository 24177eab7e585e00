"""An encoder for a corpus, from what there is: labels, answers, training questions, a teacher, an encoder, or some of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import background
from ..binarize import itq
from ..compiler import Teacher
from ..corpus import Document, Question
from ..encoder import EncoderFolder
from ..errors import VectorError
from ..lower import read_head
from . import TrainingError, need, require, silence
from .begin import Begin, from_encoder, from_nothing, known_pieces, pieces_within
from .fit import calibration_inputs, encoder_settings
from .heldout import represented
from .hyper import Hyper
from .in_domain import Course, Learnt, Say, study
from .lessons import Lessons, lessons, word_counts
from .loop import Objectives
from .quantize import export_head, quantize_rows
from .teacher import OwnTeacher
from .texts import Texts
from .vocabulary import learn_pieces, tokenize

EVERYDAY = 6000
"""Everyday texts beside a corpus's."""
LEARNT_PIECES = 8192
DIMS = ((48 << 10, 64), (128 << 10, 96), (256 << 10, 128), (1 << 30, 160))
"""Width of rows up to so many bytes of flash: with less, more pieces are worth more than more dimensions."""


@dataclass(frozen=True)
class Wish:
    """What is wanted of an encoder, and how it is to be trained.

    :ivar bits: of the codes that are trained (with ``lsh`` other widths can be built as well).
    :ivar flash: bytes that its file may take; None: vocabulary and shape of the encoder to begin with stay.
    :ivar binarizer: one of :data:`.hyper.BINARIZERS`. :ivar dims: width of rows; 0: the encoder's, or what the flash suggests.
    :ivar epochs: at most. :ivar labels: whether documents that say the same are drawn together.
    :ivar answers: whether a document is to find its answer. :ivar ptq: quantize after training instead of through it.
    :ivar held_out, patience, seed: as in :class:`.in_domain.Course`.
    """

    bits: int = 512
    flash: int | None = None
    binarizer: str = "lsh"
    dims: int = 0
    epochs: int = 20
    labels: bool = True
    answers: bool = True
    ptq: bool = False
    held_out: float = 0.1
    patience: int = 6
    seed: int = 1


def teach(
    documents: Sequence[Document],
    questions: Sequence[Question],
    folder: EncoderFolder | None,
    teacher: Teacher | None,
    wish: Wish,
    say: Say,
    saved: Path | None = None,
    resume: bool = False,
) -> tuple[EncoderFolder, Learnt]:
    """Train an encoder for a corpus; nothing is written but ``saved``.

    :param questions: training questions, with the id of a document or the label of several.
    :param folder: the encoder to begin with; None: nothing. :param teacher: None: the encoder to begin with, if there is one.
    :param saved: where the run's state is kept; None: nowhere. :param resume: go on from there.
    :raises BitwrenError: when what is wanted is not possible, or there is nothing to learn from.
    """
    require("tensorflow")
    with silence():
        need("tensorflow").config.list_physical_devices()  # looks for a GPU, and says that there is none
    taught = lessons(documents, questions, background.texts(EVERYDAY), wish.labels, wish.answers)
    guide = teacher or (OwnTeacher(folder) if folder else None)
    learns = {"labels": bool((taught.groups >= 0).any()), "pairs": len(taught.pairs) > 0}
    if guide is None and not any(learns.values()):
        raise TrainingError(
            "there is nothing to learn from: no encoder to begin with, no teacher, and in the corpus neither answers nor "
            "two documents with one label; use --from base, or --teacher auto with bitwren[train] installed"
        )
    hyper = shape(wish, folder, learns["labels"])
    begin = beginning(folder, taught, hyper, wish, teacher)
    targets = (
        guide.embed(taught.texts, "texts").astype(np.float16) if guide else np.zeros((len(taught.texts), 0), dtype=np.float16)
    )
    say(summary(taught, begin, hyper, guide))
    # A teacher's view counts less where it is known what belongs together.
    objectives = Objectives(0.3 if learns["labels"] else 1.0, float(learns["labels"]), float(learns["pairs"]))
    course = Course(hyper, objectives, held_out=wish.held_out, patience=wish.patience, seed=wish.seed)
    learnt = study(begin, taught, targets, course, say, saved, resume)
    made = exported(begin, taught, learnt, hyper)
    settings = described(hyper, wish, begin, folder, guide, learnt, learns["labels"])
    return EncoderFolder(Path(begin.name), settings, begin.vocabulary, *made), learnt


def adapt(
    documents: Sequence[Document], folder: EncoderFolder, teacher: Teacher | None, bits: int, seed: int, say: Say
) -> EncoderFolder:
    """An encoder trained on documents, of the same size and kind; only in memory.

    :param bits: of the codes that are wanted of it.
    """
    if folder.binarizer == "lsh":
        return teach(documents, [], folder, teacher, Wish(bits, seed=seed), say)[0]
    outputs = len(read_head(folder.head, folder.rows.dims)[-1].bias)
    return teach(documents, [], folder, teacher, Wish(outputs, binarizer="learned", seed=seed), say)[0]


def shape(wish: Wish, folder: EncoderFolder | None, grouped: bool) -> Hyper:
    """The hyper-parameters of a wish.

    :raises TrainingError: when they do not fit one another.
    """
    same = folder is not None and (wish.binarizer == "lsh") == (folder.binarizer == "lsh") and wish.dims in (0, folder.rows.dims)
    kept = same and wish.flash is None
    dims = wish.dims or (
        folder.rows.dims if folder and wish.flash is None else next(d for most, d in DIMS if (wish.flash or 1 << 20) <= most)
    )
    if wish.binarizer == "itq" and not wish.dims:
        dims = max(dims, wish.bits)  # it rotates what there is, and has no bit more than that
    # Weights that stay are moved with care; what begins anew, or has labels to obey, has further to go.
    rate = 2e-3 if kept and not grouped else 4e-3
    own = wish.binarizer in ("sign", "learned")
    return Hyper(
        binarizer=wish.binarizer,
        dims=dims,
        units=int(folder.settings.get("units", 0)) if kept and folder and wish.binarizer == "lsh" else 0,
        bits=wish.bits,
        prefixes=(wish.bits,),
        epochs=wish.epochs,
        row_rate=rate,
        head_rate=rate / 2,
        code_weight=0.0 if wish.binarizer in ("sign", "itq") else 1.0,
        anchor=1.0 if own else 0.0,
        ptq=wish.ptq,
    )


def beginning(folder: EncoderFolder | None, taught: Lessons, hyper: Hyper, wish: Wish, teacher: Teacher | None) -> Begin:
    """Vocabulary and weights to begin with.

    :raises TrainingError: when not even letters fit into the flash.
    """
    counts = word_counts(taught)
    if folder is not None and wish.flash is None:
        return from_encoder(folder, hyper, folder.vocabulary, counts, wish.seed)
    learnt = learn_pieces(counts, LEARNT_PIECES) + (known_pieces(folder.vocabulary) if folder else [])
    vocabulary = pieces_within(wish.flash or 1 << 20, hyper, list(dict.fromkeys(learnt)), counts)
    if folder is not None:
        return from_encoder(folder, hyper, vocabulary, counts, wish.seed)
    return from_nothing(vocabulary, hyper, counts, teacher, wish.seed)


def exported(begin: Begin, taught: Lessons, learnt: Learnt, hyper: Hyper) -> tuple[Any, bytes]:
    """Rows, and the head as int8 TFLite."""
    ids, offsets = tokenize(begin.vocabulary, taught.texts)
    rows = quantize_rows(learnt.weights.rows)
    layers = [(learnt.weights.kernel, learnt.weights.bias)]
    if hyper.binarizer == "itq":
        layers.append(rotation(represented(learnt.weights, hyper, ids, offsets, np.arange(taught.own)), hyper.bits))
    random = np.random.default_rng(0)
    inputs = calibration_inputs(rows, Texts(ids, offsets, np.zeros((len(offsets) - 1, 0), dtype=np.float16)), random)
    return rows, export_head(layers, inputs, hyper.binarizer != "lsh")


def rotation(embeddings: NDArray[np.float32], bits: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The layer, kernel [E, bits] and bias [bits], whose signs are the itq codes of embeddings [N, E] of about equal length."""
    lengths = np.linalg.norm(embeddings, axis=1)
    try:
        found = itq(embeddings[lengths > 0], bits)
    except VectorError as error:
        raise TrainingError(f"binarizer itq: {error}") from error
    if found.projection is None:
        raise TrainingError("binarizer itq learned no rotation")
    # Codes compare directions: the mean was taken at length 1, and is taken off at the length that outputs have.
    return found.projection, np.asarray(-(found.mean * lengths[lengths > 0].mean()) @ found.projection, dtype=np.float32)


def summary(taught: Lessons, begin: Begin, hyper: Hyper, guide: Teacher | None) -> str:
    """One line about what is learnt from what."""
    groups = len(np.unique(taught.groups[taught.groups >= 0]))
    together = f", {groups} groups of one meaning" if groups else ""
    pairs = f", {len(taught.pairs)} pairs" if len(taught.pairs) else ""
    taught_by = f"taught by {guide.name}" if guide else "without a teacher"
    return (
        f"{taught.documents} documents, {len(taught.texts)} texts in all{together}{pairs}; {len(begin.vocabulary)} pieces of "
        f"{hyper.dims} dimensions, begun with {begin.name}, {taught_by}"
    )


def described(
    hyper: Hyper,
    wish: Wish,
    begin: Begin,
    folder: EncoderFolder | None,
    guide: Teacher | None,
    learnt: Learnt,
    grouped: bool,
) -> dict[str, Any]:
    """What ``encoder.toml`` says."""
    about: Mapping[str, Any] = {
        "name": f"{folder.settings.get('name', folder.path.name)}, trained" if folder else "trained",
        "version": 1,
        "language": folder.settings.get("language", "") if folder else "",
        "licence": folder.settings.get("licence", "") if folder else "",
    }
    settings = encoder_settings(about, hyper, guide.name if guide else "none", wish.seed)
    about_training = {"begun_with": begin.name, "epochs": learnt.epochs, "quantization": "after" if wish.ptq else "aware"}
    return settings | about_training | {"labels": grouped}

"""``bitwren train``."""

from __future__ import annotations

from pathlib import Path

import click

from bitwren import lower
from bitwren.corpus import read_corpus, read_questions
from bitwren.encoder import EncoderFolder
from bitwren.hamming import WIDTHS
from bitwren.train import fit, hyper
from bitwren.train.course import Wish, teach

from .. import show
from .make import find_teacher, teacher_option

NO_TEACHER = (
    "no teacher is installed, so the encoder to begin with is its own, and learns less of a corpus without labels: "
    "pip install 'bitwren[train]', or --teacher none"
)
SIZES = {"KB": 1024, "K": 1024, "KIB": 1024, "MB": 1 << 20, "M": 1 << 20, "MIB": 1 << 20, "B": 1, "": 1}


class Size(click.ParamType):  # type: ignore[type-arg]
    """Bytes, as in ``200KB``; a KB has 1,024."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number of bytes."""
        text = str(value).strip().upper()
        digits = text.rstrip("KMIB ")
        unit = text[len(digits) :].strip()
        try:
            return round(float(digits) * SIZES[unit])
        except (ValueError, KeyError):
            self.fail(f"{value!r} is no size: give bytes, or a number and KB, as in 200KB", param, ctx)


@click.command()
@click.argument("corpus", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="The encoder's folder; one there is replaced."
)
@click.option(
    "--from", "start", default="base", show_default=True, help="Encoder to begin with: a shipped one, a folder, or none."
)
@click.option(
    "--flash",
    type=Size(),
    help="Most bytes of the encoder, as in 200KB: its vocabulary is chosen anew for the corpus. Without: it stays.",
)
@click.option(
    "--bits", type=click.Choice([str(width) for width in WIDTHS]), default="512", show_default=True, help="Of the codes."
)
@click.option(
    "--binarizer",
    type=click.Choice(hyper.BINARIZERS),
    default="lsh",
    show_default=True,
    help="What makes bits: lsh, a projection that the chip computes; itq, a rotation fitted afterwards; sign and learned, the "
    "head's own outputs, trained as floats or through the sign.",
)
@click.option(
    "--dims", default=0, help="Width of token rows, a multiple of 32.  [default: the encoder's, or as --flash suggests]"
)
@click.option(
    "--questions",
    type=click.Path(path_type=Path),
    help="Training questions: columns query and id or label. Not those you will test with.",
)
@click.option("--labels/--no-labels", default=True, show_default=True, help="Draw documents of one answer or label together.")
@click.option("--answers/--no-answers", default=True, show_default=True, help="Draw documents and their answers together.")
@teacher_option
@click.option("--epochs", type=click.IntRange(1), default=20, show_default=True, help="At most.")
@click.option(
    "--held-out",
    type=click.FloatRange(0, 0.5),
    default=0.1,
    show_default=True,
    help="Share of the documents by which the number of epochs is found; training then begins again with all. 0: all are done.",
)
@click.option("--patience", type=click.IntRange(1), default=6, show_default=True, help="Epochs without a better result.")
@click.option("--ptq", is_flag=True, help="Quantize after training, instead of training through the rounding.")
@click.option("--seed", default=1, show_default=True)
@click.option("--resume", is_flag=True, help="Go on where this command was interrupted.")
def train(
    corpus: Path,
    output: Path,
    start: str,
    flash: int | None,
    bits: str,
    binarizer: str,
    dims: int,
    questions: Path | None,
    labels: bool,
    answers: bool,
    teacher: str,
    epochs: int,
    held_out: float,
    patience: int,
    ptq: bool,
    seed: int,
    resume: bool,
) -> None:
    """Train an encoder on CORPUS: on what its documents say, and on labels, answers and questions where there are some.

    It takes minutes on two cores and needs bitwren[train]. Then: bitwren build CORPUS --encoder FOLDER.
    """
    documents = read_corpus(corpus)
    asked = read_questions(questions) if questions else []
    wish = Wish(int(bits), flash, binarizer, dims, epochs, labels, answers, ptq, held_out, patience, seed)
    folder = None if start == "none" else EncoderFolder.find(start)
    fit.check_output(output)
    saved = output.resolve().parent / f"{output.resolve().name}.training.npz"
    try:
        made, _ = teach(documents, asked, folder, find_teacher(teacher, NO_TEACHER), wish, show.say, saved, resume)
    except KeyboardInterrupt:
        if saved.exists():
            show.say(f"what was learnt so far is in {saved.name}: the same command with --resume goes on")
        raise
    settings = made.settings | {"name": output.resolve().name}
    fit.write_model(output, settings, made.vocabulary, made.rows, made.head, None)
    saved.unlink(missing_ok=True)
    width = min(int(bits), 512) if binarizer == "lsh" else int(bits)
    size = len(lower.write(lower.lower(EncoderFolder.read(output), width)))
    show.say(f"{output}: an encoder of {size / 1024:.0f} KB, {len(made.vocabulary)} pieces")
    show.say(f"next: bitwren build {corpus} --encoder {output} --bits {bits} -o BUNDLE")

"""``bitwren demo``: from a CSV to answers out of an emulated Raspberry Pi Pico."""

from __future__ import annotations

from pathlib import Path

import click

from bitwren import background, bundle
from bitwren.calibrate import Strangers
from bitwren.container import write_atomic
from bitwren.corpus import read_corpus
from bitwren.encoder import EncoderFolder
from bitwren.errors import BitwrenError

from .. import show
from ..board_files import data_folder
from ..targets import HostTarget, open_target
from .ask import firmware_option

QUESTIONS = (
    "OSError ENOENT when I open my file",
    "memory error although the list is small",
    "servo twitches all the time",
    "the oled stays black",
    "can I power it from AA batteries",
    "what is the best recipe for pancakes",
)


@click.command()
@click.option("-o", "--output", default="bitwren-demo", show_default=True, type=click.Path(path_type=Path), help="The bundle.")
@click.option("-k", default=2, show_default=True, help="How many answers.")
@click.option("--svg", type=click.Path(path_type=Path), help="Draw what is printed into an SVG file too.")
@firmware_option
def demo(output: Path, k: int, svg: Path | None, firmware: Path | None) -> None:
    """Build the sample corpus, boot MicroPython on an emulated Pico and let it answer a few questions."""
    if svg:
        show.start_picture()
    corpus = data_folder("examples") / "board-help" / "corpus.csv"
    documents = read_corpus(corpus)
    show.out.print(f"1. {corpus.parent.name}/{corpus.name}: {len(documents)} questions and answers")
    folder = EncoderFolder.find("base")
    made = bundle.build(documents, folder, 512, scoring=bundle.Scoring(), strangers=Strangers(background.texts()))
    size = bundle.write(made, output)
    show.out.print(
        f"2. encoded with '{folder.path.name}' (int8): {made.encoder.bits} bits each, {size / 1024:.0f} KB in {output}/"
    )
    show.out.print("3. booting MicroPython on an emulated Raspberry Pi Pico with these files in its flash ...")
    reference = HostTarget(made)
    differing = 0
    with open_target("pico", output, firmware) as pico:
        info = pico.info()
        storage = f"encoder {info['storage']['encoder']}, table {info['storage']['table']}"
        running = f"native module {info['native']}, {info['ram'] / 1024:.0f} KB of RAM taken"
        show.out.print(f"   it says: {info['documents']} documents, {storage}, {running}", style="dim")
        show.out.print("4. asking it over its serial console\n")
        for question in QUESTIONS:
            reply = pico.answer(question, k)
            differing += reply != reference.answer(question, k)
            show.out.print(f"> {question}", style="bold cyan")
            show.out.print(show.answer(reply, made.encoder.bits), end="\n\n")
    if differing:
        raise BitwrenError(f"{differing} of the Pico's answers differ from the host's; this is a bug: please report it")
    show.out.print(f"The Pico's {len(QUESTIONS)} answers are the host's, bit for bit. Ask your own: make console", style="green")
    if svg:
        write_atomic(svg, show.picture("bitwren demo").encode())

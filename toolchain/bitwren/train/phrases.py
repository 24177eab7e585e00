"""Short phrases made from templates and a dictionary, for words that people say to devices and public text seldom holds.

A student knows only the words it was shown. The teacher knows many more, and says what a phrase with them means; so every common
English word is put into everyday phrases of our own. Words come from WordNet by topic (its lexicographer files), kept when a
list of common words has them.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

_LEXNAMES = (
    "adj relational adv tops act animal artifact attribute body cognition communication event feeling food group location "
    "motive object person phenomenon plant possession process quantity relation shape state substance time verb.body "
    "verb.change verb.cognition verb.communication verb.competition verb.consumption verb.contact verb.creation "
    "verb.emotion verb.motion verb.perception verb.possession verb.social verb.stative verb.weather participle"
)
TOPICS = tuple(_LEXNAMES.split())
"""WordNet's lexicographer files in the order of their numbers (its manual page lexnames(5))."""

_SLOT = re.compile(r"\{(\w+)\}")


def phrases(folder: Path, options: Mapping[str, Any]) -> Iterator[str]:
    """Phrases from a folder with WordNet's ``data.*`` files.

    :param options: ``templates``, texts with slots such as ``{artifact}``, ``{verbing}``, ``{adj}`` or a key of ``lists``;
        ``wordlist``, the common words, a path from the folder; ``lists``, further words by slot; ``rounds``, how many
        times every word is used.
    """
    common = frozenset((folder / options["wordlist"]).read_text("utf-8", "replace").split())
    lists = {**words_by_topic(folder, common), **{name: list(words) for name, words in options.get("lists", {}).items()}}
    yield from fill(options["templates"], lists, int(options.get("rounds", 3)))


def words_by_topic(folder: Path, common: frozenset[str]) -> dict[str, list[str]]:
    """Common single words of each topic, and of the forms ``artifacts``, ``verbs``, ``verbing`` and ``verbed``."""
    found: dict[str, set[str]] = {}
    for path in sorted(folder.glob("data.*")):
        for line in path.read_text("utf-8", "replace").splitlines():
            if line.startswith("  "):
                continue  # the licence at the top
            fields = line.split(" ", 4 + 2 * 255)
            topic = TOPICS[int(fields[1])].split(".")[0]
            for lemma in fields[4 : 4 + 2 * int(fields[3], 16) : 2]:
                lemma = lemma.split("(")[0]
                if lemma in common:
                    found.setdefault(topic, set()).add(lemma)
    forms = {
        "artifacts": {_with_s(word) for word in found.get("artifact", ())},
        "verbs": {_with_s(word) for word in found.get("verb", ())},
        "verbing": {form for word in found.get("verb", ()) for form in _with_ending(word, "ing")},
        "verbed": {form for word in found.get("verb", ()) for form in _with_ending(word, "ed")},
    }
    return {name: sorted(words & common if name in forms else words) for name, words in {**found, **forms}.items()}


def fill(templates: Sequence[str], lists: Mapping[str, Sequence[str]], rounds: int) -> Iterator[str]:
    """Fill templates so that every word of every slot in use appears about ``rounds`` times, in ever new company."""
    draw = random.Random(0)
    slots = sorted({slot for template in templates for slot in _SLOT.findall(template)})
    for leading in slots:
        fitting = [template for template in templates if leading in _SLOT.findall(template)]
        for word in lists[leading]:
            for template in draw.sample(fitting, min(rounds, len(fitting))):
                text = template.replace(f"{{{leading}}}", word, 1)
                yield _SLOT.sub(lambda match: draw.choice(lists[match.group(1)]), text)


def _with_s(word: str) -> str:
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    return word[:-1] + "ies" if re.search("[^aeiou]y$", word) else word + "s"


def _with_ending(word: str, ending: str) -> set[str]:
    """Both spellings that may be right; the list of common words knows which is."""
    stem = word[:-1] if word.endswith("e") else word
    if ending == "ed" and re.search("[^aeiou]y$", word):
        return {word[:-1] + "ied"}
    return {stem + ending, word + word[-1] + ending}

"""The index compiler and the choice of the words' weight, with a teacher that knows which of two topics a text has."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from test_scoring import projecting

from bitwren import background, lexical
from bitwren.compiler import Fit, compile_documents, fit_documents, linear_map, unit
from bitwren.vectors import quantize
from bitwren.weighing import DEFAULT, WEIGHTS, choose_weight


class Topics:
    """Embeds a text by how its letters fall into two halves of the alphabet, and by its length a little."""

    name = "topics"

    def embed(self, texts: Sequence[str], label: str = "") -> NDArray[np.float16]:
        rows = [[sum("a" <= c < "n" for c in text), sum("n" <= c <= "z" for c in text), 0.1 * len(text), 1] for text in texts]
        return unit(np.array(rows)).astype(np.float16)


TEXTS = ["a big cab", "fade a cake", "badge and cage", "not to rust", "torn postures", "you trust us"] * 4


def agreement(vectors: NDArray[np.floating], asked: NDArray[np.floating], wanted: NDArray[np.floating]) -> float:
    return float(np.corrcoef((asked @ unit(vectors).T).ravel(), wanted.ravel())[0, 1])


def test_documents_move_to_where_the_teacher_has_them() -> None:
    encoder, teacher = projecting(), Topics()
    embeddings = encoder.embed(TEXTS)
    centre = np.rint(embeddings.mean(axis=0)).astype(np.int8)
    wanted = unit(teacher.embed(TEXTS))
    steps: list[tuple[int, int]] = []
    made = compile_documents(
        encoder, embeddings, centre, wanted, teacher, 600, progress=lambda step, done, total: steps.append((done, total))
    )
    assert made.shape == (len(TEXTS), encoder.units)
    assert np.allclose(np.linalg.norm(made, axis=1), 1, atol=1e-5)
    assert steps[-1][0] == steps[-1][1] == len(steps)
    # On query-like texts that it was not fitted to.
    asked = background.texts(900)[600:]
    queries = unit(encoder.embed(asked).astype(np.float32) - centre)
    truth = unit(teacher.embed(asked)) @ wanted.T
    assert agreement(made, queries, truth) > agreement(embeddings.astype(np.float32) - centre, queries, truth) + 0.05
    again = compile_documents(encoder, embeddings, centre, wanted, teacher, 600)
    assert np.array_equal(made, again)


def test_fit_follows_the_gradient_of_its_loss() -> None:
    """One small step lowers the loss, computed here from its definition, by what the step's direction promises."""
    random = np.random.default_rng(1)
    start, asked = unit(random.normal(size=(7, 8))), unit(random.normal(size=(40, 8)))
    wanted, asked_wanted = unit(random.normal(size=(7, 5))), unit(random.normal(size=(40, 5)))

    def loss(documents: NDArray[np.floating]) -> float:
        aim, found = asked_wanted @ wanted.T, asked @ unit(documents).T
        logits = 15 * found - np.log(np.exp(15 * found).sum(axis=1, keepdims=True))
        target = np.exp(aim / 0.05) / np.exp(aim / 0.05).sum(axis=1, keepdims=True)
        cross = -(target * logits).sum(axis=1).mean()
        return float(cross + 3 * ((found - aim) ** 2).mean() + 1 - (unit(documents) * start).sum(axis=1).mean())

    losses = [loss(start)]
    for epochs in (10, 100):
        losses.append(loss(fit_documents(start, asked, wanted, asked_wanted, Fit(epochs, 40))))
    assert losses[0] > losses[1] > losses[2]


def test_linear_map_finds_a_linear_map() -> None:
    random = np.random.default_rng(2)
    wanted, matrix = random.normal(size=(500, 6)).astype(np.float32), random.normal(size=(6, 9)).astype(np.float32)
    found = linear_map((wanted - wanted.mean(axis=0)) @ matrix, wanted, wanted[:20], 1e-3)
    assert np.allclose(found, unit((wanted - wanted.mean(axis=0)) @ matrix)[:20], atol=1e-3)


def test_background_is_always_the_same_and_all_different() -> None:
    first = background.texts(3000)
    assert first == background.texts(3000)
    assert len(set(first)) == 3000
    assert not any("{" in text or "}" in text for text in first)
    assert len(background.texts(30000)) > 20000


def test_the_weight_is_the_one_that_finds_labels() -> None:
    """Labels that only words tell want words; labels that only meaning tells, none."""
    encoder = projecting()
    random = np.random.default_rng(3)
    texts = [f"{random.choice(['alpha', 'omega'])} {''.join(random.choice(list('etaoin'), 12))}" for _ in range(120)]
    embeddings = encoder.embed(texts)
    centre = np.zeros(encoder.units, dtype=np.int8)
    words = lexical.build(texts, 1 << 30)
    noise = quantize(random.normal(size=(120, encoder.units)), 8)
    by_word = [text.split()[0] for text in texts]
    assert choose_weight(encoder, texts, by_word, embeddings, centre, noise, words) == WEIGHTS[-1]
    own = quantize(embeddings.astype(float), 8)
    nearest = unit(embeddings.astype(np.float32)) @ unit(embeddings.astype(np.float32)).T
    by_meaning = [str(min(index, int(np.argsort(-row)[1]))) for index, row in enumerate(nearest)]
    assert choose_weight(encoder, texts, by_meaning, embeddings, centre, own, words) < WEIGHTS[-1]


def test_the_weight_without_labels() -> None:
    encoder, teacher = projecting(), Topics()
    embeddings = encoder.embed(TEXTS)
    centre, words = np.zeros(encoder.units, dtype=np.int8), lexical.build(TEXTS, 1 << 30)
    own = quantize(embeddings.astype(float), 4)
    alone = [str(index) for index in range(len(TEXTS))]
    assert choose_weight(encoder, TEXTS, alone, embeddings, centre, own, words) == DEFAULT
    assert choose_weight(encoder, TEXTS, alone, embeddings, centre, own, words, unit(teacher.embed(TEXTS))) in WEIGHTS

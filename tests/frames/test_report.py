import json
import math

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from equiangular import frame_report, nearest_simplex_etf, simplex_equiangular_tight_frame, simplex_etf


def test_an_etf_meets_its_bound() -> None:
    report = frame_report(simplex_etf(10, 9, dtype=torch.float64))
    assert report.max_cosine == pytest.approx(report.rankin_bound, abs=1e-12)
    assert report.coherence == pytest.approx(report.welch_bound, abs=1e-12)
    assert report.etf_distance < 1e-12
    assert report.tightness == pytest.approx(1)
    assert report.rank == 9
    assert report.sum_norm < 1e-14
    assert report.min_angle == pytest.approx(math.degrees(math.acos(-1 / 9)))


@pytest.mark.parametrize(("k", "d"), [(7, 3), (5, 20), (300, 40)])
def test_random_vectors_against_numpy(k: int, d: int) -> None:
    vectors = torch.randn(k, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    report = frame_report(vectors)
    unit = vectors.numpy() / np.linalg.norm(vectors.numpy(), axis=1, keepdims=True)
    cosines = (unit @ unit.T)[~np.eye(k, dtype=bool)]
    values = np.linalg.svd(unit, compute_uv=False) ** 2
    assert report.max_cosine == pytest.approx(cosines.max())
    assert report.min_cosine == pytest.approx(cosines.min())
    assert report.mean_cosine == pytest.approx(cosines.mean())
    assert report.coherence == pytest.approx(np.abs(cosines).max())
    assert report.tightness == pytest.approx(values[0] / values[min(k, d) - 1])
    assert report.rank == min(k, d)
    assert report.sum_norm == pytest.approx(np.linalg.norm(unit.sum(0)) / k)
    assert report.norm_min == pytest.approx(float(vectors.norm(dim=1).min()))
    assert report.min_angle == pytest.approx(np.degrees(np.arccos(cosines.max())))
    assert report.norm_max == pytest.approx(float(vectors.norm(dim=1).max()))
    assert math.isnan(report.etf_distance) == (k > d + 1)


def test_the_documents_frame_can_be_measured_as_it_is() -> None:
    frame = simplex_equiangular_tight_frame(7, 9, seed=0)
    frame.flags.writeable = False  # as np.load(mmap_mode="r") gives it
    report = frame_report(frame)
    assert report.etf_distance < 1e-12
    assert report == frame_report(torch.tensor(frame))
    assert nearest_simplex_etf(frame).numpy() == pytest.approx(frame)


def test_the_text_names_bounds_and_reasons() -> None:
    text = str(frame_report(torch.randn(7, 3, generator=torch.Generator().manual_seed(0))))
    assert "Rankin bound" in text
    assert "Welch bound" in text
    assert "none exists: K=7 > d+1=4" in text


def test_as_dict_is_json_plain() -> None:
    assert json.loads(json.dumps(frame_report(torch.eye(3)).as_dict(), allow_nan=False))["num_classes"] == 3
    none = frame_report(torch.randn(7, 3, generator=torch.Generator().manual_seed(0))).as_dict()
    assert json.loads(json.dumps(none, allow_nan=False))["etf_distance"] is None


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("k", "d"), [(10, 9), (100, 128), (128, 512)])
def test_rounding_is_no_dimension_of_the_span(k: int, d: int, dtype: torch.dtype) -> None:
    report = frame_report(simplex_etf(k, d, dtype=dtype))
    assert report.rank == k - 1
    assert report.tightness == pytest.approx(1, abs=max(1e-13, 4 * torch.finfo(dtype).eps))


class LargestTensor(TorchDispatchMode):
    """Entries of the largest tensor that any operation makes."""

    entries = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for value in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(value, torch.Tensor):
                self.entries = max(self.entries, value.numel())
        return result


def test_the_gram_matrix_is_never_whole() -> None:
    k = 6000
    vectors = torch.randn(k, 3, generator=torch.Generator().manual_seed(0))
    with LargestTensor() as largest:
        frame_report(vectors)
    assert k <= largest.entries <= k * k / 8


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="zero-norm row"):
        frame_report(torch.zeros(3, 3))
    with pytest.raises(ValueError, match="num_classes"):
        frame_report(torch.ones(1, 3))

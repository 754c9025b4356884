import math

import numpy as np
import pytest
import torch

from equiangular import frame_report, simplex_etf


def test_an_etf_meets_its_bound() -> None:
    report = frame_report(simplex_etf(10, 9, dtype=torch.float64))
    assert report.max_cosine == pytest.approx(report.rankin_bound, abs=1e-12)
    assert report.coherence == pytest.approx(report.welch_bound, abs=1e-12)
    assert report.etf_distance < 1e-12
    assert report.tightness == pytest.approx(1)
    assert report.rank == 9
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
    assert report.norm_max == pytest.approx(float(vectors.norm(dim=1).max()))
    assert math.isnan(report.etf_distance) == (k > d + 1)


def test_the_text_names_bounds_and_reasons() -> None:
    text = str(frame_report(torch.randn(7, 3, generator=torch.Generator().manual_seed(0))))
    assert "Rankin bound" in text
    assert "Welch bound" in text
    assert "none exists: K=7 > d+1=4" in text


def test_as_dict_is_json_plain() -> None:
    import json

    assert json.loads(json.dumps(frame_report(torch.eye(3)).as_dict()))["num_classes"] == 3


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="zero-norm row"):
        frame_report(torch.zeros(3, 3))
    with pytest.raises(ValueError, match="num_classes"):
        frame_report(torch.ones(1, 3))

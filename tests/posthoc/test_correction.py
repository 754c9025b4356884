"""The module around the correction."""

import io

import pytest
import torch

from equiangular.posthoc import PriorCorrection, calibrate_prior_correction, prior_corrected_logits

from .problem import COUNTS, K, draw

TARGET = torch.arange(1.0, K + 1)


def fitted(**options) -> tuple[PriorCorrection, torch.Tensor]:
    z, y = draw(COUNTS, 300, seed=0)
    correction = PriorCorrection(K, dtype=torch.float64)
    assert correction.fit(z, y, COUNTS, **options) is correction
    return correction, z


@pytest.mark.parametrize("target", [None, TARGET])
def test_is_calibration_followed_by_the_function(target) -> None:
    correction, z = fitted(target_prior=target)
    scale, strength = calibrate_prior_correction(*draw(COUNTS, 300, seed=0), COUNTS, target_prior=target)
    expected = prior_corrected_logits(z, COUNTS, target_prior=target, scale=scale, strength=strength)
    torch.testing.assert_close(correction(z), expected)


def test_moves_to_any_prior_with_scale_and_strength_kept() -> None:
    correction, z = fitted()
    scale, strength = float(correction.scale), float(correction.strength)
    expected = prior_corrected_logits(z, COUNTS, target_prior=TARGET, scale=scale, strength=strength)
    torch.testing.assert_close(correction.to_prior(TARGET)(z), expected)
    torch.testing.assert_close(correction.to_prior(COUNTS)(z), scale * z)
    back = prior_corrected_logits(z, COUNTS, scale=scale, strength=strength)
    torch.testing.assert_close(correction.to_prior()(z), back)


def test_does_nothing_before_it_is_fitted() -> None:
    z = torch.randn(4, K)
    assert torch.equal(PriorCorrection(K)(z), z)


def test_everything_learned_is_in_the_state_dict() -> None:
    correction, z = fitted(target_prior=TARGET)
    file = io.BytesIO()
    torch.save(correction.state_dict(), file)
    file.seek(0)
    other = PriorCorrection(K, dtype=torch.float64)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other(z), correction(z))
    assert not list(correction.parameters())


def test_sits_behind_a_model_and_compiles() -> None:
    correction, z = fitted()
    model = torch.nn.Sequential(torch.nn.Identity(), correction).float()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(z.float()), correction(z.float()))
    torch._dynamo.reset()


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="num_classes must be an integer >= 2, got 1"):
        PriorCorrection(1)
    with pytest.raises(ValueError, match=r"logits must have width 10, got shape \(2, 3\)"):
        PriorCorrection(K)(torch.zeros(2, 3))
    with pytest.raises(ValueError, match="target_prior has 2 entries for 10 classes"):
        PriorCorrection(K).to_prior([1, 2])
    with pytest.raises(ValueError, match=r"logits must have width 10, got shape \(2, 3\)"):
        PriorCorrection(K).fit(torch.zeros(2, 3), torch.arange(2), [1, 2, 3])
    with pytest.raises(ValueError, match="class_counts has 3 entries"):
        PriorCorrection(K).fit(torch.zeros(3, K), torch.arange(3), [1, 2, 3])


def test_a_refused_fit_changes_nothing() -> None:
    correction, z = fitted()
    before = correction(z)
    with pytest.raises(ValueError, match="at least 2 are needed"):
        correction.fit(z[:1], torch.tensor([0]), COUNTS)
    assert torch.equal(correction(z), before)

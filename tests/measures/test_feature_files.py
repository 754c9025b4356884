"""Measures of a feature file: what more there is with logits, beside all that there is without."""

import dataclasses

import torch

from equiangular.measures.feature_files import FeatureFile, measure_file


def test_logits_add_nc4_and_change_nothing_else() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(3).repeat(20)
    features = torch.randn(3, 4, generator=generator)[labels] + torch.randn(60, 4, generator=generator) / 2
    without = FeatureFile(features, labels)
    logits = torch.randn(60, 3, generator=generator)
    expected = measure_file(without, batch_size=7)
    found = measure_file(dataclasses.replace(without, logits=logits), batch_size=7)
    means = torch.stack([features[labels == k].mean(0) for k in range(3)])
    agreed = torch.cdist(features, means).argmin(1) == logits.argmax(1)
    assert found.pop("nc4") == agreed.double().mean()
    assert {name: value for name, value in found.items() if name in expected} == expected

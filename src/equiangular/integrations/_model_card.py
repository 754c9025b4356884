"""The model card: its template, and the fields a user fills in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from equiangular.longtail import SubsetManifest
from equiangular.measures import mean_ci

TEMPLATE = """---
{{ card_data }}
---

# {{ title }}

A classifier with {{ head }}, made with the Python library equiangular: the class vectors of a fixed head are chosen
before training and never learned (Yang et al., NeurIPS 2022, [arXiv 2203.09081]({{ paper_url }})).

## Training data and protocol

{% if data -%}
- Training data: {{ data }}
- Protocol: {{ protocol }}
{%- for line in manifest %}
- {{ line }}
{%- endfor %}
- Training seeds: {{ seeds }}
{%- else -%}
Nothing was recorded. `save_pretrained(..., model_card_kwargs=card_fields(...))` fills this in.
{%- endif %}

## Results

{% if results -%}
| measure | mean ± 95 % CI | per seed |
|---|---|---|
{%- for row in results %}
| {{ row | join(' | ') }} |
{%- endfor %}

Student's t over the training seeds, in their order above; the weights in this repository are of {{ weights_of }}.
{%- else -%}
None were recorded.
{%- endif %}

## Use

```python
{{ usage }}
```
"""


def card_fields(
    *,
    data: str,
    protocol: str,
    seeds: Sequence[int],
    results: Mapping[str, Sequence[float]],
    seed: int,
    manifest: SubsetManifest | None = None,
) -> dict[str, Any]:
    """What a model card says of data, protocol and results; pass it as ``model_card_kwargs``.

    Args:
        data: training and test data, such as ``"CIFAR-10-LT (imbalance 100), balanced test set"``.
        protocol: what was done: schedule, which epoch counts, what was tuned on what.
        seeds: training seeds.
        results: name of a measure, with its unit, to one value for each seed, in the order of ``seeds``.
        seed: the training seed of the weights that are saved.
        manifest: the long-tailed subset, if it was cut: its counts, seed and hash are put into the card.

    Returns:
        Fields of the card's template.

    Raises:
        ValueError: a measure without a value for every seed, a value that is not finite, no seed, seeds that are
            repeated, or a ``seed`` that is not among them.
        ImportError: SciPy is missing.

    Example:
        >>> fields = card_fields(data="digits", protocol="last epoch", seeds=[0, 1, 2], seed=0,
        ...                      results={"balanced accuracy, %": [80.0, 82.0, 84.0]})
        >>> fields["results"]
        [['balanced accuracy, %', '82.00 ± 4.97', '80.00, 82.00, 84.00']]
    """
    seeds = list(seeds)
    if not seeds or len(set(seeds)) != len(seeds) or seed not in seeds:
        raise ValueError(f"seeds must be distinct and hold seed={seed!r}, that of the saved weights, got {seeds}.")
    return {
        "data": data,
        "protocol": protocol,
        "seeds": ", ".join(map(str, seeds)),
        "weights_of": f"seed {seed}",
        "results": [_row(name, values, seeds) for name, values in results.items()],
        "manifest": [] if manifest is None else _describe(manifest),
    }


def _row(name: str, values: Sequence[float], seeds: list[int]) -> list[str]:
    values = [float(value) for value in values]
    if len(values) != len(seeds) or not all(map(math.isfinite, values)):
        raise ValueError(
            f"the results of {name!r} must be one finite number for each of {len(seeds)} seeds, got {values}."
        )
    mean, half_width = mean_ci(values)
    interval = "" if math.isnan(half_width) else f" ± {half_width:.2f}"
    return [name, f"{mean:.2f}{interval}", ", ".join(f"{value:.2f}" for value in values)]


def _describe(manifest: SubsetManifest) -> list[str]:
    counts = list(manifest.counts.values())
    return [
        f"Subset of {manifest.source}: {len(manifest)} of {manifest.source_size} samples in {len(counts)} classes, "
        f"{max(counts)} to {min(counts)} a class, imbalance {manifest.imbalance_factor:g} asked for, protocol "
        f"{manifest.protocol!r}, subset seed {manifest.seed}",
        f"Hash of the subset (SHA-256): `{manifest.sha256}`",
    ]

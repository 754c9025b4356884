"""Embedding a data set against its encoder called bare, on the same batches in the same order.

The data are drawn at random: texts of common words, of 3 to 30 words, and images of 96 x 96 pixels. Side by side in
one run, in rounds that alternate, each side is timed by the wall clock and by the processor time of the process, which
other load on the machine hardly changes:

- ``embed``: this library, from inputs to features on disk: hashed, sorted, batched, checked, kept in chunks.
- ``bare``: the network itself, in a loop over lists of inputs that are batched already: tokenizer, network and pooling
  of a text encoder as its model card writes them; transform and network of an image encoder.

The ratio is the speed of embed over that of bare, the median over the rounds. Both sides are compared number by number.

    python benchmarks/embed.py --output benchmarks/results/embed.json
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from equiangular._files import write_json
from equiangular._provenance import provenance
from equiangular.data import Texts
from equiangular.encoders import load_encoder
from equiangular.encoders.embedding import CHUNKS, embed_inputs

SENTENCE = "my card is lost where can I change the pin of this account please help me find a payment that was late"
WORDS = SENTENCE.split()


def texts(number: int) -> Texts:
    rng = np.random.default_rng(0)
    return Texts(" ".join(rng.choice(WORDS, size)) for size in rng.integers(3, 31, number))


def images(number: int) -> Tensor:
    return torch.randint(0, 256, (number, 3, 96, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def batches_of(inputs: Any, modality: str, size: int) -> list[np.ndarray]:
    """The batches that ``embed`` makes: in chunks, texts of like length together."""
    found = []
    for start in range(0, len(inputs), CHUNKS[modality]):
        rows = np.arange(start, min(start + CHUNKS[modality], len(inputs)))
        if modality == "text":
            rows = rows[np.argsort([len(inputs[row]) for row in rows], kind="stable")]
        found += [rows[i : i + size] for i in range(0, len(rows), size)]
    return found


@torch.inference_mode()
def bare_texts(encoder: Any, batch: list[str]) -> Tensor:
    tokens = encoder.tokenizer(batch, padding=True, truncation=True, max_length=256, return_tensors="pt")
    hidden = encoder.network(**tokens).last_hidden_state
    mask = tokens["attention_mask"].unsqueeze(-1).float()
    return torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1)


@torch.inference_mode()
def bare_images(encoder: Any, batch: list[Any]) -> Tensor:
    return encoder.network(torch.stack([encoder.transform(image) for image in batch]))


def timed(run: Callable[[], Tensor]) -> tuple[tuple[float, float], Tensor]:
    start = time.perf_counter(), time.process_time()
    result = run()
    return (time.perf_counter() - start[0], time.process_time() - start[1]), result


def measure(name: str, number: int, size: int, rounds: int) -> dict[str, Any]:
    encoder: Any = load_encoder(name, device="cpu")
    text = encoder.modality == "text"
    inputs = texts(number) if text else images(number)
    rows = batches_of(inputs, encoder.modality, size)
    as_given = (
        [[inputs[row] for row in batch] for batch in rows]
        if text
        else [[Image.fromarray(inputs[row].permute(1, 2, 0).numpy()) for row in batch] for batch in rows]
    )
    call = bare_texts if text else bare_images

    def bare() -> Tensor:
        return torch.cat([call(encoder, batch) for batch in as_given])

    def whole() -> Tensor:
        with tempfile.TemporaryDirectory() as folder:
            return embed_inputs(inputs, encoder, where="benchmark", batch_size=size, cache=folder)

    call(encoder, as_given[0])  # what is set up at the first call
    times: dict[str, list[tuple[float, float]]] = {"embed": [], "bare": []}
    for r in range(rounds):
        for what in ("embed", "bare") if r % 2 else ("bare", "embed"):
            seconds, result = timed(whole if what == "embed" else bare)
            times[what].append(seconds)
            if what == "embed":
                made = result
            else:
                order = torch.from_numpy(np.concatenate(rows))
                expected = torch.empty_like(result)
                expected[order] = result
    difference = float((made - expected).abs().max())
    result: dict[str, Any] = {"inputs": number, "batch_size": size, "largest_difference": difference}
    for clock, position in (("wall", 0), ("processor", 1)):
        own = {what: [pair[position] for pair in pairs] for what, pairs in times.items()}
        ratios = [b / e for b, e in zip(own["bare"], own["embed"], strict=True)]
        speeds = {what: number / statistics.median(seconds) for what, seconds in own.items()}
        result[clock] = {"seconds": own, "per_second": speeds, "ratios": ratios, "ratio": statistics.median(ratios)}
        print(
            f"{name}, {clock} clock: embed {speeds['embed']:.1f}/s, bare {speeds['bare']:.1f}/s, ratio "
            f"{result[clock]['ratio']:.3f} (rounds {', '.join(f'{r:.2f}' for r in ratios)})"
        )
    print(f"{name}: features differ by {difference:.1g}")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=1024)
    parser.add_argument("--images", type=int, default=96)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    results = {
        "minilm": measure("minilm", given.texts, given.batch_size, given.rounds),
        "efficientnet-lite0": measure("efficientnet-lite0", given.images, given.batch_size, given.rounds),
        "provenance": provenance(),
    }
    if given.output is not None:
        write_json(given.output, results)


if __name__ == "__main__":
    main()

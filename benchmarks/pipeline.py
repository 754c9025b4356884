"""Batches in memory against one image at a time: random crop with padding 4, mirror images, standardisation.

The data is drawn at random: N images of 3 x 32 x 32 bytes, the size of CIFAR-10's. Pipelines bring an epoch of
batches to float tensors, side by side in one run, in rounds; the time of each is its median over the rounds. Beside the
wall clock stands the processor time of the process and its workers, which other load on the machine hardly changes:

- ``batch``: this library. A uint8 tensor in memory, each batch cropped and mirrored by ``Augmentation``, then
  standardised; with further augmentations below.
- ``per image, tensors``: a ``DataLoader`` over the same tensor; crop, mirror and standardisation written in torch for
  one image. Without and with workers.
- ``per image, Pillow``: a ``DataLoader`` whose items start from a Pillow image, as those of most image pipelines do:
  padded, cropped and mirrored by Pillow, then converted and standardised.
- ``per image, torchvision``: the same with torchvision's RandomCrop, RandomHorizontalFlip, ToTensor and Normalize,
  where that library can be imported.

The pixels of both sides are compared before anything is timed. Nothing is trained.

    python benchmarks/pipeline.py --output benchmarks/results/pipeline.json
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from equiangular._files import write_json
from equiangular._provenance import provenance
from equiangular.training.augment import Augmentation
from equiangular.training.config.draws import batch_bounds
from equiangular.training.engine.sampling import uniform_order

MEAN, STD = torch.tensor([0.49, 0.48, 0.45])[:, None, None], torch.tensor([0.25, 0.24, 0.26])[:, None, None]
PADDING = 4


def standardise(images: Tensor) -> Tensor:
    return (images.float() / 255 - MEAN) / STD


def in_memory(images: Tensor, batch_size: int, augment: str = "crop:4,flip") -> Iterator[Tensor]:
    augmentation = Augmentation.parse(augment)
    generator = torch.Generator().manual_seed(0)
    order = uniform_order(len(images), 0, 0)
    for start, stop in batch_bounds(len(images), batch_size):
        draws = augmentation.draw(stop - start, tuple(images.shape[1:]), generator)
        yield standardise(augmentation.apply(images[order[start:stop]], draws))


class PerImage(Dataset):
    """One image at a time; an item draws its own offsets."""

    def __init__(self, images: Tensor, kind: str) -> None:
        self.images, self.kind = images, kind
        self.transform = torchvision_transform() if kind == "torchvision" else None
        self.arrays = np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy())

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        if self.transform is not None:
            return self.transform(Image.fromarray(self.arrays[index]))
        top, left = torch.randint(0, 2 * PADDING + 1, (2,)).tolist()
        return self.item(index, top, left, bool(torch.rand(()) < 0.5))

    def item(self, index: int, top: int, left: int, flip: bool) -> Tensor:
        height, width = self.images.shape[2:]
        if self.kind == "tensors":
            padded = torch.nn.functional.pad(self.images[index], (PADDING,) * 4)
            image = padded[:, top : top + height, left : left + width]
            image = image.flip(2) if flip else image
        else:
            picture = ImageOps.expand(Image.fromarray(self.arrays[index]), PADDING)
            picture = picture.crop((left, top, left + width, top + height))
            picture = ImageOps.mirror(picture) if flip else picture
            image = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
        return standardise(image)


def torchvision_transform() -> Callable[[Image.Image], Tensor]:
    from torchvision import transforms

    steps = [transforms.RandomCrop(32, PADDING), transforms.RandomHorizontalFlip(), transforms.ToTensor()]
    return transforms.Compose([*steps, transforms.Normalize(MEAN.flatten().tolist(), STD.flatten().tolist())])


def has_torchvision() -> bool:
    try:
        torchvision_transform()
    except (ImportError, RuntimeError) as error:  # RuntimeError: built for another torch
        print(f"without torchvision ({error})")
        return False
    return True


def one_by_one(images: Tensor, batch_size: int, kind: str, workers: int) -> Iterator[Tensor]:
    return iter(DataLoader(PerImage(images, kind), batch_size, shuffle=True, num_workers=workers))


def check(images: Tensor) -> None:
    """The same draws give the same pixels on all sides."""
    augmentation = Augmentation.parse("crop:4,flip")
    draws = augmentation.draw(64, tuple(images.shape[1:]), torch.Generator().manual_seed(1))
    expected = standardise(augmentation.apply(images[:64], draws))
    for kind in ("tensors", "Pillow"):
        data = PerImage(images, kind)
        for i in range(64):
            top, left = (draws["crop"][i] + PADDING).tolist()
            if not torch.equal(data.item(i, top, left, bool(draws["flip"][i])), expected[i]):
                raise SystemExit(f"the pipelines disagree on image {i} ({kind})")


def seconds(make: Callable[[], Iterator[Tensor]], num_images: int) -> tuple[float, float]:
    """Wall-clock and processor time of one epoch."""
    before = time.perf_counter(), processor_time()
    seen = sum(len(batch) for batch in make())  # the iterator ends here, and its workers: their time counts only then
    if seen != num_images:
        raise SystemExit(f"an epoch had {seen} images instead of {num_images}")
    return time.perf_counter() - before[0], processor_time() - before[1]


def processor_time() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in used)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/pipeline.json"))
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--workers", type=int, default=2, help="workers of the DataLoader, beside none")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    shape = (options.images, 3, 32, 32)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    check(images)
    size = options.batch_size
    pipelines: dict[str, Callable[[], Iterator[Tensor]]] = {"batch": lambda: in_memory(images, size)}
    for kind in ("tensors", "Pillow", *(("torchvision",) if has_torchvision() else ())):
        for workers in sorted({0, options.workers}):
            pipelines[f"per image, {kind}, {workers} workers"] = lambda k=kind, w=workers: one_by_one(
                images, size, k, w
            )
    for text in ("crop:4,flip,cutout", "crop:4,flip,randaugment", "crop:4,flip,autoaugment", "resizedcrop,flip"):
        pipelines[f"batch, {text}"] = lambda t=text: in_memory(images, size, t)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in pipelines}
    for number in range(options.rounds):
        for name, make in pipelines.items():
            times[name].append(seconds(make, options.images))
        print(f"round {number + 1} of {options.rounds}", flush=True)
    base = [statistics.median(column) for column in zip(*times["batch"], strict=True)]
    rows = []
    for name, runs in times.items():
        wall, processor = (statistics.median(column) for column in zip(*runs, strict=True))
        rows.append(
            {
                "pipeline": name,
                "seconds": wall,
                "processor_seconds": processor,
                "images_per_second": options.images / wall,
                "ratio": wall / base[0],
                "processor_ratio": processor / base[1],
                "runs": runs,
            }
        )
        print(
            f"{name:32s} {wall:7.2f} s  x{wall / base[0]:<5.1f} processor {processor:7.2f} s  "
            f"x{processor / base[1]:<5.1f} {options.images / processor:9,.0f} images/s of one core",
            flush=True,
        )
    settings = {key: value for key, value in vars(options).items() if key != "output"}
    write_json(options.output, {"rows": rows, "settings": settings, "provenance": provenance()})


if __name__ == "__main__":
    main()

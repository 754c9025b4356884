"""How time grows with N, K, d and B: frames, heads, losses, measures, codes, loading and predicting, as slopes.

    python benchmarks/scaling.py [--output FILE] [--figure FILE] [--only WORD ...]

Each curve is one piece of work over sizes that grow by factors; the time of a size is the least processor time of a few
calls, one thread. ``slope`` is that of the least-squares line through the upper half of the curve in log-log axes: 1 is
linear, 0 is a size that does not matter. ``expected`` is what the algorithm takes: a slope above it by more than a half
is marked. Two ratios stand beside the curves:

- ``predict``: rows a second of ``predict_files`` over those of the same network called in the same batches.
- ``first step``: from a folder of 20,000 images to the end of the first training step, with the images streamed, over
  listing the folder and decoding as many images as that step and the statistics of the inputs need.

JSON is written after each curve, the figure at the end. ``--only`` measures some groups and keeps the others.
"""

from __future__ import annotations

import argparse
import ctypes
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

import equiangular as eq
from equiangular._files import read_json, write_json
from equiangular._provenance import provenance
from equiangular.data import load_dataset
from equiangular.frames import quadratic_code, spherical_code
from equiangular.inference import list_inputs, predict_files, read_inputs
from equiangular.measures import balanced_accuracy, expected_calibration_error, per_class_accuracy
from equiangular.training import Budget, ModelInfo, Training, build_task, get_method
from equiangular.training.model.classifier import Classifier

HERE = Path(__file__).parent
Work = Callable[[], object]


@dataclass
class Curve:
    """Seconds of one piece of work over one size.

    Attributes:
        group: frames, heads, losses, measures, codes, loading or predict.
        work: the piece of work.
        over: what grows, in words.
        expected: the slope of the algorithm.
        sizes: of the axis.
        seconds: of each size.
    """

    group: str
    work: str
    over: str
    expected: float
    sizes: list[int]
    seconds: list[float] = field(default_factory=list)

    @property
    def slope(self) -> float:
        """Of the upper half: overheads of a call are over there."""
        half = len(self.sizes) // 2
        return float(np.polyfit(np.log(self.sizes[half:]), np.log(self.seconds[half:]), 1)[0])

    @property
    def steeper(self) -> bool:
        return self.slope > self.expected + 0.5


def seconds_of(work: Work, least: float = 0.02) -> float:
    """The least processor time of three calls or more; a short one is repeated until a call can be timed."""
    work()
    start = time.process_time()
    work()
    once = time.process_time() - start
    repeats = max(1, min(200, int(least / max(once, 1e-6))))
    times = [once] if once > 0.5 else []
    while len(times) < (1 if once > 0.5 else 3):
        start = time.process_time()
        for _ in range(repeats):
            work()
        times.append((time.process_time() - start) / repeats)
    return min(times)


def keep_memory() -> None:
    """glibc hands blocks of some MB back to the system, which fills them with zeros again: a step in every curve."""
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(-4, 0)  # M_MMAP_MAX
        library.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def labels(n: int, k: int) -> Tensor:
    return torch.randint(k, (n,), generator=torch.Generator().manual_seed(1))


def powers(first: int, last: int, factor: int = 2) -> list[int]:
    return [first * factor**i for i in range(int(math.log(last / first, factor) + 1.5))]


Make = Callable[[int], Work]


def curves() -> Iterator[tuple[Curve, Make]]:
    """Every curve, and what makes the work of one size."""
    yield from _of_frames()
    yield from _of_heads()
    yield from _of_losses()
    yield from _of_measures()


def _of_frames() -> Iterator[tuple[Curve, Make]]:
    etf = eq.simplex_etf
    yield (
        Curve("frames", "memory fill, for comparison", "K = d", 2, powers(512, 8192)),
        lambda k: lambda: torch.full((k, k), 0.5),
    )
    yield Curve("frames", "haar", "K = d", 3, powers(64, 1024)), lambda k: lambda: etf(k, k)
    yield Curve("frames", "haar, K = 64", "d", 1, powers(128, 32_768)), lambda d: lambda: etf(64, d)
    for basis in ("canonical", "minimal", "grouped", "dct"):
        yield (
            Curve("frames", basis, "K = d", 2, powers(512, 8192)),
            lambda k, basis=basis: lambda: etf(k, k, basis=basis),
        )

    def code(k: int, d: int) -> Work:
        return lambda: spherical_code(k, d, steps=10, restarts=1)

    yield Curve("codes", "spherical code, 10 steps, d = 16", "K", 2, powers(64, 1024)), lambda k: code(k, 16)
    yield Curve("codes", "spherical code, 10 steps, K = 256", "d", 1, powers(8, 512, 4)), lambda d: code(256, d)
    yield (
        Curve("codes", "quadratic code, 1,000 rows, d = 256", "K", 0, powers(1000, 64_000, 4)),
        lambda k: lambda: eq.frames.quadratic_code_rows(quadratic_code(k, 256), torch.arange(1000) % k),
    )


def _step(head: torch.nn.Module, b: int, d: int, k: int) -> Work:
    x, y = drawn(b, d).requires_grad_(), labels(b, k)

    def step() -> None:
        x.grad = None
        F.cross_entropy(head(x), y).backward()

    return step


def _of_heads() -> Iterator[tuple[Curve, Make]]:
    yield (
        Curve("heads", "ETF + CE step, K = 100, d = 128", "B", 1, powers(32, 8192, 4)),
        lambda b: _step(eq.ETFHead(128, 100), b, 128, 100),
    )
    yield (
        Curve("heads", "ETF + CE step, B = 128, d = 2048", "K", 1, powers(16, 2048)),
        lambda k: _step(eq.ETFHead(2048, k), 128, 2048, k),
    )
    yield (
        Curve("heads", "ETF + CE step, B = 128, K = 100", "d", 1, powers(128, 8192)),
        lambda d: _step(eq.ETFHead(d, 100), 128, d, 100),
    )
    yield (
        Curve("heads", "canonical ETF + CE step, B = 128", "K = d", 1, powers(64, 16_384, 4)),
        lambda k: _step(eq.ETFHead(k, k, basis="canonical"), 128, k, k),
    )
    yield (
        Curve("heads", "implicit quadratic head, B = 32, d = 64", "K", 1, powers(256, 4096)),
        lambda k: _step(eq.ImplicitHead(64, k, construction="quadratic"), 32, 64, k),
    )


def _loss(b: int, d: int, k: int, loss: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Work:
    x, y, weight = drawn(b, d).requires_grad_(), labels(b, k), F.normalize(drawn(k, d))

    def step() -> None:
        x.grad = None
        loss(x, y, weight).backward()

    return step


def _of_losses() -> Iterator[tuple[Curve, Make]]:
    losses: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
        "dot-regression": lambda x, y, w: eq.dot_regression_loss(F.normalize(x), y, w),
        "chunked CE": lambda x, y, w: eq.cosine_cross_entropy(x, y, w, scale=8.0, chunk_size=4096),
    }
    for name, loss in losses.items():
        of_k = 0 if name == "dot-regression" else 1
        yield (
            Curve("losses", f"{name}, K = 1,000, d = 64", "B", 1, powers(64, 4096)),
            lambda b, loss=loss: _loss(b, 64, 1000, loss),
        )
        yield (
            Curve("losses", f"{name}, B = 64, d = 64", "K", of_k, powers(1000, 64_000)),
            lambda k, loss=loss: _loss(64, 64, k, loss),
        )
        yield (
            Curve("losses", f"{name}, B = 64, K = 1,000", "d", 1, powers(64, 4096)),
            lambda d, loss=loss: _loss(64, d, 1000, loss),
        )

    def adjusted(k: int) -> Work:
        loss, logits, y = (
            eq.losses.LogitAdjustedCrossEntropyLoss(torch.arange(1.0, k + 1)),
            drawn(128, k),
            labels(128, k),
        )
        logits.requires_grad_()
        return lambda: loss(logits, y).backward()

    yield Curve("losses", "logit-adjusted CE, B = 128", "K", 1, powers(128, 8192)), adjusted


def _of_measures() -> Iterator[tuple[Curve, Make]]:
    def update(n: int, k: int, d: int) -> Work:
        metric, x, y = eq.NeuralCollapse(num_classes=k, dim=d), drawn(n, d), labels(n, k)
        return lambda: metric.update(x, y)

    def compute(k: int, d: int) -> Work:
        metric = eq.NeuralCollapse(num_classes=k, dim=d)
        metric.update(drawn(4 * k, d), torch.arange(4 * k) % k)

        def work() -> object:
            metric._computed = None
            return metric.compute()

        return work

    def scores(n: int, measure: Callable[[Tensor, Tensor], object]) -> Work:
        logits, y = drawn(n, 10).softmax(1), labels(n, 10)
        return lambda: measure(logits, y)

    yield (
        Curve("measures", "collapse, update, K = 10, d = 64", "N", 1, powers(512, 32_768)),
        lambda n: update(n, 10, 64),
    )
    yield (
        Curve("measures", "collapse, update, N = 4,096, d = 64", "K", 0, powers(8, 2048, 4)),
        lambda k: update(4096, k, 64),
    )
    yield (
        Curve("measures", "collapse, update, N = 2,048, K = 10", "d", 2, powers(32, 1024)),
        lambda d: update(2048, 10, d),
    )
    yield Curve("measures", "collapse, compute, d = 64", "K", 2, powers(64, 4096)), lambda k: compute(k, 64)
    yield Curve("measures", "collapse, compute, K = 16", "d", 3, powers(32, 512)), lambda d: compute(16, d)
    yield (
        Curve("measures", "balanced accuracy", "N", 1, powers(4096, 262_144, 4)),
        lambda n: scores(n, lambda p, y: balanced_accuracy(per_class_accuracy(p.argmax(1), y, 10))),
    )
    yield (
        Curve("measures", "calibration error", "N", 1, powers(4096, 262_144, 4)),
        lambda n: scores(n, lambda p, y: expected_calibration_error(p.amax(1), p.argmax(1) == y)),
    )


def loading_curves(folder: Path) -> Iterator[tuple[Curve, Make]]:
    """Parquet files, and folders of small images that are decoded into memory."""
    import pyarrow as pa
    from pyarrow import parquet

    def rows(n: int) -> Work:
        values = np.random.default_rng(0).standard_normal((n, 20)).astype(np.float32)
        columns = {f"x{i}": values[:, i] for i in range(20)} | {"label": labels(n, 10).numpy()}
        path = folder / f"{n}.parquet"
        parquet.write_table(pa.table(columns), path)
        return lambda: load_dataset(path)

    def images(n: int) -> Work:
        place = folder / f"images{n}"
        write_images(place, n)
        return lambda: load_dataset(place, size=16)

    yield Curve("loading", "parquet, 20 columns", "N", 1, powers(2000, 128_000, 4)), rows
    yield Curve("loading", "folder of images, 16 x 16", "N", 1, powers(100, 1600)), images


def write_images(folder: Path, n: int, size: int = 16, kind: str = "png") -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (min(n, 1000), size, size, 3), dtype=np.uint8)
    for c in range(10):
        (folder / f"class{c}").mkdir(parents=True, exist_ok=True)
    encoded = folder / "class0" / f"0.{kind}"
    for i in range(n):
        path = folder / f"class{i % 10}" / f"{i}.{kind}"
        if i < len(pixels):
            Image.fromarray(pixels[i]).save(path)
        else:  # the same images once more: what is measured decodes each by itself
            path.write_bytes((folder / f"class{i % len(pixels) % 10}" / f"{i % len(pixels)}.{kind}").read_bytes())
    assert encoded.exists()


def classifier(backbone: str, shape: tuple[int, ...], kind: str) -> Classifier:
    task = build_task(get_method("etf-la"), backbone, shape, 10, seed=0)
    channels = shape[0]
    names = tuple(f"class {c}" for c in range(10))
    info = ModelInfo("etf-la", backbone, shape, names, (50,) * 10, (0.5,) * channels, (0.25,) * channels, kind=kind)
    return Classifier(task, info)


def side_by_side(works: dict[str, Work], rounds: int) -> dict[str, float]:
    """Median processor seconds of each, in turns."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name, work in works.items():
            start = time.process_time()
            work()
            if number:
                times[name].append(time.process_time() - start)
    return {name: statistics.median(found) for name, found in times.items()}


@torch.no_grad()
def predict(folder: Path) -> Iterator[tuple[Curve, dict[str, Any]]]:
    """Rows a second of ``predict_files`` over the bare network's, arrays in a file and in memory."""
    for name, backbone, shape, kind, sizes in (
        ("ResNet-8, 16 x 16", "resnet8", (3, 16, 16), "image", powers(128, 1024)),
        ("MLP, 64 columns", "mlp", (64,), "table", powers(1024, 65_536, 4)),
    ):
        model = classifier(backbone, shape, kind)
        curve = Curve("predict", f"predict, {name}", "N", 1, sizes)
        ratio = 0.0
        for n in sizes:
            if kind == "image":
                x = torch.randint(0, 256, (n, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
                array = x.permute(0, 2, 3, 1).numpy()
            else:
                x = drawn(n, *shape)
                array = x.numpy()
            path = folder / f"{backbone}{n}.npz"
            np.savez(path, x=array)

            def ours(path: Path = path, model: Classifier = model) -> None:
                for _ in predict_files(model, read_inputs(list_inputs([path], model.info.reads), model.info)):
                    pass

            def bare(x: Tensor = x, model: Classifier = model) -> None:
                for part in x.split(256):
                    model.head(model.backbone(model.standardize(part))).softmax(1).argmax(1)

            found = side_by_side({"ours": ours, "bare": bare}, 5)
            curve.seconds.append(found["ours"])
            ratio = found["bare"] / found["ours"]
        yield (
            curve,
            {"rows": sizes[-1], "bare network / predict": ratio, "rows_per_second": sizes[-1] / curve.seconds[-1]},
        )


def first_step(folder: Path, kind: str, n: int = 20_000, size: int = 32, batch: int = 128) -> dict[str, Any]:
    """Processor seconds from a folder's name to the end of the first step, and of what that cannot do without."""
    place = folder / f"many-{kind}"
    write_images(place, n, size, kind)
    decoded = 0

    def ours() -> None:
        nonlocal decoded
        data = load_dataset(place, size=size, memory="stream")
        train_x: Any = data.train_x
        task = build_task(get_method("linear-ce"), "resnet8", tuple(train_x.shape[1:]), 10, seed=0)

        class Enough(Exception):  # noqa: N818  # no error
            pass

        def stop(_: Training) -> None:
            raise Enough

        training = Training(
            task, train_x, data.train_y, Budget(epochs=1, batch_size=batch), seed=0,
            prepare=lambda x: (x.float() / 255 - 0.5) / 0.25,
        )  # fmt: skip
        try:
            training.run(on_step=stop)
        except Enough:
            decoded = batch

    def least() -> None:
        files = [(entry.path, c) for c in sorted(os.listdir(place)) for entry in os.scandir(place / c)]
        files.sort()
        chosen = torch.randperm(len(files))[:batch].tolist()
        pixels = np.stack([np.asarray(Image.open(files[i][0]).convert("RGB").resize((size, size))) for i in chosen])
        x, y = torch.from_numpy(pixels).permute(0, 3, 1, 2), labels(batch, 10)
        task = build_task(get_method("linear-ce"), "resnet8", (3, size, size), 10, seed=0)
        network = torch.nn.Sequential(task.backbone, task.head)
        F.cross_entropy(network((x.float() / 255 - 0.5) / 0.25), y).backward()

    found = side_by_side({"ours": ours, "least": least}, 3)
    return {"images": n, "decoded": decoded, "seconds": found, "ratio": found["ours"] / found["least"]}


def draw(found: Sequence[Curve], path: Path) -> None:
    """All curves in log-log axes, a panel for each group."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    groups = list(dict.fromkeys(curve.group for curve in found))
    rows = (len(groups) + 1) // 2
    figure, axes = pyplot.subplots(rows, 2, figsize=(11, 3.6 * rows), layout="constrained", squeeze=False)
    for axis, group in zip(axes.flat, groups, strict=False):
        for curve in (curve for curve in found if curve.group == group):
            label = f"{curve.work}; {curve.over}: {curve.slope:.2f}"
            axis.loglog(curve.sizes, [1e3 * s for s in curve.seconds], marker=".", label=label)
        axis.set(title=group, xlabel="size", ylabel="ms")
        axis.legend(fontsize=6)
    for axis in axes.flat[len(groups) :]:
        axis.set_axis_off()
    path.parent.mkdir(parents=True, exist_ok=True)
    pyplot.rcParams["svg.hashsalt"] = "equiangular"
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=HERE / "results" / "scaling.json")
    parser.add_argument("--figure", type=Path, default=HERE.parent / "docs" / "figures" / "scaling.svg")
    parser.add_argument(
        "--only", nargs="*", help="groups: frames, codes, heads, losses, measures, loading, predict, step"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_memory()
    told: dict[str, Any] = {"curves": [], "predict": {}, "first_step": None}
    if options.only and options.output.exists():  # what is not asked for stays as it was measured
        told = read_json(options.output)
        told["curves"] = [curve for curve in told["curves"] if curve["group"] not in options.only]
    told["provenance"] = provenance()

    def keep(curve: Curve) -> None:
        told["curves"].append(asdict(curve) | {"slope": curve.slope, "steeper": curve.steeper})
        mark = "  steeper than expected" if curve.steeper else ""
        times = f"{1e3 * curve.seconds[0]:9.2f} to {1e3 * curve.seconds[-1]:9.2f} ms"
        print(f"{curve.group:<9}{curve.work:<42}{curve.over:<6}{times}  slope {curve.slope:5.2f}{mark}", flush=True)
        write_json(options.output, told)

    def asked(group: str) -> bool:
        return not options.only or group in options.only

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for source in (curves(), loading_curves(folder)):
            for curve, make in source:
                if asked(curve.group):
                    curve.seconds = [seconds_of(make(size)) for size in curve.sizes]
                    keep(curve)
        if asked("predict"):
            for curve, beside in predict(folder):
                told["predict"][curve.work] = beside
                keep(curve)
                print(f"         {beside}")
        if asked("step"):
            told["first_step"] = {**first_step(folder, "png"), "jpg": first_step(folder, "jpg")}
            print(f"first step: {told['first_step']}")
    write_json(options.output, told)
    found = [Curve(**{k: v for k, v in curve.items() if k not in ("slope", "steeper")}) for curve in told["curves"]]
    draw(found, options.figure)
    print(f"wrote {options.output} and {options.figure}")


if __name__ == "__main__":
    main()

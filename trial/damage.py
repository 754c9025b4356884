"""Every kind of file of this library with flipped bits and cut short: read as it was written, or refused."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from equiangular import simplex_etf
from equiangular._files import read_json, read_safetensors
from equiangular.closed_form import ClosedForm, load_closed_form, save_closed_form
from equiangular.compare import compare, configure
from equiangular.data import load_dataset, write_vectors
from equiangular.encoders.cache import ChunkStore
from equiangular.frames.io import cached_frame, load_frame, save_frame
from equiangular.longtail import SubsetManifest
from equiangular.training import TrainConfig, load_model, train
from equiangular.training.run.checkpoint import read_checkpoint
from equiangular.training.run.folder import RunFolder
from trial.record import Record

Reader = Callable[[Path], Any]


def damage(record: Record, work: Path, *, flips: int = 1000, cuts: int = 200) -> None:
    """Run the part.

    Args:
        record: where the outcomes go.
        work: folder for the files.
        flips: random bits of each kind of file.
        cuts: random lengths of each kind of file.
    """
    shutil.rmtree(work / "files", ignore_errors=True)
    (work / "files").mkdir(parents=True)
    for kind, path, read in kinds(work / "files"):
        content, expected = path.read_bytes(), plain(read(path))
        chance = random.Random(kind)
        for number in range(flips):
            place = chance.randrange(8 * len(content))
            changed = bytearray(content)
            changed[place // 8] ^= 1 << place % 8
            record.case(f"flips, {kind}", f"{number}: bit {place}", _seen, path, read, bytes(changed), expected)
        for number in range(cuts):
            length = chance.randrange(len(content))
            record.case(f"cuts, {kind}", f"{number}: {length}", _seen, path, read, content[:length], expected)
        path.write_bytes(content)


def _seen(path: Path, read: Reader, content: bytes, expected: Any) -> str:
    path.write_bytes(content)
    try:
        found = plain(read(path))
    except ValueError as error:
        return "good: refused" if str(path.name) in str(error) else f"refused without its name: {error}"
    if isinstance(expected, dict) and isinstance(found, dict):  # the name of the hash may have been hit
        found = {key: value for key, value in found.items() if key in expected}
    return "good: reads as it was written" if found == expected else "reads as something else"


def plain(value: Any) -> Any:
    """What two readings are compared by."""
    if isinstance(value, torch.Tensor):
        return value.dtype, tuple(value.shape), value.contiguous().numpy().tobytes()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def kinds(folder: Path) -> Iterator[tuple[str, Path, Reader]]:
    """A name, a file and its reader for each kind of file that is read again; the file is made."""
    run = folder / "run"
    train(TrainConfig(data="iris", method="linear-ce", epochs=1, accelerator="cpu"), run)
    yield "model", run / "model" / "model.safetensors", lambda p: load_model(p)[0].state_dict()
    yield "checkpoint", run / "checkpoint" / "state.safetensors", read_checkpoint
    # Where its data lie may be changed by hand; what they hold is in another file.
    yield "config.yaml", run / "config.yaml", lambda _: {**RunFolder(run).read_config().decisive(), "data": None}
    yield "provenance.json", run / "provenance.json", lambda _: RunFolder(run).read_provenance()
    yield "manifest.json", run / "manifest.json", lambda p: SubsetManifest.load(p).sha256
    yield "results.json", run / "results.json", lambda _: RunFolder(run).read_results()
    compare(configure("iris", methods=("linear-ce", "etf-ce"), epochs=1, seeds=2, tune="none"), folder / "comparison")
    yield "stored trial", next((folder / "comparison" / "trials").iterdir()), read_json
    yield "data.json of a comparison", folder / "comparison" / "data.json", read_json
    model = ClosedForm(4, 3).update(
        torch.randn(30, 4, generator=torch.Generator().manual_seed(0)), torch.arange(30) % 3
    )
    path = save_closed_form(folder / "closed.safetensors", model, metadata={"names": ["a"]})
    yield "closed form", path, lambda p: [load_closed_form(p)[0].seen.mean, load_closed_form(p)[1]]
    yield "frame, safetensors", save_frame(folder / "f.safetensors", simplex_etf(8)), load_frame
    yield "frame, npy with metadata", save_frame(folder / "f.npy", simplex_etf(8), metadata={"a": "b"}), load_frame
    cached_frame({"k": 8}, lambda: simplex_etf(8), cache=folder / "frames")
    path = next((folder / "frames").iterdir())
    yield "cached frame", path, lambda p: _of_cache(p)
    store = ChunkStore({"content": "a"}, folder / "chunks")
    store.write(0, torch.arange(12.0).view(3, 4), {"error": 0.0})
    assert store.folder is not None
    yield "embedded features", store.folder / "000000.safetensors", lambda p: _chunk(p)
    arrays = {"X": np.random.default_rng(0).normal(size=(40, 3)).astype("f4"), "y": np.arange(40) % 2}
    np.savez(folder / "v.npz", **arrays)
    path = write_vectors(load_dataset(folder / "v.npz"), folder / "vectors.safetensors")
    yield "vectors", path, lambda p: read_safetensors(p, remedy="")[0]


def _of_cache(path: Path) -> Any:
    """The frame of a cache, not built anew."""
    import warnings

    def build() -> Any:
        raise ValueError(f"{path.name} is not taken")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return cached_frame({"k": 8}, build, cache=path.parent)


def _chunk(path: Path) -> Any:
    store = ChunkStore({"content": "a"}, path.parents[1])
    if (found := store.read(0, (3, 4))) is None:
        raise ValueError(store.notes[0])
    return [*found]

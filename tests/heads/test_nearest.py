"""The nearest class vectors against plain matrix products."""

import sys

import pytest
import torch

from equiangular.heads import CosineHead, ETFHead, ImplicitHead, PrototypeIndex, nearest_prototypes


def draw(rows: int, dim: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def expected(features: torch.Tensor, weight: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    unit, rows = (torch.nn.functional.normalize(v, dim=1) for v in (features, weight))
    return (unit @ rows.T).topk(k, dim=1)


@pytest.mark.parametrize("k", [1, 3, 40])
@pytest.mark.parametrize("chunk_size", [1, 7, 40, 1000])
def test_chunks(k: int, chunk_size: int) -> None:
    features, weight = draw(6, 5), draw(40, 5, seed=1)
    cosines, classes = nearest_prototypes(features, weight, k=k, chunk_size=chunk_size)
    values, ids = expected(features, weight, k)
    torch.testing.assert_close(cosines, values)
    assert torch.equal(classes, ids)


@pytest.mark.parametrize(
    "head",
    [
        ETFHead(16, 10, dtype=torch.float64),
        CosineHead(16, 10, dtype=torch.float64),
        ImplicitHead(16, 200, construction="random", dtype=torch.float64),
        ImplicitHead(16, 200, construction="quadratic", seed=4, dtype=torch.float64),
    ],
    ids=["etf", "cosine", "random", "quadratic"],
)
def test_heads(head) -> None:
    x = draw(8, 16)
    h = head(x, pre_logits=True)
    cosines, classes = nearest_prototypes(h, head, k=3, chunk_size=64)
    values, ids = expected(h, head.class_vectors().detach(), 3)
    torch.testing.assert_close(cosines, values)
    weight = head.class_vectors().detach()
    torch.testing.assert_close((h[:, None] * weight[classes]).sum(-1), values)  # ties may be told apart either way
    if "quadratic" not in repr(head):
        assert torch.equal(classes, ids)
    assert torch.equal(head(x).topk(1, dim=1).indices, classes[:, :1]) or "quadratic" in repr(head)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of FAISS's own import
@pytest.mark.parametrize("index", ["Flat", "IVF16,Flat", "IVF16,SQ8", "HNSW16"])
def test_faiss(index: str) -> None:
    pytest.importorskip("faiss")
    head = ImplicitHead(16, 3000, construction="random", chunk_size=512)
    ids = torch.arange(0, 3000, 101)
    x = head.rows(ids) + 0.05 * draw(len(ids), 16).float()
    searcher = PrototypeIndex(head, index=index, probes=16, chunk_size=700)
    assert searcher.kind == index
    cosines, classes = searcher.search(x, k=2)
    exact, nearest = nearest_prototypes(x, head, k=2)
    assert (classes[:, 0] == nearest[:, 0]).float().mean() > 0.9
    same = classes == nearest
    torch.testing.assert_close(cosines[same], exact[same])
    if index in ("Flat", "IVF16,Flat"):  # all cells are looked into
        assert same.all()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_auto_is_an_inverted_file_where_there_are_many() -> None:
    pytest.importorskip("faiss")
    head = ImplicitHead(8, 10_000, construction="random")
    index = PrototypeIndex(head)
    assert index.kind == "IVF400,Flat"
    ids = torch.arange(0, 10_000, 37)
    assert torch.equal(index.search(head.rows(ids))[1][:, 0], ids)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_fewer_found_than_asked_for() -> None:
    pytest.importorskip("faiss")
    weight = torch.eye(16).repeat_interleave(3, 0) + 0.01 * draw(48, 16).float()
    cosines, classes = PrototypeIndex(weight, index="IVF16,Flat", probes=1).search(torch.eye(16), k=40)
    assert ((classes == -1) == torch.isneginf(cosines)).all()


def test_auto_takes_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    small = PrototypeIndex(draw(20, 4))
    assert small.kind == "chunks"
    assert PrototypeIndex(ImplicitHead(128, 10_000_000)).kind == "chunks"  # 5 GB
    monkeypatch.setitem(sys.modules, "faiss", None)
    monkeypatch.setattr("equiangular.heads.nearest.find_spec", lambda name: None)
    large = PrototypeIndex(ImplicitHead(8, 20_000))
    assert large.kind == "chunks"
    x = draw(2, 8).float()
    assert torch.equal(large.search(x)[1], nearest_prototypes(x, ImplicitHead(8, 20_000))[1])
    with pytest.raises(ImportError, match=r"pip install 'equiangular\[faiss\]'"):
        PrototypeIndex(draw(20, 4), index="Flat")


@pytest.mark.parametrize(
    ("features", "options", "message"),
    [
        (draw(2, 4), {}, r"features must have width 5, got shape \(2, 4\)"),
        (draw(2, 5), {"k": 0}, "k must be an integer >= 1"),
        (draw(2, 5), {"k": 41}, "k must be at most the number of classes, 40, got 41"),
        (draw(2, 5), {"chunk_size": 0}, "chunk_size must be an integer >= 1"),
        (draw(2, 5) * float("nan"), {}, "features has NaN"),
    ],
)
def test_bad_input(features: torch.Tensor, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nearest_prototypes(features, draw(40, 5), **options)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_bad_index() -> None:
    pytest.importorskip("faiss")
    with pytest.raises(ValueError, match=r"FAISS has no index 'Flatt': .*Try 'Flat' or 'IVF1024,Flat'"):
        PrototypeIndex(draw(40, 5), index="Flatt")
    with pytest.raises(ValueError, match="k must be at most the number of classes, 40, got 41"):
        PrototypeIndex(draw(40, 5), index="Flat").search(draw(1, 5), k=41)

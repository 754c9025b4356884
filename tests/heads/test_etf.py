"""What an ETFHead takes beside a simplex: the best class vectors for any size, a file; and what features can reach."""

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from equiangular import simplex_etf, spread_frame
from equiangular.frames import BASES, nonnegative_orthogonal_frame, reachable_cosine, save_frame
from equiangular.heads import ETFHead, attach, find_head


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQUIANGULAR_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("num_classes", "dim", "cosine"), [(5, 4, -1 / 4), (5, 8, -1 / 4), (8, 4, 0.0), (24, 4, 0.5), (9, 2, 0.7660444431)]
)
def test_best_basis_at_any_size(num_classes: int, dim: int, cosine: float) -> None:
    head = ETFHead(dim, num_classes, basis="spread", seed=3, dtype=torch.float64)
    weight = head.weight
    assert float((weight @ weight.T).fill_diagonal_(-1).max()) == pytest.approx(cosine, abs=1e-9)
    assert torch.equal(weight, spread_frame(num_classes, dim, seed=3, dtype=torch.float64))
    assert "basis='spread'" in repr(head)
    other = ETFHead(dim, num_classes, basis="spread", seed=4, dtype=torch.float64)
    assert not torch.allclose(other.weight, weight, atol=1e-3)
    other.load_state_dict(head.state_dict())
    assert torch.equal(other.weight, weight)


def test_best_basis_is_drawn_anew_by_reset_and_fits_a_projection() -> None:
    head = ETFHead(4, 5, basis="spread")
    head.reset(8)
    assert torch.equal(head.weight, spread_frame(8, 4))
    assert ETFHead(10, 8, basis="spread", projection="linear", dim=4)(torch.randn(3, 10)).shape == (3, 8)
    model = attach(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 10)), basis="spread")  # ten: a known code, no search
    assert find_head(model).weight.shape == (10, 4)


@pytest.mark.parametrize("basis", BASES)
def test_the_vectors_are_those_of_the_basis(basis: str) -> None:
    assert torch.equal(ETFHead(8, 5, basis=basis, seed=3).weight, simplex_etf(5, 8, basis=basis, seed=3))


@pytest.mark.parametrize("suffix", [".npy", ".safetensors"])
def test_prototypes_from_a_file(tmp_path: Path, suffix: str) -> None:
    weight = spread_frame(8, 4)
    path = save_frame(tmp_path / f"frame{suffix}", weight)
    assert torch.equal(ETFHead(4, 8, prototypes=path).weight, weight)
    assert torch.equal(ETFHead(4, 8, prototypes=str(path)).weight, weight)
    with pytest.raises(ValueError, match=r"prototypes must have shape \(K, d\) = \(9, 4\), got \(8, 4\)"):
        ETFHead(4, 9, prototypes=path)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ValueError, match="is not a readable"):
        ETFHead(4, 8, prototypes=path)
    with pytest.raises(ValueError, match="does not exist"):
        ETFHead(4, 8, prototypes=tmp_path / f"none{suffix}")


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((4, 8), {"basis": "spraed"}, "basis must be one of .*'spread', got 'spraed'; did you mean 'spread'"),
        ((4, 8), {}, r'K=8 .* d=4. Pass projection="linear".*basis="spread".*spread_frame\(8, 4\)'),
        ((1, 3), {"basis": "spread"}, "one dimension has two unit vectors"),
    ],
)
def test_bad_input(arguments: tuple[int, int], options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ETFHead(*arguments, **options)


def after_relu(rows: int = 6, dim: int = 12) -> torch.Tensor:
    return torch.randn(rows, dim, generator=torch.Generator().manual_seed(0)).relu()


def test_features_after_a_relu_are_reported_once() -> None:
    head = ETFHead(12, 10)
    far = int((reachable_cosine(head.weight) < 0.9).sum())
    assert far > 5
    with pytest.warns(UserWarning, match=f"no negative entry .*cannot point at {far} of the 10 class") as caught:
        head(after_relu())
    assert len(caught) == 1
    head(after_relu())  # a second warning would be an error here
    copy.deepcopy(head)(after_relu())


@pytest.mark.parametrize(
    "head",
    [
        ETFHead(12, 10).eval(),
        ETFHead(12, 10, norm="batch"),
        ETFHead(12, 10, projection="linear"),
        ETFHead(12, 10, basis="canonical"),
        ETFHead(12, 10, prototypes=nonnegative_orthogonal_frame(10, 12)),
        ETFHead(12, 0),
    ],
    ids=["eval", "batch", "projection", "canonical", "nonnegative", "no classes"],
)
def test_no_warning_where_there_is_no_reason(head: ETFHead) -> None:
    head(after_relu())


def test_no_warning_for_features_of_either_sign_or_zero_features() -> None:
    ETFHead(12, 10)(after_relu() - 0.1)
    ETFHead(12, 10)(torch.zeros(3, 12))


def test_a_small_batch_may_have_one_sign_by_chance() -> None:
    head = ETFHead(12, 10)
    head(after_relu(1))
    with pytest.warns(UserWarning, match="no negative entry"):
        head(after_relu(6))


def test_the_check_takes_batches_of_any_rank_and_leaves_meta_tensors_alone() -> None:
    head = ETFHead(12, 10)
    with pytest.warns(UserWarning, match="no negative entry"):
        head(after_relu(6).reshape(2, 3, 12))
    assert ETFHead(12, 10).to("meta")(torch.empty(3, 12, device="meta")).shape == (3, 10)

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equiangular.frames import class_mean_frame, is_simplex_etf
from equiangular.frames.similarity import hierarchy_frame, hierarchy_gram

MEANS = torch.randn(6, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 3.0


def cosines_of(means: torch.Tensor) -> np.ndarray:
    rows = means.numpy() - means.numpy().mean(0)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return rows @ rows.T


@pytest.mark.parametrize("dim", [6, 9, 64])
@pytest.mark.parametrize("similarity", [1.0, 0.5, 0.0])
def test_cosines_are_those_of_the_means_mixed_with_the_etf(dim: int, similarity: float) -> None:
    frame = class_mean_frame(MEANS, dim, similarity=similarity, dtype=torch.float64)
    etf = np.full((6, 6), -0.2) + 1.2 * np.eye(6)
    expected = (1 - similarity) * etf + similarity * cosines_of(MEANS)
    np.testing.assert_allclose((frame @ frame.T).numpy(), expected, atol=1e-12)
    assert frame.shape == (6, dim)
    assert is_simplex_etf(frame) == (similarity == 0)


def test_scale_and_offset_of_the_inputs_do_not_matter() -> None:
    first, second = (class_mean_frame(m, 8, dtype=torch.float64) for m in (MEANS, 7 * MEANS - 100))
    torch.testing.assert_close(first @ first.T, second @ second.T)


def test_fewer_dimensions_keep_the_largest_eigenvalues() -> None:
    frame = class_mean_frame(MEANS, 3, dtype=torch.float64)
    left, values, _ = np.linalg.svd(cosines_of(MEANS))
    expected = left[:, :3] * np.sqrt(values[:3])
    expected = expected / np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose((frame @ frame.T).numpy(), expected @ expected.T, atol=1e-10)


def test_seed_dtype_and_default_device() -> None:
    first, again, other = (class_mean_frame(MEANS, 8, seed=s) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=0.1)
    assert first.dtype == torch.float32
    state = torch.get_rng_state()
    with torch.device("meta"):
        assert class_mean_frame(MEANS, 8).device.type == "cpu"  # where the means are
        assert class_mean_frame(MEANS, 8, device="meta").is_meta
    assert torch.equal(torch.get_rng_state(), state)
    assert class_mean_frame(MEANS.float(), 8).dtype == torch.float32


@pytest.mark.parametrize(
    ("means", "options", "message"),
    [
        (MEANS, {"similarity": 1.5}, r"similarity must lie in \[0, 1\], got 1.5"),
        (MEANS, {"similarity": True}, "similarity must lie"),
        (MEANS[:1], {}, "2"),
        (MEANS * float("nan"), {}, "means has NaN"),
        (torch.tensor([[1.0, 0.0], [3.0, 0.0], [2.0, 0.0]]), {}, "mean of class 2 is the mean of all"),
        (torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), {}, "classes 0 and 1 would have the same vector"),
        (MEANS, {"dim": 0}, "dim must be an integer >= 1"),
    ],
)
def test_bad_input(means: torch.Tensor, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        class_mean_frame(means, **{"dim": 8, **options})


def test_classes_that_coincide_are_kept_apart_by_less_similarity() -> None:
    frame = class_mean_frame(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), 4, similarity=0.9)
    assert float(frame[0] @ frame[1]) < 0.95


CLASSES = ["cat", "dog", "car", "lorry", "rose"]
PARENTS = {
    "cat": "animal",
    "dog": "animal",
    "car": "machine",
    "lorry": "machine",
    "animal": "alive",
    "rose": "alive",
    "alive": "thing",
    "machine": "thing",
}


@st.composite
def trees(draw: st.DrawFn) -> tuple[list[int], dict[int, int]]:
    """A random tree on 0 ... n-1 with root 0, and its leaves."""
    parent = {child: draw(st.integers(0, child - 1)) for child in range(1, draw(st.integers(4, 25)))}
    leaves = [node for node in parent if node not in parent.values()]
    return leaves, parent


def common_depth(a: int, b: int, parents: dict) -> int:
    def ancestors(node: object) -> list[object]:
        return [node, *ancestors(parents[node])] if node in parents else [node]

    shared = [node for node in ancestors(a) if node in ancestors(b)]
    return len(ancestors(shared[0])) - 1


@settings(deadline=None)
@given(tree=trees())
def test_default_gram_is_positive_centred_and_ordered(tree: tuple[list[int], dict[int, int]]) -> None:
    leaves, parents = tree
    if len(leaves) < 2:
        return
    gram = hierarchy_gram(leaves, parents)
    values = torch.linalg.eigvalsh(gram)
    assert values[0] > -1e-10
    assert int((values > 1e-8).sum()) <= len(leaves) - 1
    assert torch.allclose(gram.diagonal(), torch.ones(len(leaves), dtype=torch.float64))


def test_cosines_by_common_ancestor() -> None:
    cosines = [-0.1, 0.2, 0.6]
    gram = hierarchy_gram(CLASSES, PARENTS, cosines=cosines)
    for i, a in enumerate(CLASSES):
        for j, b in enumerate(CLASSES):
            expected = 1 if i == j else cosines[common_depth(a, b, PARENTS)]
            assert gram[i, j] == expected
    assert gram[0, 1] == 0.6
    assert gram[0, 4] == 0.2
    assert gram[0, 2] == -0.1


def test_impossible_cosines_become_the_nearest_possible() -> None:
    gram = hierarchy_gram(CLASSES, PARENTS, cosines=[-1, -0.5, 0.9])
    assert torch.linalg.eigvalsh(gram)[0] > -1e-12
    assert gram[0, 1] > gram[0, 2]


def test_closer_ancestors_mean_larger_cosines() -> None:
    gram = hierarchy_gram(CLASSES, PARENTS)
    assert gram[0, 1] > gram[0, 4] > gram[0, 2]
    assert gram[2, 3] > 0 > gram[2, 4]


@pytest.mark.parametrize("num_classes", [2, 5, 30])
def test_flat_tree_is_the_simplex(num_classes: int) -> None:
    names = [f"class {i}" for i in range(num_classes)]
    weight = hierarchy_frame(names, num_classes - 1, parents=dict.fromkeys(names, "root"), dtype=torch.float64)
    assert is_simplex_etf(weight, atol=1e-9)


def test_superclasses_are_a_tree_of_two_levels() -> None:
    superclasses = ["a", "a", "b", "b", "b"]
    tree = dict(zip(CLASSES, superclasses, strict=True)) | {"a": "root", "b": "root"}
    for follow in (hierarchy_gram, hierarchy_frame):
        assert torch.equal(follow(CLASSES, superclasses=superclasses), follow(CLASSES, parents=tree))


def test_frame_has_the_gram_matrix_in_any_orientation() -> None:
    gram = hierarchy_gram(CLASSES, PARENTS)
    for seed in (0, 1):
        weight = hierarchy_frame(CLASSES, 16, parents=PARENTS, seed=seed, dtype=torch.float64)
        assert weight.shape == (5, 16)
        assert torch.allclose(weight @ weight.T, gram, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": ["a", "b"]}, "either as parents or as superclasses"),
        ({"classes": ["a", "b"], "parents": {}, "superclasses": [0, 0]}, "either as parents or as superclasses"),
        ({"classes": ["a", "a"], "superclasses": [0, 0]}, "distinct, got 'a' more than once"),
        ({"classes": ["a"], "superclasses": [0]}, "num_classes must be an integer >= 2"),
        ({"classes": ["a", "b"], "superclasses": [0]}, "superclasses has 1 entries for 2 classes"),
        ({"classes": ["a", "b"], "parents": {"a": "r"}}, "class 'b' has no parent"),
        ({"classes": ["a", "b"], "parents": {"a": "r", "b": "s"}}, "share one root, got r, s"),
        ({"classes": ["a", "b"], "parents": {"a": "b", "b": "a"}}, "cycle: a -> b -> a"),
        ({"classes": ["a", "b"], "parents": {"a": "b", "b": "r"}}, "'b' is the ancestor of another class"),
        ({"classes": ["a", "b"], "superclasses": [0, 0], "cosines": [0.1]}, "reach depth 1, got 1 cosines. Give 2"),
        ({"classes": ["a", "b"], "superclasses": [0, 1], "cosines": [2.0]}, r"cosines lie in \[-1, 1\]"),
    ],
)
def test_bad_hierarchies(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        hierarchy_gram(**arguments)


def test_too_few_dimensions() -> None:
    with pytest.raises(ValueError, match="rank 4, got dim=3"):
        hierarchy_frame(CLASSES, 3, parents=PARENTS)

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equiangular.frames.checks import is_simplex_etf
from equiangular.frames.similarity import hierarchy_frame, hierarchy_gram

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
    assert torch.equal(hierarchy_gram(CLASSES, superclasses=superclasses), hierarchy_gram(CLASSES, tree))


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

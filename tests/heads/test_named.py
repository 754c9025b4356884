"""Class vectors that are given: what they do before training, with it, and how they are made from texts."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from equiangular import NamedHead, attach, class_text_vectors, find_head, logit_adjusted_cross_entropy, make_head
from equiangular.heads.registry import build_described, describe_head

K, D = 5, 8


def vectors(seed: int = 0) -> Tensor:
    return 3 * torch.randn(K, D, generator=torch.Generator().manual_seed(seed))


def samples(count: int = 40, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Samples around directions that are not the names', K - 1 of the classes only."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % (K - 1)
    return vectors(7)[labels] + torch.randn(count, D, generator=generator), labels


def fitted(head: NamedHead, steps: int = 200, weight_decay: float = 0.0) -> NamedHead:
    x, y = samples()
    optimizer = torch.optim.AdamW(head.parameters(), lr=0.05, weight_decay=weight_decay)
    for _ in range(steps):
        optimizer.zero_grad()
        logits = head(x)[:, : K - 1]
        logit_adjusted_cross_entropy(logits, y, torch.bincount(y)).backward()
        optimizer.step()
    return head


@pytest.mark.parametrize("learn", [False, True])
def test_untrained_it_is_the_cosine_to_the_names(learn: bool) -> None:
    v = vectors().double()
    head = NamedHead(D, K, class_vectors=v, learn_vectors=learn, scale=5.0, dtype=torch.float64)
    x = samples()[0].double()
    torch.testing.assert_close(head(x), 5 * nn.functional.cosine_similarity(x[:, None], v, dim=2))
    torch.testing.assert_close(head.class_vectors().norm(dim=1), torch.ones(K, dtype=torch.float64))


def test_what_is_learned() -> None:
    fixed = NamedHead(D, K, class_vectors=vectors())
    assert (fixed.kind, fixed.head_parameters()) == ("mapped", D * D + D)
    assert NamedHead(D, K, class_vectors=vectors(), projection=None).kind == "fixed"
    learned = NamedHead(D, K, class_vectors=vectors(), learn_vectors=True)
    assert (learned.kind, learned.head_parameters()) == ("learned", D * D + D + K * D)
    before = copy.deepcopy(fixed.weight), learned.weight.detach().clone()
    assert torch.equal(fitted(fixed).weight, before[0])
    assert not torch.equal(fitted(learned).weight, before[1])


@pytest.mark.parametrize("learn", [False, True])
def test_training_leads_features_to_their_names(learn: bool) -> None:
    x, y = samples()
    head = NamedHead(D, K, class_vectors=vectors(), learn_vectors=learn)
    before = float((head(x).argmax(1) == y).double().mean())
    after = float((fitted(head)(x)[:, : K - 1].argmax(1) == y).double().mean())
    assert before < 0.6 < 0.95 < after


def test_weight_decay_pulls_the_map_to_the_identity() -> None:
    far, near = (fitted(NamedHead(D, K, class_vectors=vectors()), weight_decay=w) for w in (0.0, 10.0))
    assert near.projection.weight.norm() < 0.5 * far.projection.weight.norm()
    near.projection.reset_parameters()
    x = samples()[0]
    assert torch.equal(near.projection(x), x)


def test_other_maps_reach_vectors_of_another_width() -> None:
    wide = torch.eye(K, 12)
    assert NamedHead(D, K, class_vectors=wide, projection="linear").weight.shape == (K, 12)
    with pytest.raises(ValueError, match=r"\(K, d\) = \(5, 8\), got \(5, 12\). Make them with the encoder"):
        NamedHead(D, K, class_vectors=wide)


def test_described_and_built_again() -> None:
    head = fitted(NamedHead(D, K, class_vectors=vectors(), learn_vectors=True, norm="batch"), 2).eval()
    described = describe_head(head)
    assert described["kind"] == "named"
    again = build_described(described, D, K, head.state_dict())
    again.load_state_dict(head.state_dict())
    x = samples()[0]
    assert torch.equal(again.eval()(x), head(x))


def test_it_is_attached_by_name() -> None:
    model = attach(nn.Sequential(nn.Linear(3, D), nn.Linear(D, K)), head="named", class_vectors=vectors())
    assert (find_head(model).kind, model(torch.randn(2, 3)).shape) == ("mapped", (2, K))
    assert make_head("named", D, K, class_vectors=vectors()).projection_kind == "residual"
    with pytest.raises(ValueError, match="the head 'named' needs class_vectors="):
        attach(nn.Sequential(nn.Linear(3, K)), head="named")


def test_other_classes_need_other_names() -> None:
    head = NamedHead(D, K, class_vectors=vectors())
    with pytest.raises(ValueError, match="make a new head with their class_vectors"):
        head.reset(3)
    assert head(samples()[0]).shape == (40, K)
    head.reset(0)
    assert head(samples()[0]).shape == (40, D)


@pytest.mark.parametrize(
    ("bad", "match"),
    [
        (torch.zeros(K, D), "class_vectors has a zero-norm row"),
        (torch.full((K, D), torch.nan), "class_vectors has NaN"),
        (torch.ones(K - 1, D), r"got \(4, 8\)"),
        ([[1.0]], "class_vectors must be a torch.Tensor"),
    ],
)
def test_bad_vectors_are_named(bad: object, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        NamedHead(D, K, class_vectors=bad)


def letters(texts: list[str]) -> list[list[float]]:
    """An encoder: how often each of five characters comes."""
    return [[float(text.count(c)) for c in "abc _"] for text in texts]


def test_texts_are_averaged_as_unit_vectors() -> None:
    found = class_text_vectors(["a_b", ["aaab", "c"]], letters, templates=["{}", "b {}"])
    assert found.dtype == torch.float32

    def mean(*texts: str) -> Tensor:
        unit = nn.functional.normalize(torch.tensor(letters(list(texts))), dim=1)
        return nn.functional.normalize(unit.mean(0), dim=0)

    expected = torch.stack([mean("a b", "b a b"), mean("aaab", "b aaab", "c", "b c")])
    torch.testing.assert_close(found, expected)


def test_the_encoder_is_called_once_and_may_give_arrays() -> None:
    calls = []

    def encode(texts: list[str]) -> object:
        calls.append(texts)
        return torch.tensor(letters(texts)).numpy()

    class_text_vectors(["a", "b"], encode, templates=["{}", "c {}"])
    assert calls == [["a", "c a", "b", "c b"]]


@pytest.mark.parametrize(
    ("texts", "templates", "match"),
    [
        ("ab", ["{}"], "Put it into a list"),
        (["a"], "{}", "Put it into a list"),
        (["a"], ["no place"], "got 'no place'"),
        (["a", " "], ["{}"], "class 1 has no text"),
        (["a", []], ["{}"], "class 1 has no text"),
        (["a", "xyz"], ["{}"], "zero-norm row"),
        ([], ["{}"], "there are no class texts"),
    ],
)
def test_bad_texts_are_named(texts: object, templates: object, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        class_text_vectors(texts, letters, templates=templates)


def test_an_encoder_that_gives_nan_is_named_with_the_text() -> None:
    with pytest.raises(ValueError, match=r"encode gave a vector with NaN .* for 'b'\. Look at the encoder"):
        class_text_vectors(["a", "b"], lambda texts: [[1.0, float("nan") if "b" in t else 1.0] for t in texts])


def test_one_vector_for_each_text() -> None:
    with pytest.raises(ValueError, match="encode got 2 texts"):
        class_text_vectors(["a", "b"], lambda texts: letters(texts[:1]))


@pytest.mark.parametrize("learn", [False, True])
def test_given_vectors_lost_on_the_meta_device_are_told_until_a_checkpoint_brings_them(learn: bool) -> None:
    vectors = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    whole = NamedHead(4, 3, class_vectors=vectors, learn_vectors=learn)
    with torch.device("meta"):
        head = NamedHead(4, 3, class_vectors=vectors, learn_vectors=learn)
    head.to_empty(device="cpu")
    with pytest.raises(ValueError, match="meta device and has no values: a named head cannot draw vectors"):
        head(vectors)
    head.load_state_dict(whole.state_dict())
    torch.testing.assert_close(head(vectors), whole(vectors), rtol=0, atol=0)
    with pytest.raises(ValueError, match="make a new head with their class_vectors"):
        whole.reset_parameters()


def test_the_scale_is_what_cosines_of_encoders_want_unless_told() -> None:
    assert float(NamedHead(4, 4, class_vectors=torch.eye(4)).scale) == 16
    assert float(NamedHead(4, 4, class_vectors=torch.eye(4), scale=3.0).scale) == 3

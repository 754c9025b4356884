"""Classes that arrive later: old vectors stay, new ones come from the reserve, and the state carries all of it."""

import copy
import io

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from equiangular import ETFHead, IncrementalETFHead, attach, find_head, is_simplex_etf, restrict_logits
from equiangular.losses import dot_regression_loss

D, K, R = 12, 4, 3


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def make(**options) -> IncrementalETFHead:
    return IncrementalETFHead(D, K, **{"reserved": R, **options})


def test_it_is_the_first_classes_of_the_etf_head_over_all() -> None:
    head, whole, x = make(seed=3), ETFHead(D, K + R, seed=3), randn(6, D)
    torch.testing.assert_close(head(x), whole(x)[:, :K])
    torch.testing.assert_close(head(x, pre_logits=True), whole(x, pre_logits=True))
    assert (head.num_classes, head.capacity, head.free, head.head_parameters()) == (K, K + R, R, 0)
    assert head.add_classes(2) == range(4, 6)
    torch.testing.assert_close(head(x), whole(x)[:, :6])
    torch.testing.assert_close(head.targets(torch.tensor([5, 0])), whole.targets(torch.tensor([5, 0])))
    assert head.free == 1


def test_without_a_reserve_it_is_the_etf_head() -> None:
    x = randn(6, D)
    torch.testing.assert_close(IncrementalETFHead(D, K)(x), ETFHead(D, K)(x))


def test_the_frame_is_an_etf_of_all_classes_and_old_vectors_never_move() -> None:
    head = make(dtype=torch.float64)
    old, scale = head.weight.clone(), head.scale.clone()
    for seed in range(R):
        head.register_class(randn(5, D, seed=seed).double())
        assert is_simplex_etf(head.frame, atol=1e-12)
        assert torch.equal(head.weight[:K], old)
        assert torch.equal(head.scale, scale)
    gram = head.weight @ head.weight.T
    torch.testing.assert_close(gram[0, K:], torch.full((R,), -1 / (K + R - 1), dtype=torch.float64))


def test_a_registered_class_gets_the_free_vertex_nearest_to_its_mean() -> None:
    head = make()
    vertices = head.frame.clone()
    assert head.register_class(vertices[6] + 0.05 * randn(5, D)) == K
    assert torch.equal(head.weight[K], vertices[6])
    assert {tuple(v) for v in head.frame.tolist()} == {tuple(v) for v in vertices.tolist()}
    x = vertices[[6, 0]] + 0.05 * randn(2, D, seed=1)
    assert head(x).argmax(1).tolist() == [K, 0]


def test_a_class_between_old_vertices_still_gets_a_free_one() -> None:
    head = make()
    old = head.weight.clone()
    head.register_class(old[0].expand(3, D) + 0.01 * randn(3, D))
    assert torch.equal(head.weight[:K], old)
    assert float((head.weight[K] - old).square().sum(1).min()) > 1


def test_several_classes_are_matched_together() -> None:
    head = make()
    free = head.frame[K:].clone()
    a, b = free[0] + 0.3 * free[1], 0.9 * free[0]  # both nearest to vertex 0; only together is it best to part them
    labels = torch.tensor([4, 5, 4, 5])
    assert head.register_classes(torch.stack([a, b, a, b]), labels) == range(4, 6)
    pairs = [(i, j) for i in range(R) for j in range(R) if i != j]
    best = max(pairs, key=lambda p: float(F.normalize(a, dim=0) @ free[p[0]] + F.normalize(b, dim=0) @ free[p[1]]))
    torch.testing.assert_close(head.weight[K:], free[list(best)])


def test_registering_one_by_one_needs_no_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "scipy.optimize", None)
    head = make()
    head.register_class(randn(3, D))
    with pytest.raises(ImportError, match=r"Matching classes to vertices needs 'scipy'"):
        head.register_classes(randn(2, D), [5, 6])


def test_a_prototype_is_the_normalised_mean_feature() -> None:
    head, x = make(norm="batch", projection="linear"), randn(5, D)
    head.train()
    expected = F.normalize(head.eval()(x, pre_logits=True).mean(0), dim=0)
    vertices = head.frame.clone()
    head.train().register_class(x, vector="prototype")
    torch.testing.assert_close(head.weight[K], expected)
    kept = [v for v in range(K, K + R) if any(torch.equal(vertices[v], row) for row in head.frame[K + 1 :])]
    given_up = set(range(K, K + R)) - set(kept)
    assert given_up == {K + int((vertices[K:] @ expected).argmax())}


def test_registering_looks_as_evaluation_does_and_leaves_the_modes() -> None:
    head = make(norm="batch", drop_rate=0.5).train()
    head.norm.eval()
    state = {k: v.clone() for k, v in head.norm.state_dict().items()}
    head.register_class(randn(5, D))
    assert head.training
    assert not head.norm.training
    assert head.dropout.training
    assert all(torch.equal(state[k], v) for k, v in head.norm.state_dict().items())


def test_few_shots_of_a_known_direction_are_recognised() -> None:
    head = make(dtype=torch.float64)
    directions = torch.linalg.qr(randn(D, D).double())[0][:2]
    shots = torch.cat([d + 0.1 * randn(5, D, seed=i).double() for i, d in enumerate(directions)])
    head.register_classes(shots, [4] * 5 + [5] * 5, vector="prototype")
    assert head(directions).argmax(1).tolist() == [4, 5]


# --- state ----------------------------------------------------------------------------------------------------------


def test_a_checkpoint_of_any_session_comes_back() -> None:
    head, x = make(seed=1), randn(6, D)
    head.register_class(randn(5, D, seed=2))
    file = io.BytesIO()
    torch.save(head.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    for twin in (make(seed=5), IncrementalETFHead(D, 2, reserved=5), nn.Sequential(make())):
        keys = state if isinstance(twin, IncrementalETFHead) else {f"0.{k}": v for k, v in state.items()}
        twin.load_state_dict(keys)
        assert torch.equal(twin(x), head(x))
        twin = twin if isinstance(twin, IncrementalETFHead) else twin[0]
        assert twin.register_class(x) == 5
    assert set(state) == {"frame", "classes_so_far", "fixed_scale"}
    assert head.num_classes == 5


def test_safetensors_can_hold_the_state(tmp_path) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    head = make()
    head.add_classes(2)
    safetensors.save_file(head.state_dict(), str(tmp_path / "head.safetensors"))
    twin = make(seed=4)
    twin.load_state_dict(safetensors.load_file(str(tmp_path / "head.safetensors")))
    assert torch.equal(twin.weight, head.weight)


def test_a_head_of_another_capacity_is_torchs_ordinary_error() -> None:
    with pytest.raises(RuntimeError, match="size mismatch for frame"):
        make(reserved=4).load_state_dict(make().state_dict())


def test_deepcopy_meta_dtype_and_assign() -> None:
    head = make(dtype=torch.float64)
    head.add_classes(1)
    twin = copy.deepcopy(head)
    twin.add_classes(1)
    assert (head.num_classes, twin.num_classes) == (5, 6)
    assert head.half().weight.dtype == torch.float16
    assert head.classes_so_far.dtype == torch.int64
    assert head.to("meta")(torch.empty(2, D, device="meta", dtype=torch.float16)).shape == (2, 5)
    with torch.device("meta"):
        empty = make()
    empty.load_state_dict(twin.state_dict(), assign=True)
    assert empty.num_classes == 6
    assert torch.equal(empty.weight, twin.weight)


def test_reset_gives_new_base_classes_and_the_reserve_back() -> None:
    head = make(dtype=torch.float64)
    head.add_classes(3)
    head.reset(5)
    assert (head.num_classes, head.free) == (5, R)
    assert torch.equal(head.weight, IncrementalETFHead(D, 5, reserved=R, dtype=torch.float64).weight)
    with pytest.raises(ValueError, match=r"K=14 classes needs features of width >= 13, got d=12"):
        head.reset(11)
    assert (head.num_classes, head.free) == (5, R)
    head.reset(0)
    x = randn(2, D).double()
    assert torch.equal(head(x), head(x, pre_logits=True))
    assert head.weight is None
    assert "frame" not in head.state_dict()
    head.reset(2)
    assert head(x).shape == (2, 2)
    assert head.weight.dtype == torch.float64


def test_no_classes_from_the_start() -> None:
    head = IncrementalETFHead(D, 0, reserved=3)
    assert head(randn(2, D)).shape == (2, D)
    with pytest.raises(ValueError, match="0 of 0 vertices are free"):
        head.add_classes(1)


def test_a_projection_is_wide_enough_for_all_classes() -> None:
    head = IncrementalETFHead(4, 3, reserved=7, projection="mlp")
    assert head.dim == 9
    assert IncrementalETFHead(4, 3, reserved=7, projection="mlp", dim=20).frame.shape == (10, 20)


@pytest.mark.parametrize("path", ["compile", "export"])
def test_compiles_and_exports(path: str) -> None:
    head, x = make(norm="batch").eval(), randn(5, D)
    head.add_classes(1)
    if path == "compile":
        compiled = torch.compile(head, fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(compiled(x), head(x))
        head.add_classes(1)
        torch.testing.assert_close(compiled(x), head(x))
        torch._dynamo.reset()
    else:
        batch = torch.export.Dim("batch", min=2)
        program = torch.export.export(head, (x,), dynamic_shapes={"x": {0: batch}})
        torch.testing.assert_close(program.module()(randn(9, D)), head(randn(9, D)))


def test_attached_to_a_model() -> None:
    model = nn.Sequential(nn.Linear(6, D), nn.ReLU(), nn.Linear(D, K))
    model = attach(model, head="incremental-etf", reserved=2, norm="batch")
    find_head(model).add_classes(2)
    assert model(randn(3, 6)).shape == (3, K + 2)


def test_training_pulls_a_new_class_onto_its_vertex() -> None:
    head, x = make(projection="mlp", dim=10), randn(5, D)
    label = head.register_class(x)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.5)
    for _ in range(100):
        optimizer.zero_grad()
        dot_regression_loss(head(x, pre_logits=True), torch.full((5,), label), head.weight).backward()
        optimizer.step()
    assert (head(x).argmax(1) == label).all()
    assert float((head(x, pre_logits=True) @ head.weight[label]).min().detach()) > 0.9


def test_its_repr_tells_scale_and_free_vertices() -> None:
    head = make()
    assert "num_classes=4" in repr(head)
    assert "free=3" in repr(head)
    assert f"scale={round(float(head.scale), 4)}" in repr(head)


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_more_classes_than_reserved() -> None:
    head = make()
    with pytest.raises(ValueError, match=r"cannot add 4 class\(es\) to the 4 there are: 3 of 7 .* free.*reserved=4"):
        head.add_classes(4)
    with pytest.raises(ValueError, match="3 of 7 vertices are free"):
        head.register_classes(randn(4, D), [4, 5, 6, 7])
    assert head.num_classes == K
    head.add_classes(3)
    with pytest.raises(ValueError, match="0 of 7 vertices are free"):
        head.register_class(randn(2, D))


@pytest.mark.parametrize("count", [0, -1, 1.5, True])
def test_a_count_that_is_none(count: object) -> None:
    with pytest.raises(ValueError, match="count must be an integer >= 1"):
        make().add_classes(count)


def test_a_class_registered_twice() -> None:
    head = make()
    head.register_class(randn(3, D), 4)
    frame = head.frame.clone()
    for class_id in (4, 0):
        with pytest.raises(ValueError, match=f"class {class_id} is registered already: .* The next new class is 5"):
            head.register_class(randn(3, D), class_id)
    with pytest.raises(ValueError, match="class 3 is registered already"):
        head.register_classes(randn(3, D), [5, 3, 5])
    assert head.num_classes == 5
    assert torch.equal(head.frame, frame)


def test_a_label_that_is_skipped() -> None:
    with pytest.raises(ValueError, match="got class 6 but no sample of class 4"):
        make().register_class(randn(3, D), 6)
    with pytest.raises(ValueError, match="got class 6 but no sample of class 5"):
        make().register_classes(randn(3, D), [4, 6, 6])


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (torch.ones(0, D), "features is empty"),
        (torch.ones(3, D + 1), "features must have width 12"),
        (torch.ones(D), r"features must have shape \(B, d\)"),
        (torch.full((2, D), float("nan")), "features has NaN"),
        (torch.stack([torch.ones(D), -torch.ones(D)]), "features of class 4 cancel out"),
    ],
)
@pytest.mark.parametrize("vector", ["vertex", "prototype"])
def test_features_that_do_not_fit(features: torch.Tensor, message: str, vector: str) -> None:
    head = make()
    with pytest.raises(ValueError, match=message):
        head.register_class(features, vector=vector)
    assert head.num_classes == K


def test_labels_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="labels has 2 entries for 3 samples"):
        make().register_classes(randn(3, D), [4, 4])
    with pytest.raises(ValueError, match="labels must lie in"):
        make().register_classes(randn(2, D), [-1, 4])
    with pytest.raises(ValueError, match="labels must hold integers"):
        make().register_classes(randn(2, D), [4.0, 4.0])
    with pytest.raises(ValueError, match="vector must be one of"):
        make().register_class(randn(2, D), vector="mean")


def test_labels_of_classes_that_have_not_come() -> None:
    head = make()
    for label in (4, 5, 6):
        told = f"class {label}, which has not been added: the head knows 4 classes and has 3"
        with pytest.raises(ValueError, match=told):
            head.targets(torch.tensor([0, label]))
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 3\]"):
        head.targets(torch.tensor([7]))
    with pytest.raises(ValueError, match="must lie in"):
        dot_regression_loss(head(randn(1, D), pre_logits=True), torch.tensor([5]), head.weight)


@pytest.mark.parametrize("options", [{"reserved": -1}, {"reserved": 2.5}])
def test_a_bad_reserve(options: dict) -> None:
    with pytest.raises(ValueError, match="reserved must be an integer >= 0"):
        make(**options)


def test_one_base_class_is_too_few_even_with_a_reserve() -> None:
    with pytest.raises(ValueError, match="num_classes must be an integer >= 2"):
        IncrementalETFHead(D, 1, reserved=5)


def test_the_features_must_have_room_for_the_reserve() -> None:
    with pytest.raises(ValueError, match=r"K=20 classes needs features of width >= 19"):
        IncrementalETFHead(D, 10, reserved=10)


# --- subsets of classes -----------------------------------------------------------------------------------------------


def test_restricted_logits_are_the_conditional_distribution() -> None:
    logits, classes = randn(6, 5).double(), [1, 4, 2]
    restricted = restrict_logits(logits, classes)
    full = logits.softmax(1)
    expected = torch.zeros_like(full)
    expected[:, classes] = full[:, classes] / full[:, classes].sum(1, keepdim=True)
    torch.testing.assert_close(restricted.softmax(1), expected)
    mask = torch.tensor([False, True, True, False, True])
    assert torch.equal(restrict_logits(logits, mask), restricted)
    assert torch.equal(restrict_logits(logits, torch.tensor(classes)), restricted)
    assert restrict_logits(logits[0], classes).shape == (5,)
    assert set(restricted.argmax(1).tolist()) <= set(classes)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([], "classes is empty"),
        ([5], r"classes must lie in \[0, 4\]"),
        ([1.0], "classes must hold integers"),
        (torch.tensor([True, False]), r"a mask of classes must have shape \(5,\)"),
    ],
)
def test_a_bad_subset(classes: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        restrict_logits(randn(2, 5), classes)


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(ValueError, match="classes is empty"):
        restrict_logits(randn(2, 5), torch.zeros(5, dtype=torch.bool))


def test_more_classes_than_an_etf_has_room_for() -> None:
    head = IncrementalETFHead(4, 5, reserved=3, basis="spread")  # the orthoplex: 8 vectors in 4 dimensions
    assert head.register_class(randn(3, 4)) == 5
    gram = head.frame @ head.frame.T
    assert float((gram - torch.eye(8)).max()) < 1e-6

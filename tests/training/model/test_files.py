"""Models in files: back as they were, for every head and backbone of ours; and every way a file can be wrong."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tests.damage import flip_last_bit

import equiangular as eq
import equiangular.heads
from equiangular.heads.registry import describe_head
from equiangular.training import METHODS, ModelInfo, build_task, get_method, load_model, save_model
from equiangular.training.methods import Method
from equiangular.training.model.task import Task

NAMES = ("ant", "bee", "cat")


def info(method: str = "etf-la", backbone: str = "mlp", shape: tuple[int, ...] = (6,), **changes: object) -> ModelInfo:
    kind = "image" if len(shape) == 3 else "table"
    ones = (1.0,) * shape[0]
    return ModelInfo(method, backbone, shape, NAMES, (60, 30, 3), ones, ones, **{"kind": kind, **changes})


def task(method: str = "etf-la", backbone: str = "mlp", shape: tuple[int, ...] = (6,), seed: int = 3) -> Task:
    made = build_task(get_method(method), backbone, shape, 3, seed=seed)
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():  # as after training: no weight is what the seed gives
        for parameter in made.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator))
        for name, buffer in made.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(generator=generator)
    return made.eval()


def saved(folder: Path) -> Path:
    return save_model(folder / "run" / "model", task(), info()).parent


@pytest.mark.parametrize("method", [m.name for m in METHODS.values() if not m.corrected])
def test_every_method_comes_back(tmp_path: Path, method: str) -> None:
    before = task(method)
    after, description = load_model(save_model(tmp_path, before, info(method)))
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(after(x)["logits"], before(x)["logits"])
    kind = get_method(method).head
    assert description.head["kind"] == ("etf" if kind == "recommended" else kind)  # what is stored says all of it
    assert after.method.name == method
    assert {n: p.requires_grad for n, p in after.named_parameters()} == {
        n: p.requires_grad for n, p in before.named_parameters()
    }


@pytest.mark.parametrize(
    ("backbone", "shape"), [("digits", (1, 8, 8)), ("resnet8", (3, 8, 8)), ("mlp", (2, 4, 4)), ("mlp", (6,))]
)
def test_every_backbone_comes_back(tmp_path: Path, backbone: str, shape: tuple[int, ...]) -> None:
    before = task("etf-la", backbone, shape)
    after, description = load_model(save_model(tmp_path, before, info("etf-la", backbone, shape)))
    x = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(after(x)["logits"], before(x)["logits"])
    assert description.input_shape == shape


HEADS = [
    {"head": "etf", "norm": "batch", "scale": "learned", "drop_rate": 0.2, "projection": "mlp", "dim": 5},
    {"head": "etf", "basis": "minimal", "normalize": False, "scale": 2.5, "zero_norm": "error"},
    {"head": "etf", "prototypes": torch.eye(3, 64)},
    {"head": "linear", "bias": False, "projection": "linear"},
    {"head": "rotated-etf", "norm": "batch"},
    {"head": "implicit", "construction": "random", "chunk_size": 2},
]


@pytest.mark.parametrize("options", HEADS, ids=lambda o: f"{o['head']}-{len(o)}")
def test_head_options_come_back(tmp_path: Path, options: dict) -> None:
    kind, options = options["head"], {k: v for k, v in options.items() if k != "head"}
    base = task()
    head = eq.make_head(kind, 64, 3, seed=5, **options).eval()
    before = Task(base.backbone, head, base.method)
    after, description = load_model(save_model(tmp_path, before, info()))
    assert description.seed == 0
    assert str(after.head) == str(head)
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(after(x)["logits"], before(x)["logits"])


def test_a_rotation_that_was_baked_in(tmp_path: Path) -> None:
    before = task("rotated-etf-ce")
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    expected = before(x)["logits"]
    before.head.bake()
    after, _ = load_model(save_model(tmp_path, before, info("rotated-etf-ce")))
    torch.testing.assert_close(after(x)["logits"], expected)
    assert after.head.skew is None


def test_classes_that_came_later(tmp_path: Path) -> None:
    base = task()
    head = eq.make_head("incremental-etf", 64, 2, reserved=4, seed=5).eval()
    head.add_classes(1)
    before = Task(base.backbone, head, base.method)
    after, _ = load_model(save_model(tmp_path, before, info()))
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(after(x)["logits"], before(x)["logits"])
    assert (after.head.num_classes, after.head.free) == (3, 3)


def test_every_head_can_be_described() -> None:
    for kind in eq.heads.HEADS:
        given = {"class_vectors": torch.eye(3, 8)} if kind == "named" else {}
        assert describe_head(eq.make_head(kind, 8, 3, **given))["kind"] == kind


def test_paths(tmp_path: Path) -> None:
    run = saved(tmp_path)
    for path in (run, run / "model", run / "model" / "model.safetensors", str(run)):
        assert load_model(path)[1].class_names == NAMES
    assert sorted(p.name for p in (run / "model").iterdir()) == ["config.json", "model.safetensors"]


def test_the_description_can_be_read_without_us(tmp_path: Path) -> None:
    run = saved(tmp_path)
    values = json.loads((run / "model" / "config.json").read_text())
    assert values["class_names"] == list(NAMES)
    assert values["format"] == 1
    with safe_open(run / "model" / "model.safetensors", "pt") as archive:
        assert {**json.loads(archive.metadata()["equiangular"]), "checksum": values["checksum"]} == values


def test_a_failed_write_leaves_the_old_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = saved(tmp_path)
    before = load_model(run)[0].state_dict()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("equiangular._files.os.replace", full)
    with pytest.raises(ValueError, match=r"No space left on device\. Make room there"):
        save_model(run / "model", task(seed=4), info())
    monkeypatch.undo()
    after = load_model(run)[0].state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert sorted(p.name for p in (run / "model").iterdir()) == ["config.json", "model.safetensors"]


def rewrite(run: Path, **changes: object) -> None:
    """Change the description inside the weights file."""
    file = run / "model" / "model.safetensors"
    with safe_open(file, "pt") as archive:
        values = {**json.loads(archive.metadata()["equiangular"]), **changes}
    save_file(load_file(file), file, metadata={"equiangular": json.dumps(values)})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "format 2, and this version of equiangular reads up to 1. Update"),
        ({"format": "x"}, "no format number"),
        ({"backbon": "mlp"}, "unknown key 'backbon'; did you mean 'backbone'"),
        ({"backbone": "resnet-20"}, "unknown backbone 'resnet-20'; did you mean 'resnet20'"),
        ({"method": "etf-al"}, "'etf-al'.*did you mean 'etf-la'"),
        ({"width": 2.0}, r"'backbone.layers.1.weight' has shape \(128, 6\) in the file and \(256, 6\) in the network"),
        ({"backbone": "digits", "input_shape": [6, 8, 8], "kind": "image"}, r"missing \(first 'backbone.*unknown"),
        ({"class_names": ["a"]}, "at least two class names"),
        ({"class_counts": [1, 2]}, "2 entries for 3 classes"),
        ({"mean": [0.0]}, "mean has 1 entries for inputs of shape"),
        ({"kind": "picture"}, "kind"),
        ({"method": ["etf-la"]}, r"method must be the name of one, got \['etf-la'\]"),
        ({"class_names": 3}, "cannot load the model .*model.safetensors"),
        ({"head": {"kind": ["etf"], "options": {}}}, "cannot load the model .*model.safetensors"),
        ({"head": {"kind": "etf"}}, "described by its kind and options"),
        ({"head": {"kind": "eft", "options": {}}}, "did you mean 'etf'"),
        ({"head": {"kind": "etf", "options": {"nrom": "batch"}}}, "did you mean 'norm'"),
    ],
)
def test_descriptions_that_do_not_fit(tmp_path: Path, changes: dict, message: str) -> None:
    run = saved(tmp_path)
    rewrite(run, **changes)
    with pytest.raises(ValueError, match=message):
        load_model(run)


def test_files_that_are_not_models(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        load_model(tmp_path / "nothing")
    with pytest.raises(ValueError, match=r"no model in .*: neither model.safetensors nor .* Make one with"):
        load_model(tmp_path)
    (tmp_path / "checkpoint").mkdir()
    with pytest.raises(ValueError, match="has not finished; go on with: equiangular resume"):
        load_model(tmp_path)
    foreign = tmp_path / "model.safetensors"
    save_file({"weight": torch.eye(3)}, foreign)
    with pytest.raises(ValueError, match="no description of a model of this library"):
        load_model(tmp_path)
    save_file({"weight": torch.eye(3)}, foreign, metadata={"equiangular": "{"})
    with pytest.raises(ValueError, match="is damaged"):
        load_model(tmp_path)
    save_file({"weight": torch.eye(3)}, foreign, metadata={"equiangular": "[]"})
    with pytest.raises(ValueError, match="is damaged"):
        load_model(tmp_path)
    torch.save({"weight": torch.eye(3)}, foreign)  # a pickle is not read
    with pytest.raises(ValueError, match=r"not a readable \.safetensors file"):
        load_model(tmp_path)


@pytest.mark.parametrize("kept", [0, 4, 100, 0.5, 0.999])
def test_a_truncated_file(tmp_path: Path, kept: float) -> None:
    run = saved(tmp_path)
    file = run / "model" / "model.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    with pytest.raises(ValueError, match=r"not a readable .safetensors file .* damaged"):
        load_model(run)


def test_a_head_that_is_not_ours(tmp_path: Path) -> None:
    class Mine(eq.ETFHead):
        pass

    base = task()
    with pytest.raises(ValueError, match="Mine is no head of this library"):
        save_model(tmp_path, Task(base.backbone, Mine(64, 3), base.method), info())


def test_info_is_checked() -> None:
    with pytest.raises(ValueError, match="class 2 has 0"):
        replace(info(), class_counts=(5, 5, 0))
    method = Method("mine", "mine", "etf", lambda *_: None, "here")
    assert not method.corrected


def test_a_flipped_bit_is_seen(tmp_path: Path) -> None:
    run = saved(tmp_path)
    flip_last_bit(run / "model" / "model.safetensors")
    with pytest.raises(ValueError, match=r"model\.safetensors' is damaged: .* another hash .* save the model again"):
        load_model(run)

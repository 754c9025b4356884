"""Small trainings that a distributed run and one process have to agree on; run by torchrun from test_distributed.py."""

import contextlib
import sys
from pathlib import Path
from typing import Any

import tests.training.partners  # noqa: F401 - adds the mixing 'from-all'
import torch
from safetensors.torch import save_file

from equiangular.training import Budget, Hardware, Training, build_task, get_method
from equiangular.training.engine.fabric import full_tensor, make_fabric
from equiangular.training.engine.prediction import predict
from equiangular.training.run.checkpoint import load_checkpoint, save_checkpoint

# 46 samples in batches of 16: the last has 14, or, cut in parts, is uneven; 4 classes, the rarest with 3 samples.
IMAGES = torch.randint(0, 256, (46, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
LABELS = torch.repeat_interleave(torch.arange(4), torch.tensor([25, 12, 6, 3]))

# Name -> method, backbone, fields of the budget, parts of gradient accumulation.
CASES: dict[str, tuple[str, str, dict[str, Any], int]] = {
    "BatchNorm, momentum": ("linear-ce", "digits", {}, 1),
    "last batch of two": ("linear-ce", "mlp", {"batch_size": 11, "clip_norm": 0.5}, 2),
    "DR balanced in the batch, mixup": ("etf-dr-batch", "digits", {"mix": "mixup:1.0"}, 1),
    "ARB, augmentation, CutMix": ("etf-arb", "digits", {"augment": "crop,flip", "mix": "cutmix:1.0"}, 1),
    "vector scaling, all partners, augmentation": ("linear-vs", "digits", {"augment": "crop", "mix": "from-all"}, 1),
    "partners from all, in parts": ("etf-dr-batch", "mlp", {"mix": "from-all:2.0"}, 2),
    "ARB in parts": ("linear-arb", "mlp", {}, 2),
    "class weights, average": ("linear-cb-focal", "digits", {"ema": 0.8}, 1),
    "deferred weights, balanced sampler": ("cosine-ldam-drw", "mlp", {"sampler": "class-balanced"}, 1),
    "AdamW, clipping": ("etf-la", "digits", {"optimizer": "adamw", "learning_rate": 1e-3, "clip_norm": 0.1}, 1),
}

SHARDED = ("BatchNorm, momentum", "AdamW, clipping")


def make(name: str, precision: str = "64-true", fabric: Any = None) -> Training:
    """The training of a case, before its first step."""
    method, backbone, fields, accumulate = CASES[name]
    budget = Budget(**{"epochs": 3, "batch_size": 16, "warmup_epochs": 1, **fields})
    task = build_task(get_method(method), backbone, (1, 8, 8), 4, seed=1)
    hardware = Hardware(accelerator="cpu", precision=precision, accumulate=accumulate)
    prepare = lambda x: x.to(torch.float64 if precision == "64-true" else torch.float32) / 128 - 1  # noqa: E731
    return Training(task, IMAGES, LABELS, budget, seed=3, prepare=prepare, hardware=hardware, fabric=fabric)


def interrupt(training: Training) -> None:
    """Stop in the middle of the second epoch."""
    if training.epoch == 1 and training.step == 2:
        raise InterruptedError


def outcome(training: Training) -> dict[str, torch.Tensor]:
    """Everything that has to agree: weights, running statistics, losses, predictions."""
    training.run()
    weights = {name: full_tensor(value) for name, value in training.shown.state_dict().items()}
    _, logits = predict(training.shown, IMAGES, prepare=training.batches.prepare, fabric=training.fabric)
    return {**weights, "losses": torch.tensor(training.losses), "logits": logits}


def main(folder: Path, strategy: str) -> None:
    """Every case, or for FSDP two, and the first stopped and gone on with; the first process writes."""
    precision = "32-true" if strategy == "fsdp" else "64-true"
    fabric = make_fabric(Hardware(accelerator="cpu", precision=precision, strategy=strategy))
    results = {}
    for name in CASES if strategy == "ddp" else SHARDED:
        results[name] = outcome(make(name, precision, fabric))
        fabric.barrier()
    checkpoint = folder / "run" / "checkpoint" / "state"
    first = make("BatchNorm, momentum", precision, fabric)
    with contextlib.suppress(InterruptedError):
        first.run(on_step=interrupt)
    save_checkpoint(checkpoint, first, config={}, extra=None)
    fabric.barrier()
    second = make("BatchNorm, momentum", precision, fabric)
    load_checkpoint(checkpoint, second, config={})
    results["resumed"], results["continued"] = outcome(second), outcome(first)
    if fabric.is_global_zero:
        flat = {f"{case}/{k}": v.contiguous() for case, values in results.items() for k, v in values.items()}
        save_file(flat, folder / "results.safetensors")
    fabric.barrier()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])

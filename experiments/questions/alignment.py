"""Does it pay to move a fixed frame to the class means? Digits cut to imbalance 100.

The same network and ETF, trained with CE, DR or logit-adjusted CE: the frame at rest; turned once, to the means of the
untrained network (an initialisation); its vertices matched to them; turned after each of the first ten epochs; after
every epoch; and the rotation learned. Paired by seed, which also draws the subset. Nothing is tuned.

    python -m experiments questions alignment
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equiangular._files import read_json, write_json
from equiangular._provenance import provenance
from equiangular.data import load_dataset
from equiangular.heads import Head, make_head
from equiangular.longtail import long_tail_indices
from equiangular.losses import dot_regression_loss
from equiangular.measures import mean_ci, paired_comparison, per_class_accuracy
from equiangular.measures.collapse import ClassMoments, centred_means
from equiangular.models import make_backbone
from equiangular.training import AlignmentSchedule
from experiments.common import QUESTIONS, command_parser
from experiments.questions.plain_loop import as_inputs, run_chunks, train

EPOCHS, SEEDS, IMBALANCE = 30, 8, 100
# name -> kind of head, alignment before training, options of the schedule
VARIANTS: dict[str, tuple[str, str | None, dict[str, Any] | None]] = {
    "at rest": ("etf", None, None),
    "turned once, before training": ("etf", "turn", None),
    "matched once, before training": ("etf", "match", None),
    "turned after each of 10 epochs": ("etf", None, {"until": 10}),
    "turned after every epoch": ("etf", None, {}),
    "rotation learned": ("rotated-etf", None, None),
}


def run(loss: str, variant: str, seed: int) -> dict[str, float]:
    data = load_dataset("digits")
    index = torch.from_numpy(long_tail_indices(data.train_y.numpy(), IMBALANCE, seed=seed))
    x, mean, std = as_inputs(data.train_x[index])
    y, test_x = data.train_y[index], as_inputs(data.test_x, mean, std)[0]
    kind, before, schedule_options = VARIANTS[variant]
    log_prior = (y.bincount() / len(y)).log() if loss == "logit-adjusted CE" else 0.0
    backbone = make_backbone("digits", tuple(x.shape[1:]), seed=seed)
    head = make_head(kind, backbone.num_features, data.num_classes, seed=seed, norm="batch")
    network = nn.Sequential(backbone, head)
    if before is not None:
        once = AlignmentSchedule(head, move=before)
        with torch.no_grad():  # in training mode: the statistics that the first steps will see
            once.update(head(backbone(x), pre_logits=True), y)
        once.step()
    schedule = None if schedule_options is None else AlignmentSchedule(head, **schedule_options)

    def criterion(batch: Tensor, target: Tensor) -> Tensor:
        h = head(backbone(batch), pre_logits=True)
        if schedule is not None:
            schedule.update(h, target)
        if loss == "DR":
            return dot_regression_loss(h, target, head.weight)
        return F.cross_entropy(head.logits_from_features(h) + log_prior, target)

    on_epoch = None if schedule is None else schedule.step
    train(network, criterion, x, y, seed=seed, epochs=EPOCHS, batch_size=64, on_epoch=on_epoch)
    h = run_chunks(lambda part: head(backbone(part), pre_logits=True), x)
    predicted = run_chunks(network, test_x).argmax(1)
    return {
        "balanced_accuracy": 100 * float(per_class_accuracy(predicted, data.test_y, data.num_classes).mean()),
        "alignment": alignment(h, y, head),
    }


@torch.no_grad()
def alignment(h: Tensor, y: Tensor, head: Head) -> float:
    """Mean cosine between a centred class mean of the training features and its class vector: 1 at collapse."""
    moments = ClassMoments.empty(head.num_classes, h.shape[1], covariance=False).update(h, y)
    return float(F.cosine_similarity(centred_means(moments), head.class_vectors().double()).mean())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command_parser("questions alignment", __doc__)
    parser.add_argument("--output", type=Path, default=QUESTIONS / "alignment.json")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    results = read_json(options.output) if options.output.exists() else {"epochs": EPOCHS, "runs": {}, "table": {}}
    for loss in ("CE", "DR", "logit-adjusted CE"):
        runs = results["runs"].setdefault(loss, {variant: [] for variant in VARIANTS})
        for variant in VARIANTS:
            while len(runs[variant]) < SEEDS:
                runs[variant].append(run(loss, variant, len(runs[variant])))
            rows: dict[str, Any] = {}
            for key in ("balanced_accuracy", "alignment"):
                values, rest = ([row[key] for row in runs[name]] for name in (variant, "at rest"))
                rows[key] = dict(zip(("mean", "ci95"), mean_ci(values), strict=True))
                if variant != "at rest":
                    compared = paired_comparison(values, rest)
                    interval = [compared.ci_low, compared.ci_high]
                    rows[key] |= {"difference": compared.mean_difference, "difference_ci95": interval}
                    rows[key]["p"] = compared.p_value
            results["table"].setdefault(loss, {})[variant] = rows
            write_json(options.output, {**results, "provenance": provenance()})
            cell = rows["balanced_accuracy"]
            print(f"{loss}: {variant}: {cell['mean']:.1f} ± {cell['ci95']:.1f}", flush=True)

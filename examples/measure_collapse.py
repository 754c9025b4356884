"""Collapse, epoch by epoch: a learned classifier beside a fixed one, on the same digits.

NC1 is the spread within classes against the distance of class means, NC2 how far the angles of the means are from a
simplex, NC3 how far class means are from class vectors. All are 0 at collapse.

    python examples/measure_collapse.py              # the figures as text
    python examples/measure_collapse.py collapse.svg # and as curves
"""

import sys

import torch
from sklearn.datasets import load_digits
from torch import nn

import equiangular as eq

KEYS = ("nc1", "nc2_equiangular", "nc3")
EPOCHS = 40


def history(head: nn.Module, x: torch.Tensor, y: torch.Tensor) -> list[dict[str, float]]:
    """The measures after every fifth epoch of a small network with that head."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32), nn.BatchNorm1d(32), head)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    measured = []
    for epoch in range(1, EPOCHS + 1):
        for batch in torch.randperm(len(x)).split(128):
            loss = nn.functional.cross_entropy(model(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
        if epoch % 5 == 0:
            values = eq.measure_collapse(model, [(x, y)])  # or a DataLoader; the training mode is put back
            measured.append({"epoch": epoch, **{key: float(values[key]) for key in KEYS}})
    return measured


def draw(curves: dict[str, list[dict[str, float]]], path: str) -> None:
    """One panel for each measure, one line for each head."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(KEYS), figsize=(9, 3), layout="constrained")
    for axis, key in zip(axes, KEYS, strict=True):
        for (name, rows), style in zip(curves.items(), ("o-", "s--"), strict=True):
            axis.plot([row["epoch"] for row in rows], [row[key] for row in rows], style, label=name)
        axis.set(xlabel="epoch", title=key, ylim=(0, None))
    axes[0].legend()
    figure.savefig(path)


def main() -> None:
    """Train twice, print, and draw where a file is named."""
    x, y = load_digits(return_X_y=True)
    x, y = torch.tensor(x[:1280] / 16, dtype=torch.float32), torch.tensor(y[:1280])
    heads = {"learned": nn.Linear(32, 10), "fixed": eq.ETFHead(32, 10)}
    curves = {name: history(head, x, y) for name, head in heads.items()}
    for name, rows in curves.items():
        for row in rows:
            print(f"{name:8} epoch {row['epoch']:2.0f}  " + "  ".join(f"{key} {row[key]:.3f}" for key in KEYS))
    if len(sys.argv) > 1:
        draw(curves, sys.argv[1])


if __name__ == "__main__":
    main()

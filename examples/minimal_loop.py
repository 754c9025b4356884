"""A plain PyTorch loop: a fixed head, logit adjustment, and what the features look like in the end.

Handwritten digits are cut to a long tail: 100 samples of the largest class, 5 of the smallest. The classifier is a
simplex equiangular tight frame that never changes. Two lines differ from the loop you know; they are marked.

    python examples/minimal_loop.py
"""

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import equiangular as eq
from equiangular.measures import balanced_accuracy, per_class_accuracy


def long_tailed_digits(imbalance: float) -> tuple[TensorDataset, TensorDataset, list[int]]:
    """A long-tailed training part, a balanced test part, and the class sizes of training."""
    x, y = load_digits(return_X_y=True)
    x, test_x, y, test_y = train_test_split(x / 16, y, test_size=500, stratify=y, random_state=0)
    kept = eq.long_tail_indices(y, imbalance, n_max=100, seed=0)
    parts = [(x[kept], y[kept]), (test_x, test_y)]
    train, test = (TensorDataset(torch.tensor(a, dtype=torch.float32), torch.tensor(b)) for a, b in parts)
    return train, test, np.bincount(y[kept]).tolist()


def main() -> None:
    """Train, test, and measure the collapse."""
    torch.manual_seed(0)
    train, test, counts = long_tailed_digits(imbalance=20)
    print(f"samples of each class: {counts}")

    model = nn.Sequential(
        nn.Linear(64, 128),
        nn.ReLU(),
        nn.Linear(128, 32),
        eq.ETFHead(32, 10, norm="batch"),  # in the place of nn.Linear(32, 10)
    )
    criterion = eq.LogitAdjustedCrossEntropyLoss(counts)  # in the place of nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)

    loader = DataLoader(train, batch_size=64, shuffle=True, drop_last=True)
    for epoch in range(60):
        model.train()
        for x, y in loader:
            loss = criterion(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if epoch % 20 == 19:
            print(f"epoch {epoch + 1}: loss {loss.item():.3f}")

    model.eval()
    with torch.no_grad():
        predicted = model(test.tensors[0]).argmax(1)  # the adjustment is in the loss alone
    by_class = per_class_accuracy(predicted, test.tensors[1], 10)
    print(f"balanced accuracy {balanced_accuracy(by_class):.1%}, rarest class {by_class[-1]:.1%}")

    collapse = eq.measure_collapse(model, DataLoader(train, batch_size=64))
    print(f"NC1 {collapse['nc1']:.3f}: spread within classes against the distance of their means, 0 when collapsed")
    print(f"NC2 {collapse['nc2_equiangular']:.3f}: how far the angles of class means are from a simplex")
    print(f"NC3 {collapse['nc3']:.3f}: how far class means are from the class vectors")


if __name__ == "__main__":
    main()

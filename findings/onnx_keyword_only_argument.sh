#!/usr/bin/env bash
# torch 2.13.0: a head whose forward has a keyword-only argument with a default cannot be exported by itself, but in a network.
#
# Guess before the run: torch.onnx.export(dynamo=False) traces module(*args) as given, so an argument that nobody passes
# keeps its default, keyword-only or not.
# Seen: TypeError, forward() takes 2 positional arguments but 3 were given. The exporter reads the signature, fills in
# defaults that were not given, and appends keyword-only ones as positional. The same head with a plain default, or as
# a part of a network that calls it without the argument, is exported. pre_logits=False of a classifier is such an argument.
# Output seen on 2026-11-29 (onnx 1.23.2, Python 3.11):
#   keyword-only, alone       TypeError: KeywordOnly.forward() takes 2 positional arguments but 3 were given
#   keyword-only, in network  exported
#   plain default, alone      exported
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6 onnx==1.23.2
cd "$work"
OMP_NUM_THREADS=1 "$work/venv/bin/python" -W ignore - <<'PY'
import torch


class Plain(torch.nn.Linear):
    def forward(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        return x if pre_logits else super().forward(x)


class KeywordOnly(torch.nn.Linear):
    def forward(self, x: torch.Tensor, *, pre_logits: bool = False) -> torch.Tensor:
        return x if pre_logits else super().forward(x)


class Network(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = KeywordOnly(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x)


seen = {}
for what, module in (
    ("keyword-only, alone", KeywordOnly(4, 3)),
    ("keyword-only, in network", Network()),
    ("plain default, alone", Plain(4, 3)),
):
    try:
        torch.onnx.export(module.eval(), (torch.zeros(2, 4),), "out.onnx", dynamo=False)
        seen[what] = "exported"
    except TypeError as error:
        seen[what] = f"TypeError: {error}"
    print(f"{what:25} {seen[what]}")
assert seen["keyword-only, alone"].startswith("TypeError: KeywordOnly.forward() takes 2 positional arguments but 3")
assert seen["keyword-only, in network"] == seen["plain default, alone"] == "exported"
PY
echo "as stated"

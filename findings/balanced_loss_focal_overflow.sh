#!/usr/bin/env bash
# balanced-loss 0.1.1: the focal loss of a sample is 0, and its gradient NaN, where its class has a logit of -89.
#
# The package is the usual PyTorch port of the class-balanced losses of Cui et al. (CVPR 2019). Its factor (1 - p)^gamma
# is written as exp(-gamma y z - gamma log(1 + exp(-z))), and exp(89) leaves float32. Such logits come in the first steps
# of a training whose rate is high, and without normalised features later on.
# Guess before the run: it grows with the mistake, as -log p does, to any logit; bfloat16 would differ in the third digit.
# Seen: the loss grows to 88 and is 0 from -89 on: the worst mistakes cost nothing. One of them in a batch makes the
# gradient NaN, and with it all weights; the value of the loss, which a log shows, stays finite.
# Output seen on 2026-11-29 (torch 2.13.0, numpy 2.4.6, Python 3.11), three classes, logits [z, 0, 0], label 0:
#   z -80   loss  80.347  gradient [-1.0, 0.298, 0.298]
#   z -88   loss  88.347  gradient [-1.0, 0.298, 0.298]
#   z -89   loss   0.347  gradient [nan, 0.298, 0.298]
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q balanced-loss==0.1.1 torch==2.13.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PY'
import math

import torch
from balanced_loss import Loss

focal = Loss(loss_type="focal_loss")
for z, expected in ((-80.0, 80.347), (-88.0, 88.347), (-89.0, 0.347)):
    logits = torch.tensor([[z, 0.0, 0.0]], requires_grad=True)
    value = focal(logits, torch.tensor([0]))
    value.backward()
    gradient = [round(g, 3) for g in logits.grad[0].tolist()]
    print(f"z {z:.0f}   loss {value.item():7.3f}  gradient {gradient}")
    assert abs(value.item() - expected) < 1e-3
    assert math.isnan(gradient[0]) == (z < -88.5)
exact = focal(torch.tensor([[-89.0, 0.0, 0.0]], dtype=torch.float64), torch.tensor([0])).item()
assert abs(exact - 89.347) < 1e-3
PY
echo "as stated"

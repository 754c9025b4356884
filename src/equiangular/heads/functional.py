"""Functions of features and logits without a head: normalisation, scale, some of the classes; the learned map."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch._C._functorch import is_gradtrackingtensor
from torch.autograd import forward_ad
from torch.nn.utils import skip_init

from equiangular._autocast import autocast_is_on
from equiangular._validate import check_labels, check_num_classes, values_are_readable


def unit_normalize(x: Tensor, eps: float | None = None) -> Tensor:
    """Scale every vector along the last axis to norm 1: x / ||x||.

    A vector whose norm is not above ``eps`` has no direction: the result is zero there and so, exactly, is the
    gradient. (Dividing by max(||x||, eps) instead would multiply the gradient at zero by 1 / eps.) The norm is
    accumulated in float32 for float16 and bfloat16; under autocast the result stays in float32. Returns (..., d) in the
    dtype of ``x``. Any finite norm is one, also where its square overflows.

    Args:
        x: (..., d) floating point.
        eps: the norm up to which a vector counts as zero; by default 1e-12, or the smallest normal number of the
            dtype (6e-5 for float16) if that is larger. The gradient is that of the result divided by the norm: in
            float16 it is infinite, which a gradient scaler notices, where it exceeds 65,504.

    Example:
        >>> unit_normalize(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
        tensor([[0.6000, 0.8000],
                [0.0000, 0.0000]])
    """
    limit = max(1e-12, torch.finfo(x.dtype).tiny) if eps is None else eps
    certain = _certain_unit_rows(x, limit)
    return _unit_rows(x, limit) if certain is None else certain


def certain_unit_rows(x: Tensor) -> Tensor | None:
    """:func:`unit_normalize` of ``x``, all of whose entries are finite and none of whose rows is zero.

    None where that is not so, where one look at the squared norms does not tell, and where values cannot be read.
    """
    return _certain_unit_rows(x, max(1e-12, torch.finfo(x.dtype).tiny))


def _unit_rows(x: Tensor, limit: float) -> Tensor:
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    largest = wide.detach().abs().amax(-1, keepdim=True)
    # Powers of two, so that nothing is rounded. Between the bounds float32 holds squares and cubes of the norm.
    factor = torch.where(largest > 2.0**32, torch.where(largest > 2.0**80, 2.0**-104, 2.0**-56), 1.0)
    if wide.dtype == torch.float64:  # a number alone would be a float32
        far, further = largest.new_full((), 2.0**-440), largest.new_full((), 2.0**-740)
        factor = torch.where(largest > 2.0**420, torch.where(largest > 2.0**720, further, far), factor)
    wide = wide * factor
    square = wide.square().sum(-1, keepdim=True)
    has_direction = square > limit**2
    inverse = torch.where(has_direction, torch.where(has_direction, square, 1.0).rsqrt(), 0.0)
    result = wide * inverse
    return result if autocast_is_on(x) else result.to(x.dtype)


def _certain_unit_rows(x: Tensor, limit: float) -> Tensor | None:
    if not values_are_readable(x) or x.dtype not in (torch.float32, torch.float64) or not x.numel():
        return None
    if forward_ad._current_level >= 0 or autocast_is_on(x):
        return None
    value = x.detach()
    square = value.square().sum(-1, keepdim=True)
    low, high = torch.aminmax(square)
    # NaN fails both. A norm up to 2^32 needs no factor; the 2 leaves room for the rounding of the limit.
    if not (low.item() > 2 * limit**2 and high.item() <= 2.0**64):
        return None
    inverse = square.rsqrt_()
    unit: Tensor = _UnitRows.apply(x, inverse, limit) if x.requires_grad else value * inverse  # type: ignore[no-untyped-call]
    return unit


class _UnitRows(torch.autograd.Function):
    """x / ||x|| given 1 / ||x||, in the operations, and so the bits, of :func:`_unit_rows` and of its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, inverse: Tensor, limit: float) -> Tensor:
        ctx.save_for_backward(x, inverse)
        ctx.limit = limit
        return x * inverse

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        x, inverse = ctx.saved_tensors
        if torch.is_grad_enabled():  # a gradient of the gradient is asked for
            (again,) = torch.autograd.grad(_unit_rows(x, ctx.limit), x, gradient, create_graph=True)
            return again, None, None
        along = (gradient * x).sum(-1, keepdim=True).mul_(inverse.pow(3))
        return (gradient * inverse).sub_(along * x), None, None


def class_rows(table: Tensor, labels: Tensor) -> Tensor:
    """``table[labels]`` with a gradient that is summed over the samples of a class in float32 at least.

    A sum of ones in bfloat16 stops at 256. Returns (..., d), in float32 for a table in half precision that learns.
    """
    learns = table.requires_grad or (not torch.compiler.is_compiling() and is_gradtrackingtensor(table))
    return (table.to(torch.promote_types(table.dtype, torch.float32)) if learns else table)[labels]


IGNORE_INDEX = -100  # the label of a sample without a class, as in PyTorch's losses


def write_recipe(destination: Any, prefix: str, recipe: Tensor | None, values: list[int]) -> None:
    """Put what class vectors are made from into a state dict, where a head has a recipe in their place.

    From the numbers themselves: averages of weights and buffers round whole numbers.
    """
    if recipe is not None and not recipe.is_meta:
        destination[f"{prefix}recipe"] = torch.tensor(values, device=recipe.device)


def rows_or_zero(labels: Tensor, num_classes: int, look_up: Callable[[Tensor], Tensor]) -> Tensor:
    """The rows (B, d) of checked labels (B,), with a zero row for :data:`IGNORE_INDEX`."""
    labels = check_labels(labels, num_classes, ignore_index=IGNORE_INDEX)
    ignored = labels == IGNORE_INDEX
    return look_up(labels.masked_fill(ignored, 0)).masked_fill(ignored[:, None], 0)


# The probability that the default scale makes reachable.
DEFAULT_PROBABILITY = 0.999


def scale_for_probability(probability: float, num_classes: int) -> float:
    """The scale at which a feature lying on its simplex ETF vertex gets a given class probability.

    There the logits are s for the class and -s/(K-1) for the others, a gap of s K/(K-1), so that
    p = 1 / (1 + (K-1) exp(-s K/(K-1))) and

        s = (K-1)/K log( (K-1) p / (1-p) ).

    No feature can reach more. At s = 1 that is p = 0.25, 0.027 and 0.003 for K = 10, 100 and 1000: cross-entropy
    cannot fall, and confidence and calibration error mean nothing. Heads that normalise take p = 0.999 by default:
    s = 8.2, 11.4 and 13.8.

    Args:
        probability: p, strictly between 1/K and 1.
        num_classes: K.

    Raises:
        ValueError: ``probability`` is not between 1/K, which scale 0 gives, and 1, which no scale gives.

    Example:
        >>> round(scale_for_probability(0.999, 10), 2)
        8.19
    """
    num_classes = check_num_classes(num_classes)
    if not isinstance(probability, (int, float)) or not 1 / num_classes < probability < 1:
        raise ValueError(
            f"probability must lie strictly between 1/K = {1 / num_classes:.4g} (scale 0) and 1 (infinite scale), "
            f"got {probability!r}."
        )
    odds = (num_classes - 1) * probability / (1 - probability)
    return (num_classes - 1) / num_classes * math.log(odds)


def restrict_logits(logits: Tensor, classes: Tensor | Sequence[int]) -> Tensor:
    """Logits with -inf for every class outside ``classes``.

    Their argmax is the best of these classes under its own label, and their softmax is the model's distribution given
    that the class is one of them: p_k / sum_{j in classes} p_j. Returns (..., K) in the dtype of ``logits``.

    Args:
        logits: (..., K) floating point.
        classes: (C,) class indices in [0, K), or a (K,) bool mask.

    Raises:
        ValueError: no class, an index out of range, or a mask of another length.

    Example:
        >>> restrict_logits(torch.tensor([[3.0, 1.0, 2.0]]), [1, 2])
        tensor([[-inf, 1., 2.]])
    """
    k = logits.shape[-1]
    chosen = torch.as_tensor(classes, device=logits.device)
    if chosen.dtype == torch.bool:
        if tuple(chosen.shape) != (k,):
            raise ValueError(f"a mask of classes must have shape ({k},), got {tuple(chosen.shape)}.")
        chosen = chosen.nonzero().flatten()
    if not chosen.numel():
        raise ValueError(f"classes is empty; name at least one of the {k} classes.")
    outside = torch.ones(k, dtype=torch.bool, device=logits.device)
    outside[check_labels(chosen, k, name="classes")] = False
    return logits.masked_fill(outside, -torch.inf)


Projection = Literal["linear", "mlp", "residual"]
PROJECTIONS: tuple[Projection, ...] = get_args(Projection)


def make_projection(
    kind: Projection, in_features: int, dim: int, *, generator: torch.Generator, like: Tensor
) -> nn.Module:
    """The learned map of a head.

    ``"linear"``: one affine map. ``"mlp"``: affine, ReLU, affine, with a hidden layer of width ``in_features``.
    ``"residual"``: :class:`ResidualMap`, which keeps the width.
    """
    if kind == "residual":
        return ResidualMap(dim, device=like.device, dtype=like.dtype)
    if kind == "linear":
        return _linear(in_features, dim, generator, like)
    first = _linear(in_features, in_features, generator, like)
    return nn.Sequential(first, nn.ReLU(), _linear(in_features, dim, generator, like))


class ResidualMap(nn.Linear):
    """x + P x + b with P = 0 and b = 0 to begin with: features of a pretrained encoder start as they are.

    Weight decay pulls the map towards the identity. P (d, d) is ``weight``, b (d,) is ``bias``.

    Example:
        >>> ResidualMap(2)(torch.tensor([[3.0, 4.0]]))
        tensor([[3., 4.]], grad_fn=<AddBackward0>)
    """

    def __init__(self, dim: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> None:
        super().__init__(dim, dim, device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        """Make it the identity; no random number is drawn."""
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """The same shape: (..., d)."""
        return input + super().forward(input)


def linear_init(rows: int, columns: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """PyTorch's default initial weight (rows, columns) and bias (rows,) of a linear layer, float64 on the CPU.

    Both are uniform on [-1/sqrt(columns), 1/sqrt(columns)].
    """
    bound = columns**-0.5
    weight = torch.rand(rows, columns, generator=generator, dtype=torch.float64, device="cpu")
    bias = torch.rand(rows, generator=generator, dtype=torch.float64, device="cpu")
    return (2 * weight - 1) * bound, (2 * bias - 1) * bound


def _linear(in_features: int, out_features: int, generator: torch.Generator, like: Tensor) -> nn.Linear:
    layer: nn.Linear = skip_init(nn.Linear, in_features, out_features, device=like.device, dtype=like.dtype)
    weight, bias = linear_init(out_features, in_features, generator)
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return layer

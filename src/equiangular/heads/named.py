"""A head whose class vectors are what the classes are called, and the vectors of texts that it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from equiangular._validate import check_features
from equiangular.heads.base import Head
from equiangular.heads.functional import unit_normalize

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from equiangular.heads.options import HeadOptions

NAMED_SCALE = 16.0


class NamedHead(Head):
    """Logits = s cos(x + P x + b, v_k) with given class vectors v_k: embeddings of the class names, say.

    The encoder that made the features x made the v_k as well, so that an untrained head, with P = 0 and b = 0,
    predicts the class whose name is nearest. Training leads features to their names. Where samples are few the names
    know more than the samples; classes without any are predicted too. Train it with
    :func:`equiangular.losses.logit_adjusted_cross_entropy`. Where an encoder reads no texts, such as one of images,
    mean features of a few exemplars of each class do.

    Args:
        class_vectors: (K, d) floating point of any norm but 0; they are brought to norm 1. See
            :func:`class_text_vectors`.
        learn_vectors: whether the vectors start at ``class_vectors`` and are learned on, normalised at every use.
        in_features, num_classes, options: see :class:`Head`; the width of h must be d. By default ``projection`` is
            ``"residual"``, which starts as the identity, and ``scale`` s is 16.

    Raises:
        ValueError: class vectors of another shape, with NaN or without direction, or an argument out of its range.

    Example:
        >>> names = torch.tensor([[1.0, 0.0, 0.2], [0.0, 1.0, 0.2]])
        >>> head = NamedHead(3, 2, class_vectors=names)
        >>> head(torch.tensor([[0.9, 0.1, 0.0]])).argmax(1), head.kind
        (tensor([0]), 'mapped')

    Sources: this project, docs/embeddings.md. Class vectors from texts: Radford et al., "Learning transferable visual
    models from natural language supervision", ICML 2021. A residual map on frozen features: Gao et al.,
    "CLIP-Adapter: better vision-language models with feature adapters", IJCV 2024.
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        class_vectors: Tensor,
        learn_vectors: bool = False,
        **options: Unpack[HeadOptions],
    ) -> None:
        self.learn_vectors = bool(learn_vectors)
        self._given: Tensor | None = check_features(class_vectors, name="class_vectors", allow_zero=False).detach()
        chosen: dict[str, Any] = {"projection": "residual", "scale": NAMED_SCALE, **options}
        if chosen["projection"] in ("linear", "mlp"):
            chosen.setdefault("dim", class_vectors.shape[1])
        super().__init__(in_features, num_classes, **chosen)
        self._given = None

    def _initial_vectors(self, num_classes: int, like: Tensor) -> Tensor:
        if self._given is None:
            raise ValueError(
                f"a named head cannot draw vectors of {num_classes} classes; make a new head with their class_vectors."
            )
        if tuple(self._given.shape) != (num_classes, self.dim):
            raise ValueError(
                f"class_vectors must have shape (K, d) = ({num_classes}, {self.dim}), got {tuple(self._given.shape)}. "
                "Make them with the encoder that made the features, one row for each class."
            )
        return unit_normalize(self._given.double()).to(like)

    def _set_vectors(self, vectors: Tensor) -> None:
        if self.learn_vectors:
            self.register_parameter("weight", nn.Parameter(vectors))
        else:
            super()._set_vectors(vectors)

    def class_vectors(self) -> Tensor:
        """The class vectors, normalised: (K, dim)."""
        return unit_normalize(self.weight) if self.learn_vectors else self.weight


def class_text_vectors(
    texts: Sequence[str | Sequence[str]], encode: Callable[[list[str]], Any], *, templates: Sequence[str] = ("{}",)
) -> Tensor:
    """Class vectors (K, d) float32 from what the classes are called or described as.

    v_k is the mean of the unit vectors of every text of class k in every template, brought to norm 1. An underscore is
    read as a space.

    Args:
        texts: for each class its name, or several texts.
        encode: takes a list of M texts and gives (M, d): a tensor, an array or nested lists.
        templates: texts with one ``{}`` for the class text, such as ``"a question about {}"``.

    Raises:
        ValueError: no text, a template without ``{}``, or vectors of another number or without direction.

    Example:
        >>> encode = lambda texts: [[float(len(t)), t.count("card")] for t in texts]
        >>> class_text_vectors(["card", ["new_pin", "pin"]], encode).shape
        torch.Size([2, 2])

    Source: Radford et al., "Learning transferable visual models from natural language supervision", ICML 2021,
    section 3.1.4 (templates, averaged).
    """
    if isinstance(texts, str) or isinstance(templates, str):
        raise ValueError("texts and templates are lists; got one text. Put it into a list.")
    bare = [t for t in templates if t.count("{}") != 1]
    if not templates or bare:
        raise ValueError(f"a template is a text with one {{}} for the class, got {bare[0] if bare else 'none'!r}.")
    if not len(texts):
        raise ValueError("there are no class texts. Give a text, or several, for each class.")
    groups = [[t] if isinstance(t, str) else list(t) for t in texts]
    for k, group in enumerate(groups):
        if not group or not all(isinstance(t, str) and t.strip() for t in group):
            raise ValueError(f"class {k} has no text, or one that is empty: {group!r}. Describe it in a word or more.")
    filled = [[s.replace("{}", t.replace("_", " ")) for t in group for s in templates] for group in groups]
    flat = [text for group in filled for text in group]
    vectors = torch.as_tensor(encode(flat), device="cpu").detach().double()
    if vectors.ndim != 2 or len(vectors) != len(flat):
        raise ValueError(
            f"encode got {len(flat)} texts and must give one vector for each, gave {tuple(vectors.shape)}."
        )
    if len(wrong := (~vectors.isfinite().all(1)).nonzero().flatten()):
        raise ValueError(
            f"encode gave a vector with NaN or infinite values for {flat[int(wrong[0])]!r}. Look at the encoder; one "
            "with float16 weights may need float32."
        )
    check_features(vectors, name="vectors of the class texts", allow_zero=False)
    unit = unit_normalize(vectors)
    means = torch.stack([part.mean(0) for part in unit.split([len(group) for group in filled])])
    check_features(means, name="means of the class texts' vectors", allow_zero=False)
    return unit_normalize(means).float()

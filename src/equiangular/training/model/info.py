"""What a stored model is, beside its weights: names, shapes and numbers, all JSON-plain."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from equiangular._validate import check_choice, check_class_counts, did_you_mean
from equiangular.training.methods import RENAMED

FORMAT = 1
_LISTS = ("input_shape", "class_names", "class_counts", "mean", "std", "thresholds")


@dataclass(frozen=True)
class ModelInfo:
    """Everything that rebuilds a classifier and prepares its inputs.

    Attributes:
        method: name of the method it was trained with, see :func:`equiangular.training.get_method`.
        backbone: name of the backbone, see :func:`equiangular.models.make_backbone`.
        input_shape: shape of one input, (C, H, W) or (d,).
        class_names: K names; the index is the label.
        class_counts: K training samples per class, all above 0.
        mean: what is subtracted from the inputs: C numbers for images scaled to [0, 1], d for tables and texts.
        std: what the difference is divided by, of the same length.
        kind: ``"image"``, ``"table"``, ``"text"`` or ``"vectors"``.
        width: width of the backbone.
        size: images were padded to a square and resized to this height and width; None: they came in this size.
        spans: of images of more than 8 bits: the values that became 0 and 255, see
            :func:`equiangular.data.depth.to_bytes`.
        seed: training seed.
        head: kind and options of the head; filled in by :func:`save_model` from the head itself.
        correction: what turns logits into class probabilities, see :func:`equiangular.training.fit_correction`; None
            where there was no validation part to calibrate on.
        vocabulary: of texts: what turns them into features, see :func:`equiangular.data.texts.fit_vocabulary`.
        columns: of tables: d names of their numbers, in order, where the source has names.
        encoding: of tables: how the columns of a file become numbers, see :class:`equiangular.data.columns.Columns`.
        encoder: of vectors: what makes them of texts or images, see :func:`equiangular.encoders.describe`.
        inputs: digests of the inputs of the ``"training"`` and the ``"test"`` part, see
            :func:`equiangular.data.split.input_digests`, and of the ``"test labels"``.
        data: how the data was loaded: keyword arguments of :func:`equiangular.data.load_dataset`.
        balance: how far the sampler balanced the classes: class c was drawn with probability proportional to
            n_c^(1 - balance).
        thresholds: of the many/medium/few groups.
        epoch: epochs of training behind these weights.

    Raises:
        ValueError: lengths that do not agree, an empty class, or an unknown kind.

    Example:
        >>> info = ModelInfo("etf-la", "mlp", (4,), ("a", "b"), (30, 3), (0.0,) * 4, (1.0,) * 4, kind="table")
        >>> ModelInfo.from_dict(info.as_dict()) == info
        True
    """

    method: str
    backbone: str
    input_shape: tuple[int, ...]
    class_names: tuple[str, ...]
    class_counts: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    kind: str = "image"
    width: float = 1.0
    size: int | None = None
    spans: dict[str, tuple[float, float]] = field(default_factory=dict)
    seed: int = 0
    head: dict[str, Any] = field(default_factory=dict)
    correction: dict[str, Any] | None = None
    vocabulary: dict[str, Any] | None = None
    columns: tuple[str, ...] | None = None
    encoding: dict[str, Any] | None = None
    encoder: dict[str, Any] | None = None
    inputs: dict[str, str] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    balance: float = 0.0
    thresholds: tuple[int, int] = (20, 100)
    epoch: int | None = None

    def __post_init__(self) -> None:
        for name in (*_LISTS, "columns"):  # tuples, whatever sequence came
            value = getattr(self, name)
            if value is not None:
                value = value.tolist() if hasattr(value, "tolist") else value
                object.__setattr__(self, name, tuple(value))
        object.__setattr__(self, "spans", {kind: tuple(span) for kind, span in self.spans.items()})
        check_choice(self.kind, ("image", "table", "text", "vectors"), "kind")
        if len(self.class_names) < 2:
            raise ValueError(f"a model needs at least two class names, got {len(self.class_names)}.")
        check_class_counts(list(self.class_counts), len(self.class_names))
        for name in ("mean", "std"):
            if len(getattr(self, name)) != self.input_shape[0]:
                raise ValueError(
                    f"{name} has {len(getattr(self, name))} entries for inputs of shape {self.input_shape}; it needs "
                    f"{self.input_shape[0]}, one for each {'channel' if self.kind == 'image' else 'column'}."
                )

    @property
    def reads(self) -> str:
        """What it reads: of vectors what their encoder takes, else ``kind``."""
        return str((self.encoder or {}).get("modality", self.kind)) if self.kind == "vectors" else self.kind

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.class_names)

    def as_dict(self) -> dict[str, Any]:
        """JSON-plain values, the format's version among them."""
        values = asdict(self)
        values["spans"] = {kind: list(span) for kind, span in self.spans.items()}
        return {"format": FORMAT, **{k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelInfo:
        """The inverse of :meth:`as_dict`.

        Raises:
            ValueError: written by a newer version of the library, or keys that are missing or unknown.
        """
        values = dict(values)
        version = values.pop("format", None)
        if not isinstance(version, int) or version < 1:
            raise ValueError(f"no format number where one is expected, got {version!r}.")
        if version > FORMAT:
            raise ValueError(
                f"it is of format {version}, and this version of equiangular reads up to {FORMAT}. "
                "Update with: pip install -U equiangular"
            )
        known = [f.name for f in fields(cls)]
        for key in values:
            if key not in known:
                raise ValueError(f"unknown key {key!r}{did_you_mean(key, known)}")
        if not isinstance(values.get("method"), str):
            raise ValueError(f"method must be the name of one, got {values.get('method')!r}.")
        values["method"] = RENAMED.get(values["method"], values["method"])
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"its description is incomplete: {error}.") from error

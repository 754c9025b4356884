"""What a trial and a training run are told: flat, JSON-plain dataclasses in which every field is documented."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from equiangular._checks import check_choice, check_data_name, check_imbalance_factor, check_int, check_positive
from equiangular._choices import MEMORIES, PROFILES, PROTOCOLS, Memory, Profile, Protocol
from equiangular.training.config.budget import Budget, check_share, fingerprint

Accelerator = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["32-true", "bf16-mixed", "16-mixed", "64-true"]
Strategy = Literal["auto", "ddp", "fsdp"]
ACCELERATORS: tuple[Accelerator, ...] = get_args(Accelerator)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)


@dataclass(frozen=True)
class Numerics:
    """What of the computation changes a result by more than rounding.

    Attributes:
        precision: ``"32-true"``, ``"bf16-mixed"``, ``"16-mixed"`` or ``"64-true"``.
        accumulate: parts that a batch is computed in, one after the other, to save memory. BatchNorm sees the parts.
    """

    precision: Precision = "32-true"
    accumulate: int = 1

    def __post_init__(self) -> None:
        check_choice(self.precision, PRECISIONS, "precision")
        check_int(self.accumulate, "accumulate", minimum=1)


@dataclass(frozen=True)
class Hardware(Numerics):
    """Devices and processes; the fields of :class:`Numerics` are its own too.

    Attributes:
        accelerator: ``"auto"`` takes a GPU if there is one; else ``"cpu"``, ``"cuda"`` or ``"mps"``.
        devices: processes on this machine, one device each. Under ``torchrun`` and SLURM their numbers are taken.
        num_nodes: machines.
        strategy: ``"auto"`` is DDP for several processes; ``"fsdp"`` spreads the weights over them as well.
        compile: torch.compile for the backbone.
        channels_last: images and convolutions with the channels last in memory.
        workers: processes that decode images of data sets too large for memory.
        threads: CPU threads of each process; 0 leaves it to PyTorch (one for each of several processes).

    Raises:
        ValueError: a field is out of range; the message names it.

    Example:
        >>> Hardware(devices=2).strategy
        'auto'
    """

    accelerator: Accelerator = "auto"
    devices: int = 1
    num_nodes: int = 1
    strategy: Strategy = "auto"
    compile: bool = False
    channels_last: bool = False
    workers: int = 0
    threads: int = 0

    def __post_init__(self) -> None:
        check_choice(self.accelerator, ACCELERATORS, "accelerator")
        check_choice(self.strategy, STRATEGIES, "strategy")
        super().__post_init__()
        if self.strategy == "fsdp" and self.precision not in ("32-true", "bf16-mixed"):
            raise ValueError(f"strategy='fsdp' works in 32-true and bf16-mixed, got precision={self.precision!r}.")
        for name in ("devices", "num_nodes"):
            check_int(getattr(self, name), name, minimum=1)
        for name in ("workers", "threads"):
            check_int(getattr(self, name), name, minimum=0)


_FORMAT = 2  # of what a trial comes to: a new number makes every stored trial run again


@dataclass(frozen=True)
class DataOptions:
    """The data of a run and how they are cut.

    Attributes:
        data: name of a data set or a path, see :func:`equiangular.data.load_dataset`.
        encoder: work on the features of a pretrained encoder, made once and cached: auto, minilm (texts),
            efficientnet-lite0 (images), st:NAME, hf-text:NAME, timm:NAME, torchvision:NAME or hf-image:NAME,
            see `equiangular list encoders`.
        label: of a file of rows (CSV, TSV, parquet, feather): the column to learn.
        drop: of a file of rows: columns to leave out, with commas between them.
        root: folder of named data sets; by default the environment variable EQUIANGULAR_DATA.
        size: pad images to a square and resize them to this height and width, in pixels. Where images differ in size
            and none is given, one is chosen and told.
        skip_broken: leave out images, texts and rows that cannot be read, and record which. By default one image, or
            one in twenty, is left out; of more, and of rows, all are listed, and nothing is trained.
        memory: ``"auto"``, ``"memory"`` or ``"stream"``: whether images are decoded once or at every use.
        split_seed: seed of the test split, where the source has none of its own.
        imbalance: imbalance factor n_max / n_min of the training cut; 1 keeps the data as they are.
        profile: profile of the class sizes, ``"exp"`` or ``"step"``.
        protocol: how the samples of the cut are chosen: ``"local"``, or ``"cao2019"`` as for the published CIFAR-LT.
        subset_seed: seed of the cut and of the validation part, apart from the training seed.
        validation: fraction of each class held out of training for validation and calibration; 0 holds nothing out
            (a single training only).
        thresholds: few-shot classes have fewer than the first, many-shot ones more than the second (training samples).
    """

    data: str = "digits"
    encoder: str | None = None
    label: str | None = None
    drop: str | None = None
    root: str | None = None
    size: int | None = None
    skip_broken: bool | None = None
    memory: Memory = "auto"
    split_seed: int = 0
    imbalance: float = 1.0
    profile: Profile = "exp"
    protocol: Protocol = "local"
    subset_seed: int = 0
    validation: float = 0.2
    thresholds: tuple[int, int] = (20, 100)

    def __post_init__(self) -> None:
        check_data_name(self.data)
        check_imbalance_factor(self.imbalance)
        check_choice(self.profile, PROFILES, "profile")
        check_choice(self.protocol, PROTOCOLS, "protocol")
        check_choice(self.memory, MEMORIES, "memory")
        if self.size is not None:
            check_int(self.size, "size", minimum=1)
        for name in ("split_seed", "subset_seed"):
            check_int(getattr(self, name), name, minimum=0)
        check_share(self.validation, "validation", hint="0.2 holds out a fifth.")


@dataclass(frozen=True)
class Trial(Numerics, Budget, DataOptions):
    """One trial: everything that the result of one training depends on, and nothing else.

    The fields of ``DataOptions``, ``Budget`` and ``Numerics`` are its own too. ``train`` is one trial with checkpoints,
    a comparison is methods x seeds, a study cells x settings x seeds.

    Attributes:
        method: name of the method, see `equiangular list methods`.
        head: options of the head beside those of the method, such as ``{"norm": "batch", "scale": 0.5}``;
            on the command line ``norm=batch,scale=0.5``.
        backbone: name of the backbone, see `equiangular list backbones`; ``"auto"`` fits the data.
        width: multiplies the sizes of the backbone's layers.
        pretrained: start from the weights that timm, torchvision or Hugging Face publishes for the backbone.
        seed: training seed: initial weights, order of the samples, augmentation, dropout.

    Raises:
        ValueError: a field is out of range; the message names it.

    Example:
        >>> trial = Trial(data="digits", method="etf-la", epochs=3)
        >>> trial.fingerprint({"training inputs": "0a"}) == trial.fingerprint({"training inputs": "0b"})
        False
    """

    method: str = "recommended"
    head: dict[str, Any] = field(default_factory=dict)
    backbone: str = "auto"
    width: float = 1.0
    pretrained: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for part in (DataOptions, Budget, Numerics):
            part.__post_init__(self)
        check_positive(self.width, "width")
        check_int(self.seed, "seed", minimum=0)

    def as_dict(self) -> dict[str, Any]:
        """JSON-plain values, in an order made for reading."""
        values = asdict(self)
        values["thresholds"] = list(self.thresholds)
        first = ["data", *(f.name for f in fields(Trial) if f.name in Trial.__annotations__)]
        return {name: values[name] for name in [*first, *(n for n in values if n not in first)]}

    def decisive(self) -> dict[str, Any]:
        """The values that a result depends on: all but where the data lie, where it runs, what is written meanwhile.

        Images that were left out are missing from the content of the data, which decides beside these.
        """
        unsaid = {name for name in ("encoder", "label", "drop") if getattr(self, name) is None}
        free = {"root", "memory", "skip_broken", *unsaid}
        known = {f.name for f in fields(Trial)} - free
        return {name: value for name, value in self.as_dict().items() if name in known}

    def fingerprint(self, content: Mapping[str, str], training: str = "") -> str:
        """Hash of all that the result depends on: :meth:`decisive` without the path, and the content of the data.

        Args:
            content: see :func:`equiangular.data.content_digest`.
            training: name of the training, where several methods share one; the method's by default.
        """
        values = {**self.decisive(), "method": training or self.method, "content": dict(content), "format": _FORMAT}
        del values["data"]
        return fingerprint({name: float(v) if type(v) is int else v for name, v in values.items()})


@dataclass(frozen=True)
class TrainConfig(Hardware, Trial):
    """Everything a training run is told: the fields of :class:`Trial` and ``Hardware`` are its own too.

    Attributes:
        checkpoint_epochs: epochs from one checkpoint to the next; 0 writes none by epochs.
        checkpoint_minutes: minutes after which one is written within an epoch; 0 writes none by time.
        collapse_epochs: epochs from one measurement of neural collapse on the training part to the next, written into
            metrics.csv; 0 measures none. See also ``equiangular measure RUN``.
        loggers: loggers beside metrics.csv, by name, with commas: ``"tensorboard"``, ``"wandb"``, ``"mlflow"`` ...

    Raises:
        ValueError: a field is out of range; the message names it.

    Example:
        >>> TrainConfig(data="digits", method="etf-la", epochs=3).learning_rate
        0.1
    """

    checkpoint_epochs: int = 1
    checkpoint_minutes: float = 10.0
    collapse_epochs: int = 0
    loggers: str = ""

    def __post_init__(self) -> None:
        Trial.__post_init__(self)
        Hardware.__post_init__(self)
        if self.ema and self.strategy == "fsdp":
            raise ValueError(
                "ema keeps a whole copy of the weights, which strategy='fsdp' spreads: choose one of them."
            )
        if self.optimizer == "muon" and self.strategy == "fsdp":
            raise ValueError("optimizer='muon' needs whole kernels, which strategy='fsdp' spreads: choose one of them.")
        check_int(self.checkpoint_epochs, "checkpoint_epochs", minimum=0)
        check_int(self.collapse_epochs, "collapse_epochs", minimum=0)
        if not self.checkpoint_minutes >= 0:
            raise ValueError(f"checkpoint_minutes must be at least 0, got {self.checkpoint_minutes!r}.")

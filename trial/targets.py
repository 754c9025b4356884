"""What is fuzzed: every reader of a file or a text, and every command, each with inputs that are nearly right."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from equiangular._guarded import parse_json, parse_yaml
from trial import mutate
from trial.commands import run
from trial.tables import arrow_file, text_file

Try = Callable[[random.Random, Path], object]


class Target(NamedTuple):
    """A name, how often it is tried of all times, and a try: with chances, in a folder that is empty."""

    name: str
    share: int
    attempt: Try


def targets(seeds: Path) -> list[Target]:
    """All of them; ``seeds`` is the folder that :func:`trial.fuzz.plant` filled."""
    return [*_texts(), *_files(seeds), *_data(seeds), *_inputs(seeds), *_commands(seeds)]


def _texts() -> list[Target]:
    """Texts that are parsed, and options that are mappings."""
    from equiangular.cli._fields import parse_texts
    from equiangular.training import TrainConfig
    from equiangular.training.augment import Augmentation, Mixing
    from equiangular.training.config.files import make_config
    from equiangular.training.run.folder import check_names

    good = {"a": [1, {"b": "c"}], "d": 1.5, "e": None}

    def json_text(chance: random.Random, _: Path) -> object:
        return parse_json(mutate.content(chance, repr(good).replace("'", '"').replace("None", "null").encode()))

    def yaml_text(chance: random.Random, _: Path) -> object:
        text = mutate.content(chance, b"a:\n  - 1\n  - {b: c}\nd: 1.5\ne: 2020-01-01\n").decode(errors="replace")
        return parse_yaml(text, what="it")

    def option(chance: random.Random, _: Path) -> object:
        usual = ("norm=batch", "scale=0.5", "drop_rate=0.2", "scale=auto", "normalize=false", "dim=3")
        text = ",".join(chance.choice((*usual, *mutate.TOKENS)) for _ in range(chance.randint(1, 3)))
        if chance.random() < 0.5:
            text = mutate.content(chance, text.encode()).decode(errors="replace")
        name = chance.choice(("head", "thresholds", "method_options", "augment", "mix", "sampler", "method"))
        given = {"head": "head", "thresholds": "thresholds"}.get(name, name)
        fields = {f: text for f in (given,) if f in TrainConfig.__dataclass_fields__}
        config = make_config(TrainConfig, {"data": "iris"}, parse_texts(TrainConfig, fields), where="the options")
        check_names(config)
        return Augmentation.parse(config.augment), Mixing.parse(config.mix)

    def configuration(chance: random.Random, _: Path) -> object:
        changed = mutate.value(chance, TrainConfig(data="iris").as_dict())
        return make_config(TrainConfig, changed if isinstance(changed, dict) else {"data": changed}, where="it")

    return [
        Target("JSON text", 60, json_text), Target("YAML text", 40, yaml_text), Target("options", 50, option),
        Target("configuration", 15, configuration),
    ]  # fmt: skip


def _changed(seed: Path, make: mutate.Maker, read: Callable[[Path], Any], *, name: str | None = None) -> Try:
    given = seed.read_bytes()

    def attempt(chance: random.Random, folder: Path) -> object:
        path = folder / (name or seed.name)
        make(chance, path, given)
        return read(path)

    return attempt


def _in_copy(source: Path, file: str, make: mutate.Maker, read: Callable[[Path], Any]) -> Try:
    """A folder of several files of which one is changed."""
    given = (source / file).read_bytes()

    def attempt(chance: random.Random, folder: Path) -> object:
        copy = folder / "run"
        shutil.copytree(source, copy)
        make(chance, copy / file, given)
        return read(copy)

    return attempt


def _files(seeds: Path) -> list[Target]:
    """Files of this library."""
    from equiangular.closed_form import load_closed_form
    from equiangular.encoders.class_names import read_class_texts
    from equiangular.frames.io import load_frame
    from equiangular.inference import read_prior
    from equiangular.longtail import SubsetManifest
    from equiangular.report.together import page_of_results, read_results
    from equiangular.training import load_model
    from equiangular.training.run.checkpoint import read_checkpoint
    from equiangular.training.run.folder import RunFolder

    run_folder, some = seeds / "run", seeds / "some"

    def shown(path: Path) -> object:
        try:
            return page_of_results([("a", kind, content) for kind, content in read_results(path)])
        except (AttributeError, IndexError, KeyError, TypeError) as error:  # the command says so too
            raise ValueError(str(error)) from error

    def model(path: Path) -> object:
        task, info = load_model(path)
        return task(torch.zeros(2, *info.input_shape))

    def folder_of(path: Path) -> object:
        folder = RunFolder(path)
        return folder.read_config(), folder.read_provenance(), folder.read_results()

    found = [
        Target("model", 4, _changed(run_folder / "model" / "model.safetensors", mutate.safetensors_file, model)),
        Target("checkpoint", 4, _changed(run_folder / "checkpoint" / "state.safetensors", mutate.safetensors_file,
                                         read_checkpoint)),
        Target("manifest", 12, _changed(run_folder / "manifest.json", mutate.json_file, SubsetManifest.load)),
        Target("frame", 12, _changed(some / "f.safetensors", mutate.safetensors_file, load_frame)),
        Target("frame, npy", 12, _changed(some / "f.npy", mutate.npy_file, load_frame)),
        Target("closed form", 4, _changed(some / "closed.safetensors", mutate.safetensors_file, load_closed_form)),
        Target("class texts", 12, _changed(some / "texts.json", mutate.json_file, read_class_texts)),
        Target("prior", 12, _changed(some / "prior.json", mutate.json_file,
                                    lambda p: read_prior(str(p), ["setosa", "versicolor", "virginica"]))),
    ]  # fmt: skip
    for file in ("config.yaml", "provenance.json", "results.json"):
        make = mutate.bytes_file if file.endswith("yaml") else mutate.json_file
        found.append(Target(f"run, {file}", 3, _in_copy(seeds / "bare", file, make, folder_of)))
    for name in ("run", "comparison", "evaluation", "measures"):
        file = next(f for f in ("results.json", "evaluation.json", "measures.json") if (seeds / name / f).exists())
        found.append(Target(f"page of {name}", 2, _changed(seeds / name / file, mutate.json_file, shown)))
    return found


def _data(seeds: Path) -> list[Target]:
    """Data of every form."""
    from equiangular.data import load_dataset
    from equiangular.measures.feature_files import measure_file, read_features

    some = seeds / "some"
    forms: dict[str, mutate.Maker] = {
        "rows.csv": text_file, "rows.tsv": text_file, "rows.parquet": arrow_file, "rows.feather": arrow_file,
        "rows.npz": mutate.npz_file, "rows.npy": mutate.npy_file, "rows.safetensors": mutate.safetensors_file,
    }  # fmt: skip
    found = [Target(f"data, {n}", 10, _changed(some / n, make, load_dataset)) for n, make in forms.items()]
    found.append(
        Target("data, raw", 2, _changed(some / "rows.parquet", arrow_file, lambda p: load_dataset(p, raw=True)))
    )

    def labels_beside(chance: random.Random, folder: Path) -> object:
        mutate.npy_file(chance, folder / "rows.npy", (some / "rows.npy").read_bytes())
        mutate.npy_file(chance, folder / "labels.npy", (some / "labels.npy").read_bytes())
        return load_dataset(folder / "rows.npy")

    def folder_of_tables(chance: random.Random, folder: Path) -> object:
        ending = chance.choice((".csv", ".parquet"))
        for stem in ("train", "test"):
            make = text_file if ending == ".csv" else arrow_file
            make(chance, folder / f"{stem}{ending}", (some / f"rows{ending}").read_bytes())
        return load_dataset(folder)

    def pictures(chance: random.Random, folder: Path) -> object:
        for i in range(chance.randint(1, 5)):
            place = folder / chance.choice(("a", "b", "train/a", "test/a", ".x", "c.d"))
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{i}.{chance.choice(('png', 'jpg', 'tif', 'gif', 'webp', 'txt'))}").write_bytes(
                mutate.picture(chance)
            )
        return load_dataset(folder, size=chance.choice((None, 8)), skip_broken=chance.random() < 0.5 or None)

    def features(path: Path) -> object:
        return measure_file(read_features(path), global_mean="class", groups=True, covariance=True)

    found += [Target("data, labels beside", 3, labels_beside), Target("data, folder of tables", 3, folder_of_tables),
              Target("data, folder of images", 6, pictures)]  # fmt: skip
    for name in ("rows.npz", "rows.parquet", "rows.safetensors"):
        found.append(Target(f"features, {name}", 4, _changed(some / name, forms[name], features)))
    return found


def _inputs(seeds: Path) -> list[Target]:
    """What stored models predict."""
    from equiangular.inference import list_inputs, predict_files, read_inputs
    from equiangular.training import Classifier, load_model

    some, found = seeds / "some", []
    forms: dict[str, mutate.Maker] = {
        "rows.csv": text_file, "rows.parquet": arrow_file, "rows.npz": mutate.npz_file, "rows.npy": mutate.npy_file,
        "rows.safetensors": mutate.safetensors_file, "rows.txt": mutate.bytes_file,
    }  # fmt: skip
    for model in ("iris", "mixed", "texts", "digits", "vectors"):
        task, info = load_model(seeds / model)
        classifier = Classifier(task, info)

        def predict(path: Path, classifier: Any = classifier, info: Any = info) -> object:
            return list(predict_files(classifier, read_inputs(list_inputs([path], info.reads), info)))

        for name, make in forms.items():
            found.append(Target(f"predict {model}, {name}", 2, _changed(some / name, make, predict)))
        if info.reads == "image":

            def one(chance: random.Random, folder: Path, predict: Any = predict) -> object:
                path = folder / chance.choice(("a.png", "a.jpg", "a.tiff", "a.webp"))
                path.write_bytes(mutate.picture(chance))
                return predict(path)

            found.append(Target("predict digits, image", 6, one))
    return found


_LEFT = {  # options that ask for other processes, machines or places, or for nothing but help
    "output", "cache", "root", "devices", "num_nodes", "nodes", "workers", "jobs", "help", "strategy", "loggers",
    "threads", "file", "config", "class_texts",
}  # fmt: skip
_COUNTS = {"epochs", "seeds", "restarts", "trials", "k", "d", "num_classes", "dim", "batch_size", "top_k", "width"}


def _commands(seeds: Path) -> list[Target]:
    """Every command with one to three options of odd values, or on an odd file."""
    from typer.main import get_command

    from equiangular.cli.app import app

    commands: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
    some = seeds / "some"
    base = {
        "train": ["{rows}", "-o", "{out}", "--epochs", "1", "--method", "linear-ce"],
        "compare": ["{rows}", "-o", "{out}", "--epochs", "1", "--methods", "linear-ce,etf-ce", "--seeds", "1",
                    "--tune", "none"],
        "resume": ["{run}"], "evaluate": ["{run}", "-o", "{out}"], "predict": ["{run}", "{rows}", "-o", "{out}/p.csv"],
        "frame": ["4", "3", "-o", "{out}/f.npy"], "measure": ["{run}", "-o", "{out}"],
        "report": ["{run}", "-o", "{out}/r.html"], "list": [], "doctor": [],
        "embed": ["{rows}", "-o", "{out}/e.safetensors", "--cache", "{out}/c"],
        "export": ["{run}", "{out}/m.pt2"], "theory": ["--quick", "-o", "{out}", "--class-counts", "3,x"],
    }  # fmt: skip

    def attempt_of(name: str) -> Try:
        options = [p for p in commands[name].params if p.opts[0].startswith("--") and p.name not in _LEFT]
        flags = [p for p in options if getattr(p, "is_flag", False)]

        def attempt(chance: random.Random, folder: Path) -> object:
            ending = chance.choice((".csv", ".csv", ".parquet", ".npz"))
            rows, out, copy = folder / f"rows{ending}", folder / "out", folder / "run"
            out.mkdir()
            given = (some / rows.name).read_bytes()
            if chance.random() < 0.5:
                rows.write_bytes(given)
            else:
                {".csv": text_file, ".parquet": arrow_file, ".npz": mutate.npz_file}[ending](chance, rows, given)
            shutil.copytree(seeds / "iris", copy)
            told = [part.format(rows=rows, out=out, run=copy) for part in base[name]]
            for option in chance.sample(options, min(len(options), chance.randint(0, 3))):
                told.append(chance.choice([*option.opts, *option.secondary_opts]))
                if option not in flags:
                    values = ("-1", "0", "1", "2", "0.5", "nan", "1e-9", "a", "", "a=1", "1,2", "[1]", "{", "none")
                    told.append(chance.choice(values[:4] if option.name in _COUNTS else (*values, *mutate.TOKENS)))
            told = [text.replace("\x00", "") for text in told]  # no command line has it
            return run([name, *told, *(["-q"] if any("-q" in p.opts for p in options) else [])])

        return attempt

    return [Target(f"command {name}", 1, attempt_of(name)) for name in base]

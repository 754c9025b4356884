"""``equiangular measure PATH...``: neural collapse of stored features over epochs, or of the model of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from equiangular.cli._drawing import can_draw
from equiangular.cli._fields import Quiet, names_of, progress_bar
from equiangular.cli._screen import Json, Screen


def measure(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...",
            help="Runs of 'equiangular train' (or a model folder in one, such as RUN/best), measured on their own "
            "training samples; or feature files (.npz, .parquet, .safetensors) with features and labels, and weight, "
            "logits or ood_features if there are. Several files, or a folder of them, are epochs, in the order of the "
            "last number in their names. Several runs or folders are put side by side.",
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Folder for measures.json and report.html.")
    ] = None,
    global_mean: Annotated[str, typer.Option(help="Global mean: class or sample.")] = "class",
    groups: Annotated[
        bool, typer.Option("--groups/--no-groups", help="Also many-, medium- and few-shot classes, by counts.")
    ] = False,
    covariance: Annotated[
        bool, typer.Option("--covariance/--no-covariance", help="NC1 (pinv) and VCI, which need a d x d matrix.")
    ] = True,
    layers: Annotated[
        str | None,
        typer.Option(
            metavar="LAYERS", help="Of a run: collapse through the depth. Names with commas, or auto for all stages."
        ),
    ] = None,
    root: Annotated[
        str | None, typer.Option(metavar="DIR", help="Folder of named data sets, if it is not that of the run.")
    ] = None,
    accelerator: Annotated[str, typer.Option(help="Of a run: auto, cpu, cuda or mps.")] = "auto",
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Measure neural collapse: every measure in one pass, safe near collapse."""
    from equiangular._files import prepare_folder, write_json
    from equiangular._validate import check_choice

    check_choice(global_mean, ("class", "sample"), "global_mean")
    draws = output is not None and can_draw(figures=False)
    if output is not None:
        prepare_folder(output)
    from equiangular._provenance import provenance
    from equiangular.report.collapse import collapse_table, comparison_table, rows_table, write_collapse_page

    options = {"global_mean": global_mean, "groups": groups, "covariance": covariance}
    of_run = {"layers": layers if layers == "auto" else names_of(layers), "root": root}
    series = []
    for name, files in _series(paths).items():
        if files is not None and layers is not None:
            raise ValueError(f"--layers needs the model of a run, and {name!r} has stored features only.")
        if files is None:
            series.append(_measure_run(Path(name), accelerator, {**options, **of_run}, quiet=quiet))
        else:
            series.append(_measure_files(name, files, options, quiet=quiet))
    screen = Screen(as_json)
    for one in series:
        if len(one["curve"]) > 1:
            screen.print(rows_table(dict(zip(one["epochs"], one["curve"], strict=True)), "epoch", one["name"]))
        if one["layers"]:
            screen.print(rows_table(one["layers"], "layer", one["name"]))
    if len(series) == 1:
        screen.print(collapse_table(series[0]["measures"], series[0]["name"]))
    else:
        screen.print(comparison_table({one["name"]: one["measures"] for one in series}, "side by side"))
    if output is None and not as_json:
        return
    results = {"series": series, **options, "provenance": provenance()}
    if output is not None:
        written = [write_json(output / "measures.json", results)]
        if draws:
            written.append(write_collapse_page(results, output / "report.html"))
        screen.print(f"wrote {' and '.join(map(str, written))}")
    screen.document(results)


def _series(paths: list[Path]) -> dict[str, list[Path] | None]:
    """Name -> feature files, or None for a run; loose files are one series."""
    from equiangular.measures.feature_files import SUFFIXES

    series: dict[str, Any] = {}
    loose = []
    for path in dict.fromkeys(p.expanduser() for p in paths):
        if not path.is_dir():
            loose.append(path)
        elif any((path / name).exists() for name in ("config.yaml", "model.safetensors")):
            series[str(path)] = None
        else:
            series[str(path)] = sorted(q for q in path.iterdir() if q.suffix in SUFFIXES)
            if not series[str(path)]:
                raise ValueError(
                    f"{str(path)!r} holds neither a run of 'equiangular train' nor a feature file; those end in "
                    f"{', '.join(SUFFIXES)}."
                )
    if loose:
        series[str(loose[0]) if len(loose) == 1 else f"{loose[0]} ... {loose[-1].name}"] = loose
    return series


def _measure_files(name: str, files: list[Path], options: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    from rich.console import Console
    from rich.progress import track

    from equiangular._counted import counted
    from equiangular.measures.feature_files import epoch_of, measure_file, read_features
    from equiangular.report.collapse import as_series

    numbers = [epoch_of(path) for path in files]
    numbered = len(set(numbers)) == len(files) and None not in numbers
    if numbered:
        files = [path for _, path in sorted(zip(numbers, files, strict=True))]
    rows = []
    hidden = quiet or len(files) == 1
    for path in track(files, "measuring", console=Console(stderr=True), transient=True, disable=hidden):
        data = read_features(path)
        rows.append(measure_file(data, **options))
    shape = f"{counted(len(data.labels), 'sample')}, {data.num_classes} classes, width {data.features.shape[1]}"
    about = {"files": ", ".join(map(str, files)), "features": shape, "global mean": options["global_mean"]}
    return as_series(name, rows, sorted(numbers) if numbered else range(len(files)), about)


def _measure_run(path: Path, accelerator: str, options: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    from equiangular._device import choose_device
    from equiangular.report.collapse import as_series
    from equiangular.training.run.collapse import collapse_curve, measure_run, run_of

    device = choose_device(accelerator)
    with progress_bar("samples, twice", quiet=quiet) as bar:
        seen = bar.add_task(f"measuring {path}", total=None)
        run = measure_run(
            path,
            device=device,
            progress=lambda number: bar.advance(seen, number),
            loaded=lambda number: bar.update(seen, total=number),
            **options,
        )
    epochs, rows = collapse_curve(run_of(path))
    kept = [(e, r) for e, r in zip(epochs, rows, strict=True) if run.epoch is None or e < run.epoch]
    last = run.epoch if run.epoch is not None else len(kept)
    return as_series(
        str(path), [*(r for _, r in kept), run.measures], [*(e for e, _ in kept), last], run.about, run.layers
    )

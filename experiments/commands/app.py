"""The commands, registered. Those of a module with a parser of its own get its arguments as they are."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import typer

from equiangular.cli.app import one_line_paragraphs
from experiments.commands.redraw import redraw
from experiments.commands.reproduce import reproduce
from experiments.commands.studies import list_studies
from experiments.commands.summarise import summarise

# Command -> module, and what it does.
SCRIPTS = {
    "gpu": ("gpu.slices", "A slice of the long trainings on a GPU: ResNet-32, 200 epochs, long-tailed CIFAR."),
    "leaderboard": ("leaderboard", "Make LEADERBOARD.md from the kept results of studies, and keep new ones."),
    "recipe-search": ("recipe.search", "Search for the recipe: one change at a time, on validation data."),
    "recipe-table": ("recipe.table", "Make RECIPE.md from the kept results of the search."),
    "pretrained": ("pretrained.run", "Which part of a head on pretrained features gains? (docs/pretrained.md)"),
    "tune-digits": ("recipe.tune_digits", "Tune the head of every method of the main job on digits."),
}
QUESTIONS = {
    "alignment": "Does it pay to move a fixed frame to the class means? (docs/incremental.md)",
    "collapse-curves": "How does collapse go over the epochs of real training? (docs/collapse.md)",
    "features": "Classifiers on frozen features, without class names: computed or learned? (docs/embeddings.md)",
    "from-scratch": "ResNet-20 on images of 32 x 32, five heads and losses, three seeds. (docs/evidence.md)",
    "huge-k": "Ten thousand to a million classes: fixed, computed or learned class vectors? (docs/evidence.md)",
    "incremental": "Few-shot class-incremental learning after the NC-FSCIL protocol. (docs/incremental.md)",
    "named": "Do class names make the better classifier of embeddings? (docs/embeddings.md)",
    "open-set": "Which score and head tell unknown classes from known ones? (docs/open_set.md)",
    "prior": "What does correcting or estimating the class prior of classifiers give? (docs/integrations.md)",
    "real-data": "Does every kind of real data train, end to end, and how long does it take? (docs/training.md)",
    "rivals": "NTCE, NONL, space alignment and LIFT's start beside cross-entropy. (docs/evidence.md)",
    "small-dim": "Fewer dimensions than an ETF needs: which head trains best? (docs/frames.md)",
    "tables": "ETFClassifier beside scikit-learn's own classifiers. (docs/integrations.md)",
    "time-to-accuracy": "How soon does the recipe `fast` reach what `recommended` reaches? (docs/training.md)",
    "unlearned": "What only an unlearned head can do: federated rounds, averaging, forgetting. (docs/evidence.md)",
    "worth": "What are calibration on few samples, and an encoder for texts, worth? (docs/evaluation.md)",
    "transfer": "Do the features of a fixed head transfer as well as those of a learned one? (docs/transfer.md)",
}
_HELP = {"context_settings": {"help_option_names": ["-h", "--help"]}, "no_args_is_help": True}

app = typer.Typer(
    help="Studies, questions and the search for the recipe; run from the checkout. See experiments/README.md.",
    add_completion=False,
    pretty_exceptions_enable=False,
    **_HELP,
)
questions = typer.Typer(help="One question, answered by training networks; each has arguments of its own.", **_HELP)


def _script(module: str) -> Callable[[typer.Context], None]:
    def run(context: typer.Context) -> None:
        import_module(f"experiments.{module}").main(context.args)

    return run


def _register(group: typer.Typer, name: str, module: str, what: str) -> None:
    settings = {"allow_extra_args": True, "ignore_unknown_options": True}
    group.command(name, help=what, add_help_option=False, context_settings=settings)(_script(module))


for _command in (reproduce, summarise, redraw):
    app.command(help=one_line_paragraphs(_command))(_command)
app.command("list")(list_studies)
for _name, (_module, _what) in SCRIPTS.items():
    _register(app, _name, _module, _what)
for _name, _what in QUESTIONS.items():
    _register(questions, _name, f"questions.{_name.replace('-', '_')}", _what)
app.add_typer(questions, name="questions")

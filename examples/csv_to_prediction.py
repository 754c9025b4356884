"""From a CSV file to predictions in a file: train, score, predict.

The table is scikit-learn's wine: 178 rows, 13 numbers, three kinds. Any CSV with a header will do: numbers, categories,
dates, texts and empty cells are told apart. The same as three commands:

    equiangular train wine.csv --label kind -o runs/wine
    equiangular evaluate runs/wine
    equiangular predict runs/wine new.csv -o predictions.csv

    python examples/csv_to_prediction.py
"""

import csv
import tempfile
from pathlib import Path

from sklearn.datasets import load_wine

from equiangular.inference import evaluate, list_inputs, predict_files, read_inputs, write_predictions
from equiangular.training import Classifier, TrainConfig, train


def write_tables(folder: Path) -> tuple[Path, Path]:
    """`wine.csv`, with the column `kind`, and `new.csv`: one bottle of each kind, without it."""
    data = load_wine()
    new = (0, 60, 140)
    rows = [[*numbers, f"kind {kind}"] for numbers, kind in zip(data.data, data.target, strict=True)]
    files = {"wine.csv": [row for i, row in enumerate(rows) if i not in new], "new.csv": [rows[i][:-1] for i in new]}
    for name, lines in files.items():
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([[*data.feature_names, "kind"][: len(lines[0])], *lines])
    return folder / "wine.csv", folder / "new.csv"


def main() -> None:
    """Work in a temporary folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table, new = write_tables(folder)

        config = TrainConfig(data=str(table), label="kind", epochs=20, accelerator="cpu")
        train(config, folder / "run")

        classifier = Classifier.load(folder / "run")
        scores = evaluate(classifier)["scores"]
        print(f"balanced accuracy on the test part: {scores['balanced_accuracy']:.1f} %")

        inputs = read_inputs(list_inputs([new], classifier.info.reads), classifier.info)
        write_predictions(predict_files(classifier, inputs), folder / "predictions.csv")
        for line in (folder / "predictions.csv").read_text(encoding="utf-8").splitlines():
            print(line.removeprefix(f"{folder}/"))


if __name__ == "__main__":
    main()

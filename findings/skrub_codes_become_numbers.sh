#!/usr/bin/env bash
# skrub 0.11.0: text codes "001", "1" and "01" become one number, and a column of codes one numeric feature.
#
# Guess before the run: a column of Python strings is categorical to a TableVectorizer, so four codes give four indicator
# columns; numbers are what was read as numbers.
# Seen: strings of digits are parsed, so "001", "1" and "01" are all 1.0 and one numeric column comes out: a
# classifier cannot tell three of the four apart. With a letter before each code the four indicators come. Codes of
# products, clinics and postcodes are such columns: give them a categorical type, as the second control does.
# Output seen on 2026-11-28 (pandas 3.1.1, Python 3.11):
#   as text         ['code'] [[1.0], [1.0], [1.0], [7.0]]
#   as categories   4 columns
#   with a letter   4 columns
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q skrub==0.11.0 pandas==3.1.1 scikit-learn==1.9.1
"$work/venv/bin/python" - <<'PY'
import pandas as pd
from skrub import TableVectorizer

codes = ["001", "1", "01", "7"] * 5
text = TableVectorizer().fit_transform(pd.DataFrame({"code": codes}))
found = text.head(4).to_numpy(dtype=float).tolist()
print("as text        ", list(text.columns), found)
assert found == [[1.0], [1.0], [1.0], [7.0]]
for what, column in (("as categories", pd.Categorical(codes)), ("with a letter", [f"c{code}" for code in codes])):
    encoded = TableVectorizer().fit_transform(pd.DataFrame({"code": column}))
    print(f"{what}  ", encoded.shape[1], "columns")
    assert encoded.shape[1] == 4, what
PY
echo "as stated"

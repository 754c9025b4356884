#!/usr/bin/env bash
# pyarrow 26.0.1: compute.strptime takes dates that there are not, and years of two digits where %Y stands.
#
# Guess before the run: an ArrowInvalid, as Python's datetime.strptime raises for each of the three, and as Arrow's own
# cast of ISO texts does; with error_is_null=True a null.
# Seen: 31/02/2021 is 3 March 2021, 20/03/15 under %Y/%m/%d is 15 March of the year 20, and 13/05/21 under %d/%m/%Y lies in
# the year 21. Nothing is raised and nothing is null, so a column of a table whose years have two digits passes a search
# through date formats with the first that fits, and 1999 sorts after 2004. The C library's strptime is behind it: it
# reads up to four digits, and days up to 31 in any month.
# Output seen on 2026-11-28 (Python 3.11, glibc 2.36):
#   31/02/2021   %d/%m/%Y   arrow 2021-03-03   python ValueError
#   20/03/15     %Y/%m/%d   arrow 0020-03-15   python ValueError
#   13/05/21     %d/%m/%Y   arrow 0021-05-13   python ValueError
#   2021-02-30   cast       ArrowInvalid
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q pyarrow==26.0.1
"$work/venv/bin/python" - <<'PY'
import datetime

import pyarrow as pa
import pyarrow.compute as pc

cases = {
    ("31/02/2021", "%d/%m/%Y"): (2021, 3, 3),
    ("20/03/15", "%Y/%m/%d"): (20, 3, 15),
    ("13/05/21", "%d/%m/%Y"): (21, 5, 13),
}
for (text, form), expected in cases.items():
    found = pc.strptime(pa.array([text]), format=form, unit="us", error_is_null=True)
    date = tuple(part[0].as_py() for part in (pc.year(found), pc.month(found), pc.day(found)))
    try:
        datetime.datetime.strptime(text, form)
        python = "accepts"
    except ValueError:
        python = "ValueError"
    print(f"{text:12} {form:10} arrow {date[0]:04}-{date[1]:02}-{date[2]:02}   python {python}")
    assert date == expected and python == "ValueError"
try:
    pc.cast(pa.array(["2021-02-30"]), pa.timestamp("us"))
    raise SystemExit("the cast accepts 30 February")
except pa.ArrowInvalid:
    print(f"{'2021-02-30':12} {'cast':10} ArrowInvalid")
PY
echo "as stated"

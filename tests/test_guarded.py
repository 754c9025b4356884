import json
import time

import pytest
import yaml

from equiangular._guarded import DEPTH, YAML_SIZE, json_in, parse_json, parse_yaml

ALIASES = "a: &a [1, 1]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(20)
)


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def test_plain_values_are_those_of_the_libraries() -> None:
    text = 'a: [1, 2.5, null]\nb: {c: "x", d: true}\ne: 1e-3\n'
    assert parse_yaml(text, what="it") == yaml.safe_load(text)
    value = {"a": [1, {"b": [None, 1.5, "\u00e9"]}]}
    assert parse_json(json.dumps(value)) == parse_yaml(json.dumps(value), what="it") == value


@pytest.mark.parametrize("depth", [DEPTH + 1, 500, 100_000])
def test_deep_nesting_is_refused_at_any_depth(depth: int) -> None:
    assert parse_json(nested(DEPTH)) == parse_yaml(nested(DEPTH), what="it")
    for parse in (parse_json, lambda text: parse_yaml(text, what="it")):
        with pytest.raises(ValueError, match=f"nested more than {DEPTH} deep"):
            parse(nested(min(depth, 900)))
    with pytest.raises(ValueError, match="nest"):
        parse_yaml(nested(depth), what="it")
    with pytest.raises(ValueError, match=f"nested more than {DEPTH} deep"):
        parse_yaml("".join(f"{' ' * i}a:\n" for i in range(min(depth, 600))), what="it")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (ALIASES, r"it has the alias \*a; write out"),
        ("a: &a\n  <<: *a\n", r"alias \*a"),
        ("a: [", "line 1|line 2"),
        ("a: !!python/object:os.system {}", "could not determine a constructor"),
        ("a: 2024-99-99", "month must be in"),
        ("? [1, 2]\n: 3", "unhashable"),
        ("a: " + "9" * 5000, "limit"),
        ("a: \x00", "special characters|unacceptable character"),
        ("a" * (YAML_SIZE + 1), "the limit is 1,048,576"),
    ],
)
def test_text_that_means_nothing_is_a_message(text: str, told: str) -> None:
    started = time.process_time()
    with pytest.raises(ValueError, match=rf"the file is not YAML that can be read: .*({told})"):
        parse_yaml(text, what="the file")
    assert time.process_time() - started < 5


@pytest.mark.parametrize("text", ["{", "nope", "\ufeff{}x", b"\xff\xfe", "9" * 5000, '{"a": 1,}'])
def test_text_that_is_no_json(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_json(text)


def test_what_metadata_state() -> None:
    assert json_in({}, "names", list, "it") is None
    assert json_in({"names": ""}, "names", list, "it") is None
    with pytest.raises(ValueError, match="it: 'names' in its metadata must be a list in JSON, got 5"):
        json_in({"names": "5"}, "names", list, "it")
    with pytest.raises(ValueError, match="it: 'names' in its metadata is not JSON"):
        json_in({"names": "["}, "names", list, "it")

"""Reading YAML and JSON: JSON's types only, every part with its place, abuse with its cure."""

from __future__ import annotations

import pytest

from reconciler.limits import DEFAULT, NESTING_MAX, Limits
from reconciler.source.yaml import SyntaxFault, documents


def data_of(text: str) -> list[object]:
    found, faults = documents(text.encode())
    assert faults == ()
    return [document.data for document in found]


def fault_of(data: bytes | str) -> SyntaxFault:
    _, faults = documents(data.encode() if isinstance(data, str) else data)
    assert len(faults) == 1
    return faults[0]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("on", "on"),
        ("yes", "yes"),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("017", "017"),
        ("08.5", "08.5"),
        ("0x1f", "0x1f"),
        ("2024-01-02", "2024-01-02"),
        (".nan", ".nan"),
        ("10.0.0.7", "10.0.0.7"),
        ("'5'", "5"),
        ("!!str 5", "5"),
        ("5", 5),
        ("-0", 0),
        ("18446744073709551615", 2**64 - 1),
        ("1e5", 1e5),
        (".5", 0.5),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
    ],
)
def test_scalars_are_those_of_json(written: str, value: object) -> None:
    (found,) = data_of(f"a: {written}")
    assert found == {"a": value}
    assert isinstance(found, dict)
    assert type(found["a"]) is type(value)


def test_every_part_has_the_places_of_its_key_and_value() -> None:
    (document,), _ = documents(b"a:\n  - b: 1\n    c: [x, yy]\n")
    assert document.key_at(("a", 0, "c")) == (3, 5)
    assert document.value_at(("a", 0, "c")) == (3, 8)
    assert document.value_at(("a", 0, "c", 1)) == (3, 12)
    assert document.value_at(("a", 0, "missing", 4)) == (2, 5), "the deepest part that is there"


def test_columns_count_characters_not_bytes() -> None:
    (document,), _ = documents("'éé': 1".encode())
    assert document.value_at(("éé",)) == (1, 7)


def test_documents_of_one_file_are_told_apart_and_empty_ones_left_out() -> None:
    assert data_of("---\n---\na: 1\n---\n# nothing\n---\nb: 2\n") == [{"a": 1}, {"b": 2}]


def test_json_with_tabs_is_read() -> None:
    assert data_of('{\n\t"a": [1,\n\t\t"\\u00e9"]\n}') == [{"a": [1, "é"]}]


def test_a_byte_order_mark_is_no_content() -> None:
    assert data_of("\ufeffa: 1") == [{"a": 1}]


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        (b"a: 1\nb: \xff", "SRC001", (2, 4)),
        ("a: 1".encode("utf-16"), "SRC001", (1, 1)),
        ("a:\n\t- b", "SRC001", (2, 1)),
        ("a: 1\nb: x\x07", "SRC001", (2, 5)),
        ("a: 'x\n", "SRC001", (2, 1)),
        ("? {a: b}\n: c", "SRC001", (1, 3)),
        ("%YAML 1.9\n---\na: 1", "SRC001", (1, 1)),
        ("a: &x 1", "SRC004", (1, 4)),
        ("a: {b: *x}", "SRC004", (1, 8)),
        ("b: 1\n<<: {a: 1}", "SRC004", (2, 1)),
        ("a: !!python/object:os.system x", "SRC006", (1, 4)),
        ("!!binary a: x", "SRC006", (1, 1)),
        ("a: !x {}", "SRC006", (1, 4)),
        ("a: 1\n'a': 2", "SRC007", (2, 1)),
        ("a: {b: 1, b: 2}", "SRC007", (1, 11)),
        ("a: 1e400", "SRC011", (1, 4)),
        ("a: 18446744073709551616", "SRC011", (1, 4)),
        ("a: " + "9" * 5000, "SRC011", (1, 4)),
    ],
)
def test_abuse_is_refused_at_its_place(
    text: bytes | str, code: str, place: tuple[int, int]
) -> None:
    fault = fault_of(text)
    assert (fault.code, fault.place) == (code, place)


def test_a_quoted_merge_sign_is_a_key_like_any() -> None:
    assert data_of("'<<': 1") == [{"<<": 1}]


def test_an_alias_bomb_ends_at_its_first_anchor() -> None:
    bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]\n"
    assert fault_of(bomb).place == (1, 4)


@pytest.mark.parametrize("nested", ["[" * 10_000, "- " * 10_000, '{"a":' * 10_000])
def test_nesting_of_10_000_is_refused(nested: str) -> None:
    assert fault_of(nested).code == "SRC003"


def test_nesting_up_to_the_limit_is_read_and_one_more_is_not() -> None:
    def nested(depth: int) -> str:
        return "[" * depth + "]" * depth

    assert len(data_of(nested(NESTING_MAX))) == 1
    assert fault_of(nested(NESTING_MAX + 1)).code == "SRC003"


def test_documents_up_to_the_limit_are_read_and_one_more_is_not() -> None:
    assert len(data_of("--- a\n" * DEFAULT.documents)) == DEFAULT.documents
    fault = fault_of("--- a\n" * (DEFAULT.documents + 1))
    assert (fault.code, fault.place) == ("SRC005", (DEFAULT.documents + 1, 1))


def test_empty_documents_count_too() -> None:
    assert fault_of("---\n" * 100_000).code == "SRC005"


def test_bytes_up_to_the_limit_are_read_and_one_more_is_not() -> None:
    head = b"a: "
    assert documents(head + b"x" * (DEFAULT.blob_bytes - len(head)))[1] == ()
    assert fault_of(head + b"x" * (DEFAULT.blob_bytes - len(head) + 1)).code == "SRC002"


def test_what_stands_before_a_fault_is_kept() -> None:
    found, faults = documents(b"a: 1\n---\nb: *x\n")
    assert [document.data for document in found] == [{"a": 1}]
    assert faults[0].place == (3, 4)


def test_limits_are_those_given() -> None:
    limits = Limits(blob_bytes=20, documents=2)
    assert len(documents(b"--- a\n--- b\n", limits)[0]) == 2
    (fault,) = documents(b"--- a\n--- b\n--- c\n", limits)[1]
    assert (fault.code, "limits.documents" in fault.message) == ("SRC005", True)
    (fault,) = documents(b"x" * 21, limits)[1]
    assert (fault.code, "limits.blobBytes" in fault.message) == ("SRC002", True)

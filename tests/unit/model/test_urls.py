"""What Kuma's API takes for a URL, a path, host and port; `tests/verdicts` asked it of each."""

from __future__ import annotations

import pytest

from reconciler.urls import host_and_port, is_file_path, is_http_host_and_port, is_url


@pytest.mark.parametrize(
    "text",
    ["10.0.0.1:5000", "logs:5000", "a.bc", "http://a/x?y", "tcp://a.b:1", "u@logs:1", "[::1]:5000"],
)
def test_a_url_needs_no_scheme_and_no_dot_where_a_port_tells(text: str) -> None:
    assert is_url(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "logs",
        "a:b",
        "a b:1",
        ".a.com:1",
        "gopher://a.b",
        "/x:1",
        "a.b:999999",
        "a.b/%zz",
        "http://",
    ],
)
def test_what_is_no_url(text: str) -> None:
    assert not is_url(text)


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("a" * 2000 + ":1", False),
        ("a-" * 1000, False),
        ("a.b/" + "@" * 2000, True),
        ("a_" * 1000, False),
    ],
)
def test_a_long_text_is_judged_at_once(text: str, taken: bool) -> None:
    """An expression that backtracks would take longer than the universe has."""
    assert is_url(text) is taken


def test_a_path_is_absolute() -> None:
    assert all(map(is_file_path, ("/", "/dev/stdout", "C:\\x", "//")))
    assert not any(map(is_file_path, ("", "x", "./x", "C:x", "/a\x00", "C:\\a?")))


def test_host_and_port_of_an_agent_are_http_and_no_more() -> None:
    assert all(map(is_http_host_and_port, ("http://a:1", "HTTP://[::1]:65535", "http://:80")))
    for text in ("https://a:1", "http://a", "http://a:0", "http://a:65536", "http://a:1/", "a:1"):
        assert not is_http_host_and_port(text), text


def test_a_host_of_many_colons_stands_in_brackets() -> None:
    found = [("a", "1"), ("", "1"), ("a", ""), ("::1", "1")]
    assert list(map(host_and_port, ("a:1", ":1", "a:", "[::1]:1"))) == found
    assert not any(map(host_and_port, ("a", "::1:1", "[::1]", "[a]b:1", "a[:1", "[:1", "a:]")))

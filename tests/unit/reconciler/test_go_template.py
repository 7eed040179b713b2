"""Templates of host names: what Go makes of them, and what it refuses."""

from __future__ import annotations

import pytest

from reconciler.go_template import rendered
from reconciler.go_template_functions import TemplateError

SERVICE = {"Name": "web-1", "DisplayName": "web", "Namespace": "", "Mesh": "default"}


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("plain.mesh", "plain.mesh"),
        ("{{ .DisplayName }}.{{.Mesh}}.mesh", "web.default.mesh"),
        ('{{ label "kuma.io/zone" }}.mesh', "east.mesh"),
        ('{{ "k" | label | printf "%s-%d" }}', "east-%!d"),
        ("{{ print 1 2 .Mesh 0x1F }}{{ if lt 1 2 }}{{ 'a' }}{{ end }}", "1 2default3197"),
        ("{{ .Mesh | html | }}", "default"),
        ('{{ "k" | label | printf "%s-%s" .Mesh }}', "default-east"),
        ("a {{- /* gone */ -}} b", "ab"),
        ("a {{- .Mesh -}} b", "adefaultb"),
        ("{{ if .Namespace }}{{ .Namespace }}.{{ else }}none.{{ end }}mesh", "none.mesh"),
        ("{{ if .Namespace }}a{{ else if .Mesh }}b{{ else }}c{{ end }}", "b"),
        ('{{ if and .Mesh (eq .DisplayName "web" "db") }}x{{ end }}', "x"),
        ("{{ with .Mesh }}{{ . }}-{{ $.DisplayName }}{{ end }}", "default-web"),
        ("{{ $name := .DisplayName }}{{ $name }}", "web"),
        ("{{ slice .Mesh 0 3 }}{{ len .DisplayName }}", "def3"),
        ('{{ print "}}" }}', "}}"),
    ],
)
def test_a_template_makes_a_name(template: str, name: str) -> None:
    assert rendered(template, SERVICE, "east") == name


@pytest.mark.parametrize(
    "template",
    [
        "{{ .Mesh",
        "{{ }}",
        "{{ .Zone }}",
        "{{ .Mesh.Name }}",
        "{{ upper .Mesh }}",
        "{{ label }}",
        "{{ label 1 }}",
        "{{ $x }}",
        "{{ $x = .Mesh }}",
        "{{ end }}",
        "{{ if .Mesh }}a",
        "{{ if .Mesh }}a{{ else }}b{{ else }}c{{ end }}",
        "{{ .Mesh | .Name }}",
        "{{ .Mesh .Name }}",
        "{{ | }}",
        '{{ label("k") }}',
        "{{ not }}",
        "{{ call .Mesh }}",
        "{{ break }}",
        "{{ /* c */ }}",
        "{{ nil }}",
        "{{ eq .Mesh 1 }}",
        "{{ slice .Mesh 99 }}",
        "{{ (.Mesh }}",
        "{{ range .Mesh }}{{ end }}",
    ],
)
def test_a_template_that_go_refuses_is_one_fault(template: str) -> None:
    with pytest.raises(TemplateError):
        rendered(template, SERVICE, "east")


@pytest.mark.parametrize(
    "template",
    ['{{ define "x" }}a{{ end }}', "{{ index .Mesh 0 }}", "{{ if .Mesh }}" * 99, "a" * 9999],
)
def test_what_is_not_known_here_is_not_judged(template: str) -> None:
    assert rendered(template, SERVICE, "east") is None

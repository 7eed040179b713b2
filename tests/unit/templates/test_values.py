"""Templates with a few texts: what Go's text/template makes of them, and what it refuses."""

from __future__ import annotations

import pytest

from reconciler.templates.functions import Record
from reconciler.templates.tokens import TemplateError
from reconciler.templates.values import evaluated

VALUES = {"service": "web", "port": "80"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("plain", "plain"),
        ("{{.service}}.{{ .port }}.mesh", "web.80.mesh"),
        ("{{.other}}", "<no value>"),
        ("{{.other.more}}", "<no value>"),
        ("{{.}}", "map[port:80 service:web]"),
        ("a {{- .service -}} b", "awebb"),
        ("a {{.service }} b", "a web b"),
        ("a{{- /* said */ -}} b", "ab"),
        ('{{"a\\n\\u00e9"}}{{`\\n`}}', "a\né\\n"),
        ("{{'a'}} {{0x10}} {{017}} {{1_000}} {{1.50}} {{true}}", "97 16 15 1000 1.5 true"),
        ('{{printf "%s-%d-%05d" .service 7 42}}', "web-7-00042"),
        ('{{printf "%d" .service}}', "%!d(string=web)"),
        ('{{printf "%s"}}{{printf "a" 1}}', "%!s(MISSING)a%!(EXTRA int=1)"),
        ('{{.port | printf "%s:%s" .service}}', "web:80"),
        ("{{print 1 2 .service 3}}", "1 2web3"),
        ("{{len .service}}{{len .}}", "32"),
        ('{{index . "service"}}{{index . "other"}}{{slice .service 1 2}}', "webe"),
        ("{{if .service}}a{{else}}b{{end}}{{if .other}}c{{end}}", "a"),
        ('{{if eq .port "81"}}a{{else if eq .port "80" "82"}}b{{else}}c{{end}}', "b"),
        ("{{with .service}}{{.}}{{$.port}}{{else}}no{{end}}", "web80"),
        ("{{range $k, $v := .}}{{$k}}={{$v}};{{end}}", "port=80;service=web;"),
        ("{{range 3}}{{.}}{{if .}}{{break}}{{end}}{{end}}", "01"),
        ('{{range index . "x"}}a{{else}}b{{end}}', None),
        ("{{$x := .service}}{{if $x}}{{$x = .port}}{{end}}{{$x}}", "80"),
        ("{{and .service .port}}{{or .other .port}}{{not .other}}", "8080true"),
        ("{{(print .service).x}}", None),
        ("{{.service|}}", "web"),
        ('{{define "a"}}[{{.}}]{{end}}{{template "a" .port}}{{template "a"}}', "[80][<no value>]"),
        ('{{block "a" .service}}{{.}}{{end}}', "web"),
        ("{{lt 1 2}}{{ge 1.5 2.5}}{{ne .service nil}}", "truefalsetrue"),
    ],
)
def test_a_template_becomes_a_text(text: str, found: str | None) -> None:
    if found is None:
        with pytest.raises(TemplateError):
            evaluated(text, VALUES)
    else:
        assert evaluated(text, VALUES) == found


@pytest.mark.parametrize(
    "text",
    [
        "{{",
        "{{.service",
        "{{}}",
        "{{service}}",
        "{{upper .service}}",
        "{{.service.x}}",
        "{{.service | .port}}",
        "{{.service .port}}",
        '{{.service | "a"}}',
        "{{| .service}}",
        "{{nil}}",
        "{{$x}}",
        "{{$x = 1}}",
        "{{(.service}}",
        "{{.service)}}",
        '{{"a}}',
        '{{"\\z"}}',
        '{{"a""b"}}',
        "{{1a}}",
        "{{#}}",
        "{{if .service}}",
        "{{end}}",
        "{{else}}",
        "{{if .a}}{{else}}{{else}}{{end}}",
        "{{break}}",
        "{{range .service}}{{end}}",
        '{{template "a"}}',
        '{{define "a"}}b{{end}}{{define "a"}}c{{end}}',
        '{{if .a}}{{define "a"}}{{end}}{{end}}',
        '{{define "a"}}{{template "a"}}{{end}}{{template "a"}}',
        "{{eq .port 80}}",
        "{{lt true false}}",
        "{{len 1}}",
        "{{index . 1}}",
        "{{slice .service 2 9}}",
        "{{not}}",
        "{{/* never closed}}",
        "{{range 99999}}a{{end}}",
        "{{if .a}}" * 99,
        "{{" + "(" * 99 + "1" + ")" * 99 + "}}",
    ],
)
def test_what_go_refuses_is_refused(text: str) -> None:
    with pytest.raises(TemplateError):
        evaluated(text, VALUES)


SERVICE = Record(Name="web-1", DisplayName="web", Namespace="", Mesh="default")
LABELS = {"label": {"kuma.io/zone": "east", "k": "east"}.__getitem__}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{{ .DisplayName }}.{{.Mesh}}.mesh", "web.default.mesh"),
        ('{{ label "kuma.io/zone" }}.mesh', "east.mesh"),
        ('{{ "k" | label | printf "%s-%s" .Mesh }}', "default-east"),
        ("{{ if .Namespace }}{{ .Namespace }}.{{ else }}none.{{ end }}mesh", "none.mesh"),
        ("{{ with .Mesh }}{{ . }}-{{ $.DisplayName }}{{ end }}", "default-web"),
        ("{{.}}", "{web-1 web  default}"),
    ],
)
def test_a_record_and_a_function_make_a_name(text: str, found: str) -> None:
    assert evaluated(text, SERVICE, LABELS) == found


@pytest.mark.parametrize(
    "text",
    [
        "{{ .Zone }}",
        "{{ .name }}",
        "{{ .Mesh.Name }}",
        "{{ label }}",
        "{{ label 1 }}",
        '{{ label "k" "k" }}',
        "{{ len . }}",
        '{{ index . "Mesh" }}',
        "{{ range . }}{{ end }}",
        "{{ upper .Mesh }}",
    ],
)
def test_a_record_is_no_map(text: str) -> None:
    with pytest.raises(TemplateError):
        evaluated(text, SERVICE, LABELS)

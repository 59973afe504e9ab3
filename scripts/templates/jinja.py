"""Jinja2 with the settings under which the `transformers` package renders chat templates.

Needs `pip install jinja2==3.1.6`.
"""

import datetime
import json

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

# What the clock of all expectations shows.
NOW = datetime.datetime(2024, 7, 26, 11, 44, 5)


class Generation(jinja2.ext.Extension):
    """`{% generation %}` marks replies for training; its body is a scope of its own."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("text"), [], [], body).set_lineno(line)

    def text(self, caller):
        return caller()


class DictType:
    def __call__(self, *args, **kwargs):
        return dict(*args, **kwargs)

    def fromkeys(self, *args, **kwargs):
        return dict.fromkeys(*args, **kwargs)


class Namespace(jinja2.utils.Namespace):
    def __init__(*args, **kwargs):
        self, args = args[0], args[1:]
        attributes = dict(*args, **kwargs)
        for name in attributes:
            Namespace.check(name)
        jinja2.utils.Namespace.__init__(self, attributes)

    def __setitem__(self, name, value):
        Namespace.check(name)
        jinja2.utils.Namespace.__setitem__(self, name, value)

    @staticmethod
    def check(name):
        if isinstance(name, str) and name.startswith("_"):
            raise jinja2.exceptions.SecurityError(f"underscore: {name!r}")


class Refused(jinja2.exceptions.TemplateError):
    pass


def environment():
    def raise_exception(message):
        raise Refused(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    env.filters["tojson"] = tojson
    env.globals.update(
        raise_exception=raise_exception,
        strftime_now=lambda format: NOW.strftime(format),
        dict=DictType(),
        namespace=Namespace,
    )
    return env


def render(env, source, variables):
    """`{"text": …}`, `{"refused": the template's words}`, or `{"error": …}`."""
    try:
        text = env.from_string(source).render(**variables)
        text.encode()
        return {"text": text}
    except Refused as error:
        return {"refused": str(error.message)}
    except Exception as error:  # Whatever Python raises, the template has failed.
        return {"error": f"{type(error).__name__}: {error}"}

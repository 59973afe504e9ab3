"""Writes what Jinja2 makes of the templates and expressions of `rust/text/tests/suite`.

    pip install jinja2==3.1.6
    python scripts/templates/expectations.py

One JSON document per line: a text, `{"refused": the template's words}`, or `{"error": true}`.
"""

import copy
import json
import pathlib

from expressions import VARIABLES
from jinja import environment, render

SUITE = pathlib.Path(__file__).parents[2] / "rust/text/tests/suite"


def short(result):
    if "text" in result:
        return result["text"]
    return {"error": True} if "error" in result else result


def write(name, lines):
    text = "".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in lines)
    (SUITE / name).write_text(text, newline="\n")


def main():
    env = environment()
    conversations = json.loads((SUITE / "conversations.json").read_text())
    lines = []
    for path in sorted((SUITE / "templates").glob("*.jinja")):
        source = path.read_bytes().decode()
        results = []
        for conversation in conversations:
            variables = {"tools": None, "documents": None, "bos_token": "<s>", "eos_token": "</s>", **conversation}
            results.append(short(render(env, source, copy.deepcopy(variables))))
        lines.append([path.stem, results])
    write("templates.expected", lines)

    sources = (SUITE / "expressions.txt").read_text().split("\n")[:-1]
    write("expressions.expected", [short(render(env, source, copy.deepcopy(VARIABLES))) for source in sources])
    (SUITE / "variables.json").write_text(json.dumps(VARIABLES, ensure_ascii=False, indent=1) + "\n")
    refused = sum("refused" in str(line) for _, results in lines for line in results)
    print(f"{len(lines)} templates, {refused} refusals, {len(sources)} expressions")


if __name__ == "__main__":
    main()

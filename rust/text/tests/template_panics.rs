//! No template makes the engine panic: random expressions of everything that the language has, with numbers and texts
//! at their limits.
//!
//! A panic comes back as an error that says so. `CHORD_TEMPLATE_CASES` sets how many expressions are tried,
//! `CHORD_TEMPLATE_SEED` which ones.

#[path = "support/mod.rs"]
mod support;

use chord_text::ChatTemplate;
use serde_json::{Map, Value, json};
use support::Random;

const ATOMS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "7",
    "255",
    "-9223372036854775808",
    "9223372036854775807",
    "18446744073709551616",
    "170141183460469231731687303715884105727",
    "(-170141183460469231731687303715884105727 - 1)",
    "1.5",
    "-0.0",
    "1e308",
    "1e-320",
    "(1e308 * 10)",
    "(1e308 * 10 - 1e308 * 10)",
    "true",
    "none",
    "missing",
    "''",
    "'a'",
    "'ß€🚀'",
    "' \\n\\x1f'",
    "'%s %d'",
    "'{0} {}'",
    "'{:>5}'",
    "'a,b'",
    "[]",
    "[1]",
    "[[], [1]]",
    "()",
    "(1,)",
    "(1, 'a')",
    "{}",
    "{'a': 1}",
    "{1: none}",
    "range(3)",
    "range(0)",
    "range(5, -5, -3)",
    "messages",
    "messages[0]",
    "text",
    "numbers",
    "dict(a=1)",
    "namespace(a=1)",
    "{'a': 1}.items()",
    "{'a': [1]}.values()",
    "range(9223372036854775806, 9223372036854775807)",
    "dict",
    "self",
    "[1, 2] | map('string')",
    "('<' | e)",
    "cycler(1, 2)",
    "joiner()",
    "range",
    "text.upper",
    "strftime_now",
    "loop",
    "people",
];

const FILTERS: &[&str] = &[
    "abs",
    "attr",
    "batch",
    "capitalize",
    "center",
    "count",
    "d",
    "default",
    "dictsort",
    "e",
    "escape",
    "filesizeformat",
    "first",
    "float",
    "forceescape",
    "format",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "string",
    "sum",
    "title",
    "tojson",
    "trim",
    "truncate",
    "unique",
    "upper",
    "urlencode",
    "wordcount",
    "wordwrap",
];

const METHODS: &[&str] = &[
    "capitalize",
    "casefold",
    "center",
    "count",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "format_map",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "upper",
    "zfill",
    "copy",
    "get",
    "items",
    "keys",
    "values",
    "fromkeys",
    "next",
    "append",
    "x",
    "cycle",
    "changed",
    "last",
    "nextitem",
    "length",
    "__class__",
];

const TESTS: &[&str] = &[
    "defined",
    "none",
    "odd",
    "even",
    "divisibleby",
    "eq",
    "ne",
    "lt",
    "ge",
    "in",
    "sameas",
    "sequence",
    "iterable",
    "mapping",
    "callable",
    "lower",
    "upper",
    "string",
    "number",
    "filter",
    "test",
    "escaped",
];

const OPERATORS: &[&str] =
    &["+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or"];

const FORMATS: &[&str] = &[
    "%s",
    "%r",
    "%a",
    "%c",
    "%d",
    "%5d",
    "%-5d",
    "%05d",
    "%+d",
    "%#x",
    "%X",
    "%o",
    "%e",
    "%.0f",
    "%.300f",
    "%g",
    "%#g",
    "%*d",
    "%.*f",
    "%(a)s",
    "%%",
    "%",
    "%l",
    "%999d",
    "%99999999999999999999d",
];

const SPECS: &[&str] = &[
    "",
    ":",
    ":d",
    ":5",
    ":<5",
    ":^7",
    ":*^9",
    ":=+9",
    ":09",
    ":+",
    ":x",
    ":#b",
    ":,",
    ":_x",
    ":z.1f",
    ":#.3",
    ":é^9,",
    ":09,.2%",
    ":{:{}}",
    ":>{a}",
    ":020,",
    ":.3",
    ":.0%",
    ":e",
    ":g",
    ":c",
    "!r",
    "!s:>4",
    "!a",
    ":{}",
    ":99999999999999999999",
    ":.1000",
    ".a",
    "[0]",
    "[a].b",
    ":n",
    "!",
];

struct Generator(Random);

impl Generator {
    fn one(&mut self, list: &[&'static str]) -> &'static str {
        list[self.0.below(list.len() as u32) as usize]
    }

    fn arguments(&mut self, depth: u32) -> String {
        let n = self.0.below(4);
        (0..n).map(|_| self.expression(depth)).collect::<Vec<_>>().join(", ")
    }

    fn bound(&mut self, depth: u32) -> String {
        if self.0.below(3) == 0 { String::new() } else { self.expression(depth) }
    }

    fn expression(&mut self, depth: u32) -> String {
        let Some(depth) = depth.checked_sub(1) else { return self.one(ATOMS).to_owned() };
        match self.0.below(15) {
            0 => self.one(ATOMS).to_owned(),
            1 | 2 => format!("(({}) | {}({}))", self.expression(depth), self.one(FILTERS), self.arguments(depth)),
            3 | 4 => format!("({}).{}({})", self.expression(depth), self.one(METHODS), self.arguments(depth)),
            5 | 6 => format!("({} {} {})", self.expression(depth), self.one(OPERATORS), self.expression(depth)),
            7 | 8 => {
                let (value, start, stop) = (self.expression(depth), self.bound(0), self.bound(0));
                format!("({value})[{start}:{stop}:{}]", self.bound(0))
            }
            9 => format!("({})[{}]", self.expression(depth), self.expression(depth)),
            13 => format!("(+{}, -({}))", self.expression(depth), self.expression(depth)),
            10 => format!("(({}) is {}({}))", self.expression(depth), self.one(TESTS), self.arguments(depth)),
            11 => format!("('{}{}' % ({}))", self.one(FORMATS), self.one(FORMATS), self.expression(depth)),
            12 => format!("'a{{{}}}{{{}}}'.format({})", self.one(SPECS), self.one(SPECS), self.arguments(depth)),
            _ => format!("(({}) | map('{}') | list)", self.expression(depth), self.one(FILTERS)),
        }
    }

    fn template(&mut self) -> String {
        let e = self.expression(3);
        match self.0.below(9) {
            0 => format!(
                "{{% for x in {e} %}}{{{{ loop.last }}}}{{{{ x }}}}{{{{ {} }}}}{{% endfor %}}",
                self.expression(2)
            ),
            1 => format!("{{% set n = namespace(a={e}) %}}{{% set n.a = [n, n.a] %}}{{{{ n }}}}"),
            2 => format!("{{% set a, b = {e} %}}{{{{ a ~ b }}}}"),
            3 => format!(
                "{{% macro m(a, b={e}) %}}{{{{ a }}}}{{{{ b[1:] }}}}{{% endmacro %}}{{{{ m({}) }}}}",
                self.arguments(2)
            ),
            4 => {
                let scope = self.one(&["with", "set y", "filter upper", "generation"]);
                let (end, leave) = (scope.split(' ').next().unwrap_or_default(), self.one(&["break", "continue"]));
                let test = self.expression(1);
                format!(
                    "{{% for x in {e}, {e} %}}{{% {scope} %}}{{% if {test}, 1 %}}{{% {leave} %}}{{% endif %}}{{% print x, \
                     '\\a' %}}{{% end{end} %}}{{% endfor %}}"
                )
            }
            5 => format!("{{{{ strftime_now({e}) }}}}{{{{ raise_exception({e}) }}}}"),
            _ => format!("{{{{ {e} }}}}"),
        }
    }
}

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn variables() -> Map<String, Value> {
    let json = json!({
        "messages": [{ "role": "user", "content": "Hi\n" }, { "role": "assistant", "content": "" }],
        "text": "Hello wörld",
        "numbers": [3, -1, 2.5, u64::MAX, i64::MIN],
        "people": [{ "name": "Ann", "a": 1 }, { "name": "bob" }],
    });
    json.as_object().cloned().unwrap_or_default()
}

/// On a stack of the size that wasm has.
fn on_a_small_stack(work: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(1 << 20).spawn(work).unwrap().join().unwrap();
}

fn must_not_panic(source: &str, variables: &Map<String, Value>) {
    let rendered = ChatTemplate::new(source, "<s>", "</s>")
        .and_then(|template| template.with_time(1_721_994_245).render_with(variables));
    if let Err(error) = rendered {
        assert!(!error.to_string().contains("please report this"), "{source}\n{error}");
    }
}

#[test]
fn random_expressions() {
    on_a_small_stack(|| {
        let mut generator = Generator(Random(setting("CHORD_TEMPLATE_SEED", 1)));
        let variables = variables();
        for _ in 0..setting("CHORD_TEMPLATE_CASES", 5000) {
            must_not_panic(&generator.template(), &variables);
        }
    });
}

#[test]
fn templates_cut_and_mixed_at_any_place() {
    on_a_small_stack(|| {
        let mut generator = Generator(Random(2));
        let pieces = [
            "{{",
            "}}",
            "{%",
            "%}",
            "{#",
            "#}",
            "-",
            "+",
            "\n",
            "\r\n",
            "'",
            "\"",
            "\\",
            "(",
            "[",
            "{",
            ")",
            "]",
            "}",
            "|",
            "~",
            ".",
            ",",
            ":",
            "=",
            "**",
            "*",
            "for",
            "in",
            "if",
            "else",
            "endif",
            "endfor",
            "set",
            "macro",
            "call",
            "raw",
            "endraw",
            "is",
            "not",
            "1",
            "0x",
            "1e",
            "é",
            "\u{0}",
            "x",
            " ",
            "recursive",
            "%} %}",
            "loop",
            "block",
        ];
        let variables = variables();
        for _ in 0..setting("CHORD_TEMPLATE_CASES", 5000) {
            let n = 1 + generator.0.below(20);
            let source: String = (0..n).map(|_| generator.one(&pieces)).collect();
            must_not_panic(&source, &variables);
            let whole = generator.template();
            let cut = generator.0.below(whole.len() as u32 + 1) as usize;
            if let Some(part) = whole.get(..cut) {
                must_not_panic(part, &variables);
            }
        }
    });
}

#[test]
fn depth_ends_in_an_error_before_the_stack_does() {
    on_a_small_stack(|| {
        let variables = variables();
        let chain = "x.a".to_owned() + &".a".repeat(380);
        let nested = "[".repeat(90) + &"]".repeat(90);
        for body in [
            format!("{{% macro m(n) %}}{{{{ m({chain} if false else n) }}}}{{% endmacro %}}{{{{ m(1) }}}}"),
            format!("{{% macro m(n) %}}{{{{ [[[m({nested})]]] }}}}{{% endmacro %}}{{{{ m(1) }}}}"),
            "{% macro m(n) %}{% for a in [1] %}{% if a %}{% set x %}{{ m(n) }}{% endset %}{% endif %}{% endfor %}\
             {% endmacro %}{{ m(1) }}"
                .to_owned(),
            "{% macro m(n) %}{% call m(n) %}{{ caller() }}{% endcall %}{% endmacro %}{{ m(1) }}".to_owned(),
            "{% macro m(n) %}{{ [1] | map('string') | map('upper') | list }}{{ '%s' % m(n) }}{% endmacro %}{{ m(1) }}"
                .to_owned(),
            "{% macro m(n) %}{% filter upper %}{% with a = m(n) %}{{ a }}{% endwith %}{% endfilter %}{% endmacro %}\
             {{ m(1) }}"
                .to_owned(),
            "{% set n = namespace(l=[]) %}{% for i in range(100000) %}{% set n.l = [n.l] %}{% endfor %}".to_owned(),
            "{% set n = namespace() %}{% set n.l = [[[[n]]]] %}{{ n }}".to_owned(),
            "{% set n = namespace() %}{% set n.l = n %}{{ n.l.l.l.l is defined }}{{ n | tojson }}".to_owned(),
            "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}".to_owned(),
            "{{ ".to_owned() + &"-".repeat(395) + "1 }}",
            "{{ ".to_owned() + &"(".repeat(95) + "1" + &")".repeat(95) + " }}",
            "{% if 1 %}".repeat(95) + "x" + &"{% endif %}".repeat(95),
            "{{ ".to_owned() + &"1 if 1 else ".repeat(90) + "1 }}",
        ] {
            must_not_panic(&body, &variables);
        }
    });
}

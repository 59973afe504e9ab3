//! Templates made to hang, to fill the memory or to overflow the stack are soon stopped with an error.

use std::time::{Duration, Instant};

use chord_text::limits::{MAX_RENDERED_BYTES, MAX_TEMPLATE_BYTES, TEMPLATE_FUEL};
use chord_text::{ChatTemplate, Message, TextError};

/// Far longer than any of these takes until it is refused, far shorter than it would run without limits.
const QUICKLY: Duration = Duration::from_secs(10);

/// On a stack of the size that wasm has.
fn run(source: String) -> Result<String, TextError> {
    let begin = Instant::now();
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(move || {
        let messages = [Message::new("user", "x".repeat(1000)), Message::new("assistant", "y")];
        ChatTemplate::new(&source, "<s>", "</s>")?.render(&messages, true)
    });
    let result = thread.unwrap().join().unwrap();
    assert!(begin.elapsed() < QUICKLY, "took {:?}", begin.elapsed());
    result
}

fn code(source: impl Into<String>) -> &'static str {
    let source = source.into();
    let shown: String = source.chars().take(80).collect();
    match run(source) {
        Ok(text) => panic!("{shown:?} rendered {} bytes", text.len()),
        Err(error) => error.code(),
    }
}

#[test]
fn endless_loops_run_out_of_fuel() {
    let nested = "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}";
    assert_eq!(run(nested.to_owned()), Err(TextError::TemplateFuel { limit: TEMPLATE_FUEL }));
    assert_eq!(code("{% for a in range(1000000000) %}{% endfor %}"), "template-error");
    assert_eq!(code("{% macro m(n) %}{{ m(n) }}{% endmacro %}{{ m(1) }}"), "template-error");
    let fan = "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(30) }}";
    assert_eq!(code(fan), "template-out-of-fuel");
    assert_eq!(code("{% for a in [1, 2] recursive %}{{ loop([1, 2]) }}{% endfor %}"), "template-error");
}

#[test]
fn text_cannot_grow_without_bound() {
    for source in [
        "{{ 'x' * 100000000 }}",
        "{{ 100000000 * 'x' }}",
        "{% set s = 'x' * 100000000 %}{{ s | length }}",
        "{% set k = 100000000 %}{{ 'x' * k }}",
        "{% set k = 100000000 %}{{ k * 'x' }}",
        "{{ ('x' * 1000) * 1000 * 100 }}",
        "{{ 'x' * (99999999 + 1) }}",
        "{{ 'x' * 10 ** 8 }}",
        "{{ ('x', 'y') * 100000000 }}",
        "{{ [0] * 100000000 }}",
        "{% set k = 100000000 %}{{ ([0] * k) | length }}",
        "{{ ([0] * 100000000) | list | length }}",
        "{{ ([0] * 100000000) | join('x') | length }}",
        "{% set n = namespace(s='xx') %}{% for i in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
        "{% set n = namespace(s='xx') %}{% for i in range(60) %}{% set n.s = n.s + n.s %}{% endfor %}",
        "{% set n = namespace(s='xx') %}{% for i in range(60) %}{% set n.s = n.s * 4 %}{% endfor %}",
        "{% set n = namespace(s='x') %}{% for i in range(60) %}{% set n.s = n.s | replace('x', 'xx') %}{% endfor %}",
        "{% set n = namespace(s='x') %}{% for i in range(60) %}{% set n.s = n.s.replace('x', 'xx') %}{% endfor %}",
        "{% set n = namespace(s='x') %}{% for i in range(60) %}{% set n.s = [n.s, n.s] | join %}{% endfor %}",
        "{% set n = namespace(s='x') %}{% for i in range(60) %}{% set n.s = n.s.join([n.s, n.s]) %}{% endfor %}",
        "{% set n = namespace(s='x') %}{% for i in range(60) %}{% set c %}{{ n.s }}{{ n.s }}{% endset %}\
         {% set n.s = c %}{% endfor %}",
        "{% set n = namespace(l=[1]) %}{% for i in range(60) %}{% set n.l = n.l + n.l %}{% endfor %}{{ n.l }}",
        "{% set n = namespace(l=[1]) %}{% for i in range(60) %}{% set n.l = [n.l, n.l] %}{% endfor %}{{ n.l }}",
        "{% set n = namespace(l=[1]) %}{% for i in range(50) %}{% set n.l = [n.l, n.l] %}{% endfor %}\
         {{ n.l | tojson | length }}",
        "{% set n = namespace(l=[1]) %}{% for i in range(50) %}{% set n.l = [n.l, n.l] %}{% endfor %}{{ n.l == n.l }}",
        "{% set n = namespace(l=[1]) %}{% for i in range(50) %}{% set n.l = {'a': n.l, 'b': n.l} %}{% endfor %}\
         {{ n.l ~ '' }}",
        "{% set k = 10000000 %}{% set s = 'x' * k %}{% for i in range(100000) %}{% set t = s[1:] %}{% endfor %}",
        "{% set k = 10000000 %}{% set s = 'x' * k %}{% for i in range(100000) %}{% set t = s | upper %}{% endfor %}",
        "{% set k = 10000000 %}{% set s = 'x' * k %}{% for i in range(100000) %}{% set t = s.strip() %}{% endfor %}",
        "{% set k = 10000000 %}{% set s = 'x' * k %}{% for i in range(100000) %}{% set t = 'y' in s %}{% endfor %}",
        "{% set k = 10000000 %}{% set s = 'x' * k %}{% for i in range(100000) %}{% set t = s == s ~ '' %}{% endfor %}",
        "{% set k = 10000000 %}{% set s = 'x' * k %}{% for i in range(100000) %}{% set t = s is eq(s) %}{% endfor %}",
        "{% set k = 5000000 %}{% set s = 'a ' * k %}{% for i in range(100000) %}{% set t = s.split() %}{% endfor %}",
        "{% set k = 10000000 %}{% set s = 'x' * k %}{% for i in range(100000) %}{% for c in s %}{% break %}{% endfor %}{% endfor %}",
        "{% for i in range(100000) %}{{ 'x' * 1000 }}{% endfor %}",
        "{% set k = 1000000 %}{% set s = 'x' * k %}{{ ('{0}' * k).format(s) | length }}",
        "{% set k = 1000000 %}{% set s = 'x' * k %}{{ ('{a.b}' * k).format_map({'a': {'b': s}}) | length }}",
        "{% set k = 1000000 %}{% set s = 'x' * k %}{{ (('%(a)s' * k) % {'a': s}) | length }}",
        "{% set k = 1000000 %}{{ ('{0:1000}' * k).format(1) | length }}",
        "{% set k = 1000000 %}{% set s = '\\n' * k %}{{ s | indent(1000, blank=true) | length }}",
        "{% set k = 1000000 %}{% set s = '\\t' * k %}{{ s.expandtabs(1000) | length }}",
        "{% set k = 1000000 %}{% set s = 'x' * k %}{{ s | wordwrap(1, true, s) | length }}",
        "{% set k = 1000000 %}{% set s = 'x-' * k %}{% for i in range(100000) %}{% set t = s | wordwrap(2) %}{% endfor %}",
        "{% set k = 1000000 %}{% set s = '-' * k %}{% for i in range(100000) %}{% set t = s | wordwrap(1) %}{% endfor %}",
        "{% set k = 10000000 %}{% set s = '?' * k %}{% for i in range(100000) %}{% set t = s | urlencode %}{% endfor %}",
        "{% for i in range(100000) %}{% set d = dict.fromkeys(range(100000)) %}{% endfor %}",
        "{% set n = namespace(l=[1]) %}{% for i in range(60) %}{% set n.l = dict.fromkeys(['a', 'b'], n.l) %}{% endfor %}\
         {{ n.l }}",
        "{% set n = namespace(l=[1]) %}{% for i in range(60) %}{% set n.l = [n.l.copy(), n.l.copy()] %}{% endfor %}\
         {{ n.l }}",
    ] {
        // Text that is kept counts as steps as well.
        assert!(matches!(code(source), "template-output-too-large" | "template-out-of-fuel"), "{source}");
    }
    // Text of the template itself, within a loop and kept in a variable.
    let long = "y".repeat(200_000);
    let repeated = code(format!("{{% for i in range(100000) %}}{long}{{% endfor %}}"));
    assert!(matches!(repeated, "template-output-too-large" | "template-out-of-fuel"), "{repeated}");
    let kept = format!("{{% set s %}}{{% for i in range(100000) %}}{long}{{% endfor %}}{{% endset %}}");
    assert!(matches!(code(kept), "template-output-too-large" | "template-out-of-fuel"));
}

#[test]
fn padding_is_bounded() {
    for source in [
        "{{ '%1000000000d' | format(1) }}",
        "{{ '%*d' | format(1000000000, 1) }}",
        "{{ '{:1000000000}'.format('x') }}",
        "{{ '{:{}}'.format('x', 1000000000) }}",
        "{% set k = 100000 %}{% set s = '1' * k %}{{ ('{0:{1}}' * k).format(1, s) | length }}",
        "{{ '{:1000000000}'.format(1) }}",
        "{{ '{:.1000000000}'.format(1.5) }}",
        "{{ '{:099999999999999999999,}'.format(1) }}",
        "{{ '%.999999999f' % 1 }}",
        "{{ '%.*d' % (999999999, 1) }}",
        "{{ '%999999999999999999999999s' % 1 }}",
        "{{ 'x' | indent(1000000000, true) }}",
        "{{ {} | tojson(indent=1000000000) }}",
        "{{ 'a\\tb'.expandtabs(10 ** 9) }}",
        "{{ range(10 ** 9) | list }}",
        "{{ 'x' | wordwrap(10 ** 30) }}",
        "{{ range(10 ** 18)[::10 ** 18] }}",
        "{{ dict.fromkeys(range(10 ** 9)) }}",
        "{{ [1] | batch(1000000000, 0) | list }}",
        "{{ [1] | slice(1000000000) | list }}",
        "{{ 'x' | replace(*['x', 'y']) }}",
    ] {
        assert_eq!(code(source), "template-error", "{source}");
    }
}

#[test]
fn deep_nesting_is_refused_without_overflowing_the_stack() {
    let n = 10_000;
    let repeat = |open: &str, middle: &str, close: &str| open.repeat(n) + middle + &close.repeat(n);
    for expression in [
        repeat("(", "1", ")"),
        repeat("[", "1", "]"),
        repeat("{'a':", "1", "}"),
        repeat("not ", "1", ""),
        repeat("-", "1", ""),
        repeat("+", "1", ""),
        repeat("", "1", "+1"),
        repeat("", "1", "~1"),
        repeat("", "1", " and 1"),
        repeat("", "1", " == 1"),
        repeat("", "1", "|abs"),
        repeat("", "a", ".a"),
        repeat("", "a", "[0]"),
        repeat("", "a", "()"),
        repeat("", "1", " if 1 else 1"),
        repeat("1 if 1 else ", "1", ""),
        repeat("f(", "1", ")"),
        repeat("", "1", ",1"),
    ] {
        assert_eq!(code(format!("{{{{ {expression} }}}}")), "template-error", "{}", &expression[..20]);
        assert_eq!(code(format!("{{% set x = {expression} %}}")), "template-error", "{}", &expression[..20]);
    }
    let n = 5000;
    let repeat = |open: &str, middle: &str, close: &str| open.repeat(n) + middle + &close.repeat(n);
    for (open, close) in [
        ("{% if 1 %}", "{% endif %}"),
        ("{% for a in [1] %}", "{% endfor %}"),
        ("{% set a %}", "{% endset %}"),
        ("{% with %}", "{% endwith %}"),
        ("{% filter upper %}", "{% endfilter %}"),
        ("{% macro a() %}", "{% endmacro %}"),
    ] {
        assert_eq!(code(repeat(open, "x", close)), "template-error", "{open}");
    }
    let elifs = format!("{{% if 1 %}}{}{{% endif %}}", "{% elif 1 %}".repeat(n));
    assert_eq!(code(elifs), "template-error");
}

/// The engine's `break` left scopes open, took one for the loop's and panicked, which ends a worker in WebAssembly.
#[test]
fn loops_are_left_from_within_scopes() {
    for scope in ["with a = 1", "generation", "set y", "filter upper"] {
        let close = format!("end{}", scope.split(' ').next().unwrap());
        for leave in ["break", "continue"] {
            let inner = format!("{{% {scope} %}}{{% {leave} %}}{{% {close} %}}");
            let source = format!("{{% for x in [1, 2] %}}{{% with %}}{inner}{{% endwith %}}{{% endfor %}}ok");
            assert_eq!(run(source), Ok("ok".to_owned()), "{scope}");
        }
    }
}

#[test]
fn nesting_by_functions_is_bounded() {
    for step in ["dict.fromkeys('a', n.l)", "dict([('a', n.l)])", "dict(a=n.l)", "{'a': n.l}.items()"] {
        let source = format!(
            "{{% set n = namespace(l=[]) %}}{{% for i in range(1000) %}}{{% set n.l = {step} %}}{{% endfor %}}{{{{ n.l }}}}"
        );
        assert!(matches!(code(&source), "template-error" | "template-output-too-large"), "{step}");
    }
}

#[test]
fn what_is_within_the_limits_does_not_overflow_the_stack() {
    let sum = format!("{{{{ 1{} }}}}", "+1".repeat(390));
    assert_eq!(run(sum), Ok("391".to_owned()));
    let joined = format!("{{{{ 'a'{} }}}}", "~'a'".repeat(390));
    assert_eq!(run(joined), Ok("a".repeat(391)));
    let nots = format!("{{{{ {}1 }}}}", "not ".repeat(140));
    assert_eq!(run(nots), Ok("True".to_owned()));
    let parentheses = format!("{{{{ {}1{} }}}}", "(".repeat(70), ")".repeat(70));
    assert_eq!(run(parentheses), Ok("1".to_owned()));
    let elifs = format!("{{% if 0 %}}{}x{{% endif %}}", "{% elif 1 %}".repeat(99));
    assert_eq!(run(elifs), Ok(String::new()));
    let recursion = "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{% endif %}.{% endmacro %}{{ m(30) }}";
    assert_eq!(run(recursion.to_owned()), Ok(".".repeat(31)));
}

#[test]
fn sizes_are_bounded() {
    let limit = MAX_TEMPLATE_BYTES;
    assert!(run("x".repeat(limit)).is_ok());
    assert_eq!(run("x".repeat(limit + 1)), Err(TextError::TemplateTooLarge { found: limit + 1, limit }));
    let part = MAX_RENDERED_BYTES / 16;
    let exactly = format!("{{% set k = {part} %}}{{% for i in range(16) %}}{{{{ 'x' * k }}}}{{% endfor %}}");
    assert_eq!(run(exactly).unwrap().len(), MAX_RENDERED_BYTES);
}

#[test]
fn templates_reach_nothing_outside() {
    for source in [
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}{{ os }}",
        "{% extends 'base' %}",
        "{{ ''.__class__.__mro__ }}",
        "{{ messages.__class__.__init__ }}",
        "{{ debug() }}",
        "{% block a %}{{ self.a() }}{% endblock %}",
    ] {
        assert_eq!(code(source), "template-error", "{source}");
    }
}

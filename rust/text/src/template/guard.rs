//! Limits on the cost of a template that the engine itself does not have.
//!
//! The engine's fuel counts steps, but one step can double a string. So every instruction that reads or makes text of
//! any size is preceded by a call of a guard, which sees the operands, takes their cost off the run's [`Budget`], and
//! puts them back. Names of guards begin with a character that no template can write.
//!
//! The engine's parser bounds nesting, but its compiler recurses along chains (`a + a + …`, `elif … elif …`) which
//! the parser reads in a loop, and works out constant expressions; [`check_source`] bounds both.

use std::sync::Arc;

use minijinja::machinery::{Instruction, Instructions, Token, tokenize};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Rest, Tuple, Value, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error};
use minijinja_contrib::pycompat::unknown_method_callback;

use super::budget::{Budget, shallow_bytes};
use super::methods::{self, MAX_WIDTH};
use super::scopes::Scopes;
use super::{into_text_error, invalid, operators, writing};
use crate::TextError;

/// Tokens within one `{{ … }}` or `{% … %}`. A line of 120 characters has about 40.
const MAX_TAG_TOKENS: usize = 800;

/// `elif` branches in the whole template. There is one per kind of message and of argument.
const MAX_ELIFS: usize = 100;

/// Bytes of all constants that are repeated literals, such as `"-" * 40`. The engine makes them while it compiles.
const MAX_CONSTANT_BYTES: usize = 1 << 20;

/// Filters that copy a list but do not look into its elements.
const SHALLOW: &[&str] = &["items", "list", "reverse"];

/// Filters that do not even go through a list.
const GLANCING: &[&str] = &["length", "count", "first", "last", "default", "d", "int", "float", "abs", "bool"];

/// Filters of Jinja that chat templates have no use for and whose cost depends on numbers the template gives.
const REMOVED: &[&str] = &["chain", "zip", "pprint"];

const READ: &str = "\0read";
const LOOK: &str = "\0look";
const GLANCE: &str = "\0glance";
const JOIN_TWO: &str = "\0join-two";
const MULTIPLY: &str = "\0multiply";
const COMPARE: &str = "\0compare";
const NEST: &str = "\0nest";
const ORDER: &str = "\0order";
const SEARCH: &str = "\0search";
const SLICE: &str = "\0slice";
const CONCATENATE: &str = "\0concatenate";
const LOOP: &str = "\0loop";
const NEGATE: &str = "\0negate";
const REMAINDER: &str = "\0remainder";

/// Bounds what compiling a template costs.
pub(super) fn check_source(source: &str, syntax: &SyntaxConfig) -> Result<(), TextError> {
    let (mut elifs, mut constants) = (0, 0u128);
    let mut tag = Tag::default();
    for token in tokenize(source, false, syntax.clone()) {
        let (token, span) = token.map_err(into_text_error)?;
        if matches!(token, Token::VariableStart | Token::BlockStart | Token::TemplateData(_)) {
            tag = Tag::default();
        }
        elifs += usize::from(matches!(token, Token::Ident("elif")));
        tag.add(&token);
        if matches!(token, Token::VariableEnd | Token::BlockEnd) {
            constants = constants.saturating_add(tag.repeated_bytes());
        }
        let refused = if tag.tokens > MAX_TAG_TOKENS {
            format!("a tag of more than {MAX_TAG_TOKENS} tokens")
        } else if elifs > MAX_ELIFS {
            format!("more than {MAX_ELIFS} `elif`")
        } else if constants > MAX_CONSTANT_BYTES as u128 {
            return Err(TextError::TemplateOutputTooLarge { limit: MAX_CONSTANT_BYTES });
        } else {
            continue;
        };
        return Err(TextError::Template { line: Some(usize::from(span.start_line)), detail: refused });
    }
    Ok(())
}

/// What the tokens of one `{{ … }}` or `{% … %}` reveal.
#[derive(Default)]
struct Tag {
    tokens: usize,
    /// Bytes of its literal texts and lists.
    literal_bytes: usize,
    /// Holds a product of constants that can be the repetition of a literal.
    multiplies: bool,
    before: Operand,
    /// What is to the left of a `*` that was just read.
    left: Option<Operand>,
    /// Holds numbers whose size does not show in the tokens: powers, quotients, and floats.
    has_hidden_numbers: bool,
    /// An upper bound of what sums and products of its whole numbers can come to.
    product: Option<u128>,
}

/// The role of a token next to a `*`.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Operand {
    /// The end of a literal or of something in brackets.
    #[default]
    Other,
    Number,
    /// Not a constant.
    Name,
    /// A `*` after it spreads arguments.
    Opening,
}

impl Tag {
    fn add(&mut self, token: &Token<'_>) {
        self.tokens += 1;
        let operand = match token {
            Token::Int(_) | Token::Int128(_) | Token::Float(_) => Operand::Number,
            Token::Ident(_) => Operand::Name,
            Token::ParenOpen | Token::Comma => Operand::Opening,
            _ => Operand::Other,
        };
        if let Some(left) = self.left.take() {
            let is_constant = left != Operand::Name && left != Operand::Opening && operand != Operand::Name;
            self.multiplies |= is_constant && !(left == Operand::Number && operand == Operand::Number);
        }
        let before = std::mem::replace(&mut self.before, operand);
        let number = match token {
            Token::Str(text) => return self.literal_bytes += text.len() + 1,
            Token::String(text) => return self.literal_bytes += text.len() + 1,
            Token::BracketOpen | Token::Comma => return self.literal_bytes += 32,
            Token::Mul => return self.left = Some(before),
            Token::Pow | Token::Div | Token::FloorDiv | Token::Float(_) => return self.has_hidden_numbers = true,
            Token::Int(number) => u128::from(*number),
            Token::Int128(number) => **number,
            _ => return,
        };
        // (a + 2)(b + 2) is more than a + b and than a · b.
        self.product = Some(self.product.unwrap_or(1).saturating_mul(number.saturating_add(2)));
    }

    /// At most how many bytes of constants the tag can make by repeating its literals.
    fn repeated_bytes(&self) -> u128 {
        match self.product {
            Some(product) if self.multiplies && self.literal_bytes > 0 => {
                let times = if self.has_hidden_numbers { product.max(100_000_000) } else { product };
                times.saturating_mul(self.literal_bytes as u128)
            }
            _ => 0,
        }
    }
}

/// The same program with guards.
pub(super) fn guarded<'a>(program: &Instructions<'a>) -> Result<Instructions<'a>, Error> {
    let old: Vec<&Instruction<'a>> = (0..).map_while(|at| program.get(at)).collect();
    // Where each instruction, guard included, begins in the new program; jumps may also lead to its end.
    let mut starts = Vec::with_capacity(old.len() + 1);
    let scopes = Scopes::of(&old);
    let mut new = Instructions::new(program.name(), program.source());
    let mut end = 0;
    for (at, &instruction) in old.iter().enumerate() {
        starts.push(end);
        let line = program.get_line(at as u32).unwrap_or_default().try_into().unwrap_or(u16::MAX);
        let mut add = |instruction| end = new.add_with_line(instruction, line) + 1;
        if let Instruction::EmitRaw(text) = instruction {
            add(Instruction::LoadConst(Value::from(*text)));
            add(Instruction::Emit);
            continue;
        }
        match instruction {
            Instruction::BeginCapture(_) => {
                add(instruction.clone());
                add(Instruction::PushWith);
                continue;
            }
            Instruction::EndCapture => add(Instruction::PopFrame),
            Instruction::Jump(target) => scopes.closed(at, *target).into_iter().for_each(&mut add),
            _ => {}
        }
        let replaced = match instruction {
            Instruction::Rem => Some((REMAINDER, 2)),
            Instruction::Neg => Some((NEGATE, 1)),
            Instruction::Slice => Some((SLICE, 4)),
            _ => None,
        };
        if let Some((function, operands)) = replaced {
            add(Instruction::CallFunction(function, Some(operands)));
            continue;
        }
        if let Some((guard, operands)) = guard_of(instruction)? {
            add(Instruction::CallFunction(guard, Some(operands)));
            add(Instruction::UnpackList(usize::from(operands)));
        }
        add(instruction.clone());
    }
    starts.push(end);
    for at in 0..end {
        use Instruction::*;
        if let Some(
            Iterate(target)
            | Jump(target)
            | JumpIfFalse(target)
            | JumpIfFalseOrPop(target)
            | JumpIfTrueOrPop(target)
            | BuildMacro(_, target, _),
        ) = new.get_mut(at)
        {
            *target = *starts.get(*target as usize).ok_or_else(|| invalid("jump out of the template"))?;
        }
    }
    Ok(new)
}

/// The guard of an instruction and its number of operands.
fn guard_of(instruction: &Instruction<'_>) -> Result<Option<(&'static str, u16)>, Error> {
    use Instruction::*;
    Ok(Some(match instruction {
        Add => (JOIN_TWO, 2),
        StringConcat => (CONCATENATE, 2),
        Mul => (MULTIPLY, 2),
        Eq | Ne | CompareAndPreserve(_) => (COMPARE, 2),
        Lt | Lte | Gt | Gte => (ORDER, 2),
        In => (SEARCH, 2),
        BuildList(Some(parts)) | BuildTuple(Some(parts)) => (NEST, operands(*parts, 1)?),
        BuildMap(pairs) | BuildKwargs(pairs) => (NEST, operands(*pairs, 2)?),
        PushLoop(_) => (LOOP, 1),
        ApplyFilter(name, Some(operands), _) if SHALLOW.contains(name) => (LOOK, *operands),
        ApplyFilter(name, Some(operands), _) if GLANCING.contains(name) => (GLANCE, *operands),
        ApplyFilter(_, Some(operands), _) => (READ, *operands),
        PerformTest(_, Some(operands @ 2..), _) => (READ, *operands),
        ApplyFilter(_, None, _) | PerformTest(_, None, _) => {
            return Err(invalid("filters and tests with unpacked arguments are not supported"));
        }
        _ => return Ok(None),
    }))
}

/// The number of operands of an instruction of `parts` parts, each with `each` operands.
fn operands(parts: usize, each: usize) -> Result<u16, Error> {
    u16::try_from(parts.saturating_mul(each)).map_err(|_| invalid("a list of too many elements"))
}

/// Adds the guards and the guarded forms of filters and methods.
pub(super) fn add(environment: &mut Environment<'_>, budget: &Arc<Budget>) {
    for name in REMOVED {
        environment.remove_filter(name);
    }
    environment.remove_global("debug");
    let mut guard = |name: &'static str, check: fn(&Budget, &[Value]) -> Result<(), Error>| {
        let budget = Arc::clone(budget);
        environment.add_function(name, move |operands: Rest<ValueOrKwargs>| -> Result<Value, Error> {
            let mut operands = operands.into_values();
            check(&budget, &operands)?;
            // Unpacking a list puts its first element on top of the stack.
            operands.reverse();
            Ok(Value::from(operands))
        });
    };
    guard(READ, |budget, operands| operands.iter().try_for_each(|operand| budget.charge_deep(operand)));
    guard(LOOK, |budget, operands| operands.iter().try_for_each(|operand| budget.charge(shallow_bytes(operand))));
    guard(GLANCE, |budget, operands| {
        operands.iter().try_for_each(|operand| budget.charge(operand.as_str().map_or(1, str::len)))
    });
    guard(JOIN_TWO, join_two);
    guard(MULTIPLY, multiply);
    guard(COMPARE, compare);
    guard(NEST, operators::nest);
    guard(ORDER, order);
    guard(SEARCH, search);
    let at = Arc::clone(budget);
    environment.add_function(SLICE, move |value: Value, start: Value, stop: Value, step: Value| {
        operators::slice(&at, &value, [&start, &stop, &step])
    });
    let at = Arc::clone(budget);
    environment.add_function(CONCATENATE, move |left: Value, right: Value| -> Result<Value, Error> {
        join_two(&at, &[left.clone(), right.clone()])?;
        // As for the guards: the first of a list is unpacked last.
        Ok(Value::from(vec![writing::text(&right), writing::text(&left)]))
    });
    let at = Arc::clone(budget);
    environment.add_function(LOOP, move |value: Value| -> Result<Value, Error> {
        Ok(Value::from(vec![operators::looped(&at, &value)?]))
    });
    environment.add_function(NEGATE, operators::negative);
    let at = Arc::clone(budget);
    environment.add_function(REMAINDER, move |left: Value, right: Value| operators::remainder(&at, &left, &right));

    let at = Arc::clone(budget);
    environment.add_filter("replace", move |text: Value, from: Value, to: Value, most: Option<usize>| {
        let (text, from, to) = (writing::text(&text), writing::text(&from), writing::text(&to));
        check_replace(&at, &text, &from, &to)?;
        let replaced = text.replacen(&from, &to, most.unwrap_or(usize::MAX));
        Ok::<_, Error>(Value::from(replaced))
    });
    let at = Arc::clone(budget);
    environment.add_filter("join", move |list: Value, joiner: Option<Value>, options: Kwargs| {
        let attribute = options.get::<Option<String>>("attribute")?;
        options.assert_all_used()?;
        join(&at, &list, &joiner.map(|joiner| writing::text(&joiner)).unwrap_or_default(), attribute.as_deref())
    });
    let at = Arc::clone(budget);
    environment.add_filter(
        "indent",
        move |text: String, width: Option<Value>, first: Option<bool>, blank: Option<bool>, options: Kwargs| {
            let width = width.or(options.get("width")?).unwrap_or_else(|| Value::from(4));
            let margin = match width.as_str() {
                Some(margin) => margin.to_owned(),
                None => " ".repeat(usize::try_from(width)?.min(MAX_WIDTH + 1)),
            };
            let first = first.or(options.get("first")?).unwrap_or(false);
            let blank = blank.or(options.get("blank")?).unwrap_or(false);
            options.assert_all_used()?;
            indent(&at, &text, &margin, first, blank)
        },
    );
    let at = Arc::clone(budget);
    environment.add_filter("format", move |format: Value, Rest(values): Rest<Value>, names: Kwargs| {
        let named: Vec<_> =
            names.args().map(|name| Ok((name.to_owned(), names.get::<Value>(name)?))).collect::<Result<_, Error>>()?;
        let values = if named.is_empty() { Value::from(Tuple::from(values)) } else { Value::from_pairs(named) };
        operators::remainder(&at, &Value::from(writing::text(&format)), &values)
    });
    let at = Arc::clone(budget);
    environment.add_filter("center", move |text: Value, width: Option<i64>| {
        methods::padded(&at, &writing::text(&text), "center", width.unwrap_or(80).try_into().unwrap_or(0), None)
    });
    environment.add_filter("batch", |items: Value, size: usize, fill: Option<Value>| batch(&items, size, fill));
    environment.add_filter("slice", |items: Value, parts: usize, fill: Option<Value>| slice(&items, parts, fill));
    let at = Arc::clone(budget);
    environment.set_unknown_method_callback(move |state, value, method, arguments| {
        check_method(&at, value, method, arguments)?;
        if let Some(answer) = methods::call(&at, value, method, arguments)? {
            return Ok(answer);
        }
        unknown_method_callback(state, value, method, arguments)
    });
    let at = Arc::clone(budget);
    environment.set_formatter(move |out, _state, value| at.write(out, value));
}

fn join_two(budget: &Budget, operands: &[Value]) -> Result<(), Error> {
    if let [left, right] = operands {
        // `~` writes lists out as text.
        budget.charge_deep(left)?;
        budget.charge_deep(right)?;
        budget.charge_value(shallow_bytes(left).checked_add(shallow_bytes(right)))?;
    }
    Ok(())
}

fn multiply(budget: &Budget, operands: &[Value]) -> Result<(), Error> {
    let is_number = |value: &Value| value.kind() == ValueKind::Number;
    if let [left, right] = operands
        && !(is_number(left) && is_number(right))
    {
        let (whole, times) = if is_number(left) { (right, left) } else { (left, right) };
        budget.charge_value(shallow_bytes(whole).checked_mul(times.as_usize().unwrap_or(0)))?;
    }
    Ok(())
}

fn compare(budget: &Budget, operands: &[Value]) -> Result<(), Error> {
    let [left, right] = operands else { return Ok(()) };
    match (left.as_str(), right.as_str()) {
        (Some(left), Some(right)) => budget.charge(left.len().min(right.len())),
        (None, None) => {
            budget.charge_deep(left)?;
            budget.charge_deep(right)
        }
        _ => Ok(()),
    }
}

/// Values of different kinds have no order in Python.
fn order(budget: &Budget, operands: &[Value]) -> Result<(), Error> {
    let [left, right] = operands else { return Ok(()) };
    let kind = |value: &Value| match value.kind() {
        ValueKind::Bool => ValueKind::Number,
        kind => kind,
    };
    if kind(left) != kind(right) || !matches!(kind(left), ValueKind::Number | ValueKind::String | ValueKind::Seq) {
        return Err(invalid(format!("{} and {} have no order", left.kind(), right.kind())));
    }
    compare(budget, operands)
}

fn search(budget: &Budget, operands: &[Value]) -> Result<(), Error> {
    let [needle, place] = operands else { return Ok(()) };
    if needle.as_str().is_some() { budget.charge(shallow_bytes(place)) } else { compare(budget, operands) }
}

fn check_replace(budget: &Budget, text: &str, from: &str, to: &str) -> Result<(), Error> {
    budget.charge(text.len())?;
    let found = text.matches(from).count();
    budget.charge_value(found.checked_mul(to.len()).and_then(|added| added.checked_add(text.len())))
}

fn join(budget: &Budget, list: &Value, joiner: &str, attribute: Option<&str>) -> Result<Value, Error> {
    let mut text = String::new();
    for (i, item) in list.try_iter()?.enumerate() {
        let item = match attribute {
            Some(attribute) => item.get_attr(attribute)?,
            None => item,
        };
        let item = match item.as_str() {
            Some(_) => item,
            None => {
                budget.charge_deep(&item)?;
                Value::from(writing::text(&item))
            }
        };
        let piece = item.as_str().unwrap_or_default();
        budget.charge(joiner.len() + piece.len())?;
        if i > 0 {
            text.push_str(joiner);
        }
        text.push_str(piece);
        budget.check_value(text.len())?;
    }
    Ok(Value::from(text))
}

fn indent(budget: &Budget, text: &str, margin: &str, first: bool, blank: bool) -> Result<Value, Error> {
    if margin.len() > MAX_WIDTH {
        return Err(invalid(format!("cannot indent by more than {MAX_WIDTH}")));
    }
    let is_end = methods::is_line_end;
    let lines = text.matches(is_end).count() + 1;
    budget.charge_value(lines.checked_mul(margin.len()).and_then(|added| added.checked_add(text.len())))?;
    let mut out = String::new();
    for (i, line) in text.replace("\r\n", "\n").split(is_end).enumerate() {
        if i > 0 {
            out.push('\n');
        }
        if if i > 0 { blank || !line.is_empty() } else { first } {
            out.push_str(margin);
        }
        out.push_str(line);
    }
    Ok(Value::from(out))
}

/// Jinja's filter `batch`: lists of `size` elements, the last one filled up with `fill`.
fn batch(items: &Value, size: usize, fill: Option<Value>) -> Result<Value, Error> {
    if !(1..=MAX_WIDTH).contains(&size) {
        return Err(invalid(format!("cannot batch by {size}")));
    }
    let items: Vec<Value> = items.try_iter()?.collect();
    let mut lists: Vec<Vec<Value>> = items.chunks(size).map(<[Value]>::to_vec).collect();
    if let (Some(fill), Some(last)) = (fill, lists.last_mut()) {
        last.resize(size, fill);
    }
    Ok(lists.into_iter().map(Value::from).collect())
}

/// Jinja's filter `slice`: `parts` lists. Where they cannot be equal, the first ones are longer, and `fill`, if given,
/// is added to the others.
fn slice(items: &Value, parts: usize, fill: Option<Value>) -> Result<Value, Error> {
    if !(1..=MAX_WIDTH).contains(&parts) {
        return Err(invalid(format!("cannot slice into {parts}")));
    }
    let items: Vec<Value> = items.try_iter()?.collect();
    let (each, longer) = (items.len() / parts, items.len() % parts);
    let mut rest = items.as_slice();
    let mut lists = Vec::with_capacity(parts);
    for part in 0..parts {
        let (taken, after) = rest.split_at(each + usize::from(part < longer));
        rest = after;
        let mut list = taken.to_vec();
        if longer > 0 && part >= longer {
            list.extend(fill.clone());
        }
        lists.push(Value::from(list));
    }
    Ok(Value::from(lists))
}

fn check_method(budget: &Budget, value: &Value, method: &str, arguments: &[Value]) -> Result<(), Error> {
    budget.charge(shallow_bytes(value))?;
    arguments.iter().try_for_each(|argument| budget.charge_deep(argument))?;
    let Some(text) = value.as_str() else { return Ok(()) };
    let argument = |i: usize| arguments.get(i).and_then(Value::as_str);
    match (method, argument(0), argument(1)) {
        ("replace", Some(from), Some(to)) => check_replace(budget, text, from, to),
        ("join", ..) => match arguments.first() {
            Some(list) => budget.charge_value(list.len().unwrap_or(0).checked_mul(text.len())),
            None => Ok(()),
        },
        ("split" | "rsplit" | "splitlines", ..) => {
            // Each part is a separate value.
            let separator = argument(0).filter(|separator| !separator.is_empty());
            let parts = match separator {
                Some(separator) => text.matches(separator).count(),
                None => text.chars().filter(|c| c.is_whitespace()).count(),
            };
            budget.charge(parts.saturating_mul(64))
        }
        _ => Ok(()),
    }
}

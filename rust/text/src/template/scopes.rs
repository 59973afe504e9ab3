//! Scopes of names that the engine does not open or close as Jinja2 does.
//!
//! Variables set within `{% set x %}…{% endset %}` and `{% filter %}` do not outlive them. `break` and `continue` leave
//! the scopes between them and their loop; the engine's jump leaves those open, and then takes one for the loop's.

use minijinja::machinery::Instruction;

/// A scope that is open while instructions run.
#[derive(Clone, Copy)]
enum Scope {
    With,
    /// Output that is captured as a value, with its own scope.
    Capture,
}

/// The scopes that are open at each place of a program.
pub(super) struct Scopes {
    /// For each instruction the innermost scope, by its place in `all`.
    innermost: Vec<Option<usize>>,
    /// Each scope with the one around it.
    all: Vec<(Scope, Option<usize>)>,
}

impl Scopes {
    pub(super) fn of(program: &[&Instruction<'_>]) -> Self {
        let mut scopes = Scopes { innermost: Vec::with_capacity(program.len()), all: Vec::new() };
        let mut current = None;
        for instruction in program {
            scopes.innermost.push(current);
            let opened = match instruction {
                Instruction::PushWith => Scope::With,
                Instruction::BeginCapture(_) => Scope::Capture,
                Instruction::PopFrame | Instruction::EndCapture => {
                    current = current.and_then(|scope: usize| scopes.all[scope].1);
                    continue;
                }
                _ => continue,
            };
            scopes.all.push((opened, current));
            current = Some(scopes.all.len() - 1);
        }
        scopes
    }

    /// The instructions that close the scopes that a jump leaves.
    pub(super) fn closed<'a>(&self, from: usize, to: u32) -> Vec<Instruction<'a>> {
        let at = |place: usize| self.innermost.get(place).copied().flatten();
        let (mut scope, last) = (at(from), at(to as usize));
        let mut closing = Vec::new();
        while scope != last {
            let Some(left) = scope else { break };
            let (kind, around) = self.all[left];
            closing.push(Instruction::PopFrame);
            if let Scope::Capture = kind {
                closing.extend([Instruction::EndCapture, Instruction::DiscardTop]);
            }
            scope = around;
        }
        closing
    }
}

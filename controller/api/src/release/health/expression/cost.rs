//! What an expression may be made of.

use std::collections::BTreeSet;

use cel::{
    IdedExpr,
    common::ast::{CallExpr, Expr, operators as op},
};

use super::VARIABLES;

/// Loops within each other: a list of lists, such as the conditions of a route's parents.
const DEEPEST: usize = 2;

const OPERATORS: [&str; 17] = [
    op::CONDITIONAL,
    op::LOGICAL_AND,
    op::LOGICAL_OR,
    op::LOGICAL_NOT,
    op::SUBSTRACT,
    op::ADD,
    op::MULTIPLY,
    op::DIVIDE,
    op::MODULO,
    op::EQUALS,
    op::NOT_EQUALS,
    op::GREATER_EQUALS,
    op::LESS_EQUALS,
    op::GREATER,
    op::LESS,
    op::NEGATE,
    op::INDEX,
];

/// Functions that cost no more than their arguments are long.
const FUNCTIONS: [&str; 9] = [
    op::IN,
    op::HAS,
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "int",
    "double",
    "string",
];

/// Macros whose answer is no larger than the list they are asked of.
const LOOPS: [&str; 5] = [op::ALL, op::EXISTS, op::EXISTS_ONE, "existsOne", op::FILTER];

/// The variables that `expression` is about, or why it may not be asked.
pub(super) fn check(expression: &IdedExpr) -> Result<BTreeSet<&'static str>, String> {
    let mut check = Check::default();
    check.walk(expression)?;
    Ok(check.variables)
}

#[derive(Default)]
struct Check<'a> {
    variables: BTreeSet<&'static str>,
    /// Names of the elements of the loops around.
    elements: Vec<&'a str>,
}

impl<'a> Check<'a> {
    fn walk(&mut self, expression: &'a IdedExpr) -> Result<(), String> {
        match &expression.expr {
            Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.variable(name),
            Expr::Select(select) => self.walk(&select.operand),
            Expr::List(list) => list.elements.iter().try_for_each(|item| self.walk(item)),
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(_) | Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => {
                Err("maps and messages can't be written in it".to_owned())
            }
        }
    }

    fn variable(&mut self, name: &str) -> Result<(), String> {
        if self.elements.contains(&name) {
            return Ok(());
        }
        let known = VARIABLES.into_iter().find(|known| *known == name);
        let known =
            known.ok_or_else(|| format!("{name} is not known: write {}", VARIABLES.join(", ")))?;
        self.variables.insert(known);
        Ok(())
    }

    fn call(&mut self, call: &'a CallExpr) -> Result<(), String> {
        let name = call.func_name.as_str();
        if LOOPS.contains(&name) {
            return self.walk_loop(call);
        }
        if !OPERATORS.contains(&name) && !FUNCTIONS.contains(&name) {
            return Err(format!(
                "{name} can't be used in it; there are has, size, contains, startsWith, endsWith, int, double, string, all, exists, exists_one and filter"
            ));
        }
        let parts = call.target.as_deref().into_iter().chain(&call.args);
        for part in parts {
            self.walk(part)?;
        }
        Ok(())
    }

    fn walk_loop(&mut self, call: &'a CallExpr) -> Result<(), String> {
        let name = &call.func_name;
        let (Some(list), [element, body]) = (&call.target, call.args.as_slice()) else {
            return Err(format!(
                "{name} takes a name and an expression: list.{name}(x, x.ready)"
            ));
        };
        let Expr::Ident(element) = &element.expr else {
            return Err(format!("the first argument of {name} must be a name"));
        };
        self.walk(list)?;
        if self.elements.len() == DEEPEST {
            return Err(format!("more than {DEEPEST} loops are within each other"));
        }
        self.elements.push(element);
        let found = self.walk(body);
        self.elements.pop();
        found
    }
}

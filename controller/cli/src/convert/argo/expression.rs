//! Conditions of Argo Rollouts' metrics, as far as they are about one result.
//!
//! Left out: arithmetic, functions of one's own, and anything that is not a comparison of the result with a value. A text with
//! more in it is refused as a whole, so that no condition is half understood.

use std::iter::Peekable;

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Not(Box<Self>),
    /// A comparison.
    Is(Operand, Op, Operand),
    /// A comparison for all values, or for any.
    Each(Each, Op, Literal),
    /// Something that is true or false by itself.
    Holds(Operand),
}

/// How many values must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Each {
    All,
    Any,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operand {
    /// The result, or the part of it at this path.
    Result(String),
    /// The same with a value for when there is none.
    ResultOr(String),
    /// How many values there are.
    Length,
    /// Whether the result is not a number.
    NotANumber,
    Nil,
    Value(Literal),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Number(f64),
    Text(String),
    Bool(bool),
    /// The argument of this name.
    Argument(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
    Equal,
    NotEqual,
}

impl Op {
    /// What holds when this does not.
    pub(super) const fn inverse(self) -> Self {
        match self {
            Self::Less => Self::MoreOrEqual,
            Self::LessOrEqual => Self::More,
            Self::More => Self::LessOrEqual,
            Self::MoreOrEqual => Self::Less,
            Self::Equal => Self::NotEqual,
            Self::NotEqual => Self::Equal,
        }
    }

    /// The same with its sides exchanged.
    pub(super) const fn mirrored(self) -> Self {
        match self {
            Self::Less => Self::More,
            Self::LessOrEqual => Self::MoreOrEqual,
            Self::More => Self::Less,
            Self::MoreOrEqual => Self::LessOrEqual,
            Self::Equal | Self::NotEqual => self,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Number(f64),
    Text(String),
    Word(String),
    Argument(String),
    Sign(&'static str),
}

const SIGNS: [&str; 19] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "(", ")", "[", "]", ".", ",", "#", "{", "}",
    "-",
];

/// Deepest nesting that is read.
const MOST_DEPTH: usize = 32;

/// Reads `text`; nothing when it has something that is not known here.
pub(super) fn parse(text: &str) -> Option<Expression> {
    let tokens = tokens(text)?;
    let mut parser = Parser {
        tokens: tokens.into_iter().peekable(),
        depth: 0,
    };
    let expression = parser.or()?;
    parser.tokens.next().is_none().then_some(expression)
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, after) = if let Some(hole) = rest.strip_prefix("{{") {
            let (name, after) = hole.split_once("}}")?;
            let name = name.trim().strip_prefix("args.")?;
            (Token::Argument(name.trim().to_owned()), after)
        } else if first == '"' || first == '\'' {
            let (inner, after) = rest.get(1..)?.split_once(first)?;
            let hole = inner.trim().strip_prefix("{{args.");
            match hole.and_then(|hole| hole.strip_suffix("}}")) {
                Some(name) => (Token::Argument(name.trim().to_owned()), after),
                None => (Token::Text(inner.to_owned()), after),
            }
        } else if first.is_ascii_digit() {
            let (number, after) = split(rest, |c| c.is_ascii_digit() || c == '.' || c == 'e');
            (Token::Number(number.parse().ok()?), after)
        } else if first.is_ascii_alphabetic() || first == '_' {
            let (word, after) = split(rest, |c| c.is_ascii_alphanumeric() || c == '_');
            (word_or_sign(word), after)
        } else {
            let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign))?;
            (Token::Sign(sign), rest.get(sign.len()..)?)
        };
        tokens.push(token);
        rest = after.trim_start();
    }
    Some(tokens)
}

fn split(text: &str, within: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !within(c)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

fn word_or_sign(word: &str) -> Token {
    match word {
        "and" => Token::Sign("&&"),
        "or" => Token::Sign("||"),
        "not" => Token::Sign("!"),
        other => Token::Word(other.to_owned()),
    }
}

struct Parser<I: Iterator<Item = Token>> {
    tokens: Peekable<I>,
    depth: usize,
}

impl<I: Iterator<Item = Token>> Parser<I> {
    fn or(&mut self) -> Option<Expression> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return None;
        }
        let mut left = self.and()?;
        while self.next_is("||") {
            left = Expression::Or(Box::new(left), Box::new(self.and()?));
        }
        self.depth -= 1;
        Some(left)
    }

    fn and(&mut self) -> Option<Expression> {
        let mut left = self.one()?;
        while self.next_is("&&") {
            left = Expression::And(Box::new(left), Box::new(self.one()?));
        }
        Some(left)
    }

    fn one(&mut self) -> Option<Expression> {
        if self.next_is("!") {
            return Some(Expression::Not(Box::new(self.one_deeper()?)));
        }
        if self.next_is("(") {
            let inner = self.or()?;
            return self.next_is(")").then_some(inner);
        }
        for (word, each) in [("all", Each::All), ("any", Each::Any)] {
            if self.tokens.peek() == Some(&Token::Word(word.to_owned())) {
                self.tokens.next();
                return self.each(each);
            }
        }
        let left = self.operand()?;
        let Some(op) = self.op() else {
            return Some(Expression::Holds(left));
        };
        let right = self.operand()?;
        Some(match left {
            Operand::Value(_) => Expression::Is(right, op.mirrored(), left),
            _ => Expression::Is(left, op, right),
        })
    }

    fn one_deeper(&mut self) -> Option<Expression> {
        self.depth += 1;
        let one = if self.depth > MOST_DEPTH {
            None
        } else {
            self.one()
        };
        self.depth -= 1;
        one
    }

    /// `(result, # < 5)`, also with the condition in braces.
    fn each(&mut self, each: Each) -> Option<Expression> {
        if !(self.next_is("(") && self.operand()? == Operand::Result(String::new())) {
            return None;
        }
        let braces = self.next_is(",").then(|| self.next_is("{"))?;
        let op = self.next_is("#").then(|| self.op())??;
        let Operand::Value(value) = self.operand()? else {
            return None;
        };
        let closed = !braces || self.next_is("}");
        (closed && self.next_is(")")).then_some(Expression::Each(each, op, value))
    }

    fn operand(&mut self) -> Option<Operand> {
        match self.tokens.next()? {
            Token::Number(number) => Some(Operand::Value(Literal::Number(number))),
            Token::Text(text) => Some(Operand::Value(Literal::Text(text))),
            Token::Argument(name) => Some(Operand::Value(Literal::Argument(name))),
            Token::Sign("-") => match self.tokens.next()? {
                Token::Number(number) => Some(Operand::Value(Literal::Number(-number))),
                _ => None,
            },
            Token::Sign(_) => None,
            Token::Word(word) => match word.as_str() {
                "true" => Some(Operand::Value(Literal::Bool(true))),
                "false" => Some(Operand::Value(Literal::Bool(false))),
                "nil" => Some(Operand::Nil),
                "result" => self.path().map(Operand::Result),
                "asFloat" | "float" | "asInt" | "int" => self.in_brackets(Self::operand),
                "len" => self.of_result(Operand::Length),
                "isNaN" | "isNil" => self.of_result(Operand::NotANumber),
                "default" => self.in_brackets(|own| {
                    let operand = own.operand()?;
                    let path = match operand {
                        Operand::Result(path) if own.next_is(",") => path,
                        _ => return None,
                    };
                    own.operand().map(|_| Operand::ResultOr(path))
                }),
                _ => None,
            },
        }
    }

    /// What follows `result`: `[0]` is the one value of a query, the rest a path into JSON.
    fn path(&mut self) -> Option<String> {
        let mut path = String::new();
        loop {
            if self.next_is("[") {
                match self.tokens.next()? {
                    Token::Number(index) if index >= 0.0 => {
                        path.extend(["[", &index.to_string(), "]"]);
                    }
                    Token::Text(key) => {
                        path.extend(["['", &key, "']"]);
                    }
                    _ => return None,
                }
                if !self.next_is("]") {
                    return None;
                }
            } else if self.next_is(".") {
                let Some(Token::Word(word)) = self.tokens.next() else {
                    return None;
                };
                path.push('.');
                path.push_str(&word);
            } else {
                return Some(path);
            }
        }
    }

    fn of_result(&mut self, operand: Operand) -> Option<Operand> {
        let inner = self.in_brackets(Self::operand)?;
        matches!(inner, Operand::Result(_)).then_some(operand)
    }

    fn in_brackets<T>(&mut self, inner: impl Fn(&mut Self) -> Option<T>) -> Option<T> {
        if !self.next_is("(") {
            return None;
        }
        let inner = inner(self)?;
        self.next_is(")").then_some(inner)
    }

    fn op(&mut self) -> Option<Op> {
        let op = match self.tokens.peek()? {
            Token::Sign("<") => Op::Less,
            Token::Sign("<=") => Op::LessOrEqual,
            Token::Sign(">") => Op::More,
            Token::Sign(">=") => Op::MoreOrEqual,
            Token::Sign("==") => Op::Equal,
            Token::Sign("!=") => Op::NotEqual,
            _ => return None,
        };
        self.tokens.next();
        Some(op)
    }

    fn next_is(&mut self, sign: &'static str) -> bool {
        self.tokens.next_if_eq(&Token::Sign(sign)).is_some()
    }
}

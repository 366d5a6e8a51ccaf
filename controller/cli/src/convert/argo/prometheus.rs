//! Questions to Prometheus.

use serde_json::{Map, Value, json};

use super::{
    condition::Reading,
    expression::{Literal, Op},
    holes::{self, Secrets},
};
use crate::convert::{
    fields::Fields,
    manifest::put,
    note::{Effect, Notes},
    text,
};

const NO_BOUND: &str =
    "this condition can't be written as the bounds of one number; write threshold by hand";

/// The question with its bounds.
pub(super) fn gate(
    mut own: Fields,
    condition: Result<(Reading, String), ()>,
    secrets: &Secrets,
    notes: &mut Notes,
) -> Option<Value> {
    let mut gate = Map::new();
    address(&mut own, &mut gate, notes);
    put(&mut gate, "headers", headers(&mut own, secrets, notes));
    put(&mut gate, "auth", auth(&mut own, secrets, notes));
    put(&mut gate, "timeout", own.seconds("timeout", notes));
    let at = own.path("query");
    let query = own.text("query", notes);
    own.end(
        &[
            ("insecure", Effect::Left, "certificates are always checked; name the authority under tls.ca"),
            ("rangeQuery", Effect::Left, "a gate asks for one number at one time; let the query look back, for example by max_over_time(…[5m])"),
        ],
        notes,
    );
    let (reading, condition_at) = condition.ok()?;
    let Some(query) = query else {
        notes.left(&at, "a gate needs a query");
        return None;
    };
    if query.contains("rollouts_pod_template_hash") {
        notes.left(&at, "the label of the pods is pod-template-hash now: ask for pod_template_hash, or for pods by name and hash");
    }
    let query = holes::translated(query.trim(), &at, notes);
    match bounded(query, &reading, &condition_at, notes) {
        Ok((query, threshold)) => {
            gate.insert("query".to_owned(), query.into());
            gate.insert("threshold".to_owned(), threshold);
            Some(gate.into())
        }
        Err(why) => {
            notes.left(&condition_at, why);
            None
        }
    }
}

fn address(own: &mut Fields, gate: &mut Map<String, Value>, notes: &mut Notes) {
    let at = own.path("address");
    match own.text("address", notes) {
        Some(address) if address.contains("{{") => notes.left(&at, "an address can't have arguments: write it out, or leave it to the controller's --prometheus-url, which is asked now"),
        Some(address) if address.starts_with("http://") || address.starts_with("https://") => {
            gate.insert("address".to_owned(), address.into());
        }
        Some(_) => notes.left(&at, "an address begins with http:// or https://; the controller's --prometheus-url is asked now"),
        None => {}
    }
}

/// Headers as they stand in gates; a Secret's value by name of the Secret.
pub(super) fn headers(own: &mut Fields, secrets: &Secrets, notes: &mut Notes) -> Option<Value> {
    let mut headers = Vec::new();
    for mut header in own.each("headers", notes) {
        let at = header.path("value");
        let name = header.text("key", notes);
        let value = header.text("value", notes);
        header.end(&[], notes);
        let (Some(name), Some(value)) = (name, value) else {
            continue;
        };
        headers.push(match holes::secret(&value, secrets) {
            Some(("", secret)) => json!({"name": name, "secretKey": holes::secret_key(secret)}),
            Some((prefix, secret)) => {
                json!({"name": name, "prefix": prefix, "secretKey": holes::secret_key(secret)})
            }
            None => json!({"name": name, "value": holes::translated(&value, &at, notes)}),
        });
    }
    (!headers.is_empty()).then(|| headers.into())
}

/// Credentials as they stand in gates.
pub(super) fn auth(own: &mut Fields, secrets: &Secrets, notes: &mut Notes) -> Option<Value> {
    let mut auth = own.fields("authentication", notes)?;
    let basic = auth.fields("basicAuth", notes).and_then(|mut basic| {
        let mut part = |name: &str| {
            let at = basic.path(name);
            let value = basic.text(name, notes)?;
            let Some(("", secret)) = holes::secret(&value, secrets) else {
                notes.left(&at, "credentials stand in Secrets only: put it into one, and name it under auth.basic");
                return None;
            };
            Some(holes::secret_key(secret))
        };
        let (username, password) = (part("username"), part("password"));
        basic.end(&[], notes);
        Some(json!({"basic": {"username": username?, "password": password?}}))
    });
    auth.end(
        &[
            (
                "oauth2",
                Effect::Left,
                "no token is fetched; keep one in a Secret, and name it under auth.bearer",
            ),
            (
                "sigv4",
                Effect::Left,
                "requests are not signed; put a signing proxy before the server, and ask that",
            ),
        ],
        notes,
    );
    basic
}

/// The query, changed where the bound can't be said otherwise, and the bounds.
fn bounded(
    query: String,
    reading: &Reading,
    at: &str,
    notes: &mut Notes,
) -> Result<(String, Value), &'static str> {
    let (mut query, mut least, mut most) = (query, None::<f64>, None::<f64>);
    let alone = reading.bounds.len() == 1;
    for bound in &reading.bounds {
        if !matches!(bound.path.as_str(), "" | "[0]") {
            return Err(NO_BOUND);
        }
        let upper = matches!(bound.op, Op::Less | Op::LessOrEqual);
        if bound.op == Op::NotEqual || bound.every && (bound.op == Op::Equal || !alone) {
            return Err(NO_BOUND);
        }
        if bound.every {
            let worst = if upper { "max" } else { "min" };
            query = format!("{worst}({query})");
            notes.differs(at, format!("the condition was on every series; the query gives the worst of them now, by {worst}()"));
        }
        let strict = matches!(bound.op, Op::Less | Op::More);
        let number = match &bound.value {
            Literal::Number(number) if strict => {
                notes.differs(at, "both ends of a range belong to the good side, so the bound is the next number to yours; round it as you like");
                if upper {
                    number.next_down()
                } else {
                    number.next_up()
                }
            }
            Literal::Number(number) => *number,
            Literal::Argument(name) if alone => {
                query = format!("({query}) - {{{{{}}}}}", text::argument(name));
                notes.differs(at, "a bound can't be an argument, so the query gives the distance to it, and the bound is 0");
                0.0
            }
            _ => return Err(NO_BOUND),
        };
        if upper || bound.op == Op::Equal {
            most = Some(most.map_or(number, |most| most.min(number)));
        }
        if !upper {
            least = Some(least.map_or(number, |least| least.max(number)));
        }
    }
    let mut threshold = Map::new();
    put(&mut threshold, "min", least);
    put(&mut threshold, "max", most);
    if threshold.is_empty() {
        return Err(
            "without a condition every number would pass; say under threshold which are good",
        );
    }
    Ok((query, threshold.into()))
}

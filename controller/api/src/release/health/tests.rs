use serde_json::json;

use super::*;

fn rule(more: Value) -> HealthRule {
    let mut rule = json!({"apiVersion": "example.com/*", "kind": "Database", "current": "status.phase == 'Ready'"});
    if let (Some(rule), Value::Object(more)) = (rule.as_object_mut(), more) {
        rule.extend(more);
    }
    serde_json::from_value(rule).unwrap()
}

fn database(status: &Value) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Database", "metadata": {"generation": 3}, "spec": {"size": 2}, "status": status})
}

fn read(more: Value) -> HealthRules {
    HealthRules::read(&[rule(more)]).unwrap()
}

fn message(health: Health) -> String {
    match health {
        Health::Current => String::new(),
        Health::InProgress { message } => format!("in progress: {message}"),
        Health::Failed { message } => format!("failed: {message}"),
    }
}

#[test]
fn in_progress_is_asked_before_failed_and_failed_before_current() {
    let rules = read(json!({
        "inProgress": "has(status.busy) && status.busy", "failed": "has(status.broken) && status.broken", "current": "status.ready",
    }));
    let assess = |status: Value| message(rules.assess(&database(&status)));
    let all = json!({"busy": true, "broken": true, "ready": true});
    assert!(assess(all).starts_with(
        "in progress: its health rule holds it in progress (inProgress: has(status.busy)"
    ));
    let two = json!({"broken": true, "ready": true});
    assert!(assess(two).starts_with("failed: its health rule says so (failed: "));
    assert_eq!(assess(json!({"ready": true})), "");
    assert_eq!(
        assess(json!({"ready": false})),
        "in progress: its health rule does not hold yet (current: status.ready)"
    );
}

#[test]
fn what_cannot_be_evaluated_is_waited_for() {
    let rules = read(json!({}));
    assert_eq!(
        message(rules.assess(&database(&json!({})))),
        "in progress: its health rule can't be evaluated yet (current: status.phase == 'Ready'): there is no phase"
    );
    let mut object = database(&json!({}));
    object.as_object_mut().unwrap().remove("status");
    assert!(message(rules.assess(&object)).contains("there is no phase"));
    let text = read(json!({"current": "status.phase"}));
    let said = message(text.assess(&database(&json!({"phase": "Ready"}))));
    assert!(said.contains("neither true nor false"), "{said}");
}

#[test]
fn a_status_about_an_older_spec_does_not_count() {
    let old = database(&json!({"phase": "Ready", "observedGeneration": 2}));
    let said = message(read(json!({})).assess(&old));
    assert!(said.contains("not seen the newest spec"), "{said}");
}

#[test]
fn a_rule_is_for_its_kind_and_takes_the_place_of_what_is_known_of_it() {
    let waits_for_address = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "current": "has(status.loadBalancer.ingress) && status.loadBalancer.ingress.size() > 0"});
    let rules = HealthRules::read(&[serde_json::from_value(waits_for_address).unwrap()]).unwrap();
    let ingress = |status| json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {}, "spec": {}, "status": status});
    let none = ingress(json!({"loadBalancer": {}}));
    assert_eq!(health::assess(&none), Health::Current);
    assert!(message(rules.assess(&none)).starts_with("in progress"));
    let some = ingress(json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}));
    assert_eq!(rules.assess(&some), Health::Current);
    // Others are judged as ever.
    let failed = database(
        &json!({"conditions": [{"type": "Stalled", "status": "True", "reason": "Broken"}]}),
    );
    assert!(message(rules.assess(&failed)).starts_with("failed"));
    for (version, fits) in [
        ("example.com/*", true),
        ("example.com/v1", true),
        ("example.com/v2", false),
        ("com/*", false),
    ] {
        let rule = rule(json!({"apiVersion": version}));
        assert_eq!(rule.fits("example.com/v1", "Database"), fits, "{version}");
    }
}

#[test]
fn lists_of_lists_and_the_idiom_of_conditions_can_be_asked() {
    let rules = read(json!({
        "current": "status.parents.all(p, p.conditions.exists(c, c.type == 'Accepted' && c.status == 'True'))",
        "failed": "status.parents.filter(p, has(p.error)).exists(p, p.error in ['Fatal', 'Lost'])",
    }));
    let parent = |status: &str| json!({"conditions": [{"type": "Accepted", "status": status}]});
    let good = database(&json!({"parents": [parent("True"), parent("True")]}));
    assert_eq!(rules.assess(&good), Health::Current);
    let one = database(&json!({"parents": [parent("True"), parent("False")]}));
    assert!(message(rules.assess(&one)).starts_with("in progress"));
    let bad = database(&json!({"parents": [{"error": "Fatal"}]}));
    assert!(message(rules.assess(&bad)).starts_with("failed"));
}

#[test]
fn a_rule_that_cannot_be_read_or_could_cost_too_much_is_refused_by_name() {
    let long = format!("status.phase == '{}'", "a".repeat(1100));
    for (text, why) in [
        ("status.phase ==", "it is no CEL expression"),
        (
            "stauts.phase == 'Ready'",
            "stauts is not known: write status, spec",
        ),
        ("status.phase.matches('a+')", "matches can't be used in it"),
        (
            "status.items.map(x, x + x).size() > 0",
            "map can't be used in it",
        ),
        (
            "status.a.all(x, x.all(y, y.all(z, z)))",
            "more than 2 loops",
        ),
        ("status.a.all(x)", "all takes a name and an expression"),
        ("{'a': 1}.a == 1", "maps and messages"),
        (&*long, "longer than 1024"),
    ] {
        let error = HealthRules::read(&[rule(json!({"current": text}))]).unwrap_err();
        assert!(
            error.starts_with("current of the rule for example.com/* Database: ")
                && error.contains(why),
            "{text}: {error}"
        );
    }
}

#[test]
fn an_object_that_is_too_large_is_waited_for_unless_the_rule_asks_about_another_part() {
    let rules = read(json!({}));
    let many: Vec<u32> = (0..300).collect();
    let said = message(rules.assess(&database(&json!({"phase": "Ready", "many": many}))));
    assert!(said.contains("status is too large for a rule"), "{said}");
    let mut object = database(&json!({"phase": "Ready"}));
    object["spec"] = json!({"text": "a".repeat(200_000), "many": many});
    assert_eq!(rules.assess(&object), Health::Current);
}

#[test]
fn the_dearest_rule_over_the_largest_object_ends_soon() {
    let list: Vec<Value> = (0..256)
        .map(|n| json!({"n": n, "text": "a".repeat(400)}))
        .collect();
    let one = "x.text != y.text || ";
    let text = format!(
        "status.l.all(x, status.l.all(y, {}x.n < 1000))",
        one.repeat(8)
    );
    let rules = read(json!({"current": text}));
    let object = database(&json!({"l": list}));
    let start = std::time::Instant::now();
    assert_eq!(rules.assess(&object), Health::Current);
    let took = start.elapsed();
    assert!(took < std::time::Duration::from_secs(30), "{took:?}");
}

//! The report for CI systems: a test case for each limit, and one for each past rollout that people have called good or bad.

use std::io;

use quick_xml::{
    Writer,
    events::{BytesText, Event},
};

use super::{
    past::Judged,
    report::{Limit, PastReport, Report},
    text,
};

/// A test case.
struct Case {
    name: String,
    failure: Option<String>,
}

/// The report as XML.
pub(super) fn xml(report: &Report) -> io::Result<Vec<u8>> {
    let cases: Vec<Case> = report
        .limits
        .iter()
        .map(of_limit)
        .chain(report.past.iter().filter_map(of_past))
        .collect();
    let failures = cases.iter().filter(|case| case.failure.is_some()).count();
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    writer.write_event(Event::Decl(quick_xml::events::BytesDecl::new(
        "1.0",
        Some("UTF-8"),
        None,
    )))?;
    writer
        .create_element("testsuites")
        .write_inner_content(|writer| {
            writer
                .create_element("testsuite")
                .with_attributes([
                    ("name", report.subject.as_str()),
                    ("tests", cases.len().to_string().as_str()),
                    ("failures", failures.to_string().as_str()),
                    ("errors", "0"),
                    ("timestamp", report.to.to_string().as_str()),
                ])
                .write_inner_content(|writer| {
                    cases.iter().try_for_each(|case| write(writer, case))
                })?;
            Ok(())
        })?;
    let mut xml = writer.into_inner();
    xml.push(b'\n');
    Ok(xml)
}

fn write(writer: &mut Writer<Vec<u8>>, case: &Case) -> io::Result<()> {
    let element = writer.create_element("testcase").with_attributes([
        ("name", case.name.as_str()),
        ("classname", "belay.simulate"),
    ]);
    match &case.failure {
        None => element.write_empty()?,
        Some(why) => element.write_inner_content(|writer| {
            writer
                .create_element("failure")
                .with_attribute(("message", why.as_str()))
                .write_text_content(BytesText::new(why))?;
            Ok(())
        })?,
    };
    Ok(())
}

fn of_limit(limit: &Limit) -> Case {
    let failure = (!limit.holds).then(|| {
        format!(
            "{} of {} are {}, at most {} are tolerated",
            limit.found.count,
            limit.found.of,
            text::percent(limit.found.value),
            text::percent(limit.most)
        )
    });
    Case {
        name: format!("{} at most {}", limit.name, text::percent(limit.most)),
        failure,
    }
}

fn of_past(past: &PastReport) -> Option<Case> {
    let judged = past.judged?;
    let (word, failure) = match (judged, &past.rolled_back) {
        (Judged::Good, Some(back)) => (
            "goes through",
            Some(format!(
                "gate {} would have rolled it back after {} s",
                back.gate, back.after_seconds
            )),
        ),
        (Judged::Good, None) => ("goes through", None),
        (Judged::Bad, None) => (
            "is rolled back",
            Some("no gate would have rolled it back".to_owned()),
        ),
        (Judged::Bad, Some(_)) => ("is rolled back", None),
    };
    Some(Case {
        name: format!("{} of {} {word}", past.version, past.started),
        failure,
    })
}

//! Reading what Prometheus writes.

use reqwest::StatusCode;
use serde::Deserialize;

use super::{Data, Words};
use crate::text;

/// Stands in the place of what Prometheus says about a query that nobody may read.
const WITHHELD: &str =
    "its own words are withheld, for the query holds a Secret's value; try the query without it";

/// Longest text of Prometheus that is passed on.
const MESSAGE_BYTES: usize = 300;

/// What stands around the data. It is read without them first: an answer of some other server is told from one that is new to us.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Frame {
    status: String,
    error_type: Option<String>,
    error: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
struct Body {
    data: Data,
}

/// The data in `body`, or one sentence about what is wrong with it; and the warnings.
pub(super) fn read(
    host: &str,
    status: StatusCode,
    body: &[u8],
    words: Words,
) -> (Result<Data, String>, Vec<String>) {
    let Ok(frame) = serde_json::from_slice::<Frame>(body) else {
        return (Err(not_prometheus(host, status)), Vec::new());
    };
    let warnings = frame.warnings.iter().map(|w| told(w, words)).collect();
    if frame.status != "success" {
        return (Err(refusal(host, status, &frame, words)), warnings);
    }
    let data = serde_json::from_slice::<Body>(body)
        .map(|body| body.data)
        .map_err(|_| format!("the answer of Prometheus at {host} can't be read"));
    (data, warnings)
}

fn not_prometheus(host: &str, status: StatusCode) -> String {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            format!("Prometheus at {host} refused the credentials of its address ({status})")
        }
        StatusCode::NOT_FOUND => format!(
            "there is no Prometheus API at {host} ({status}); give the base URL, without /api/v1"
        ),
        status if status.is_success() => {
            format!("what {host} answered is not from Prometheus")
        }
        status => format!("Prometheus at {host} answered {status}"),
    }
}

fn refusal(host: &str, status: StatusCode, frame: &Frame, words: Words) -> String {
    let message = told(frame.error.as_deref().unwrap_or("no reason given"), words);
    match frame.error_type.as_deref() {
        Some("bad_data") => format!("the query is wrong: {message}"),
        Some("execution") => format!("the query can't be carried out: {message}"),
        Some("timeout" | "canceled") => {
            format!("Prometheus at {host} gave up on the query: {message}")
        }
        _ => format!("Prometheus at {host} answered {status}: {message}"),
    }
}

/// Cut only if it is shown at all: the beginning of a secret is one, too.
fn told(words: &str, shown: Words) -> String {
    match shown {
        Words::Shown => text::line(words, MESSAGE_BYTES),
        Words::Withheld => WITHHELD.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use belay_engine::analysis::threshold::Answer;

    use super::*;

    fn of(status: u16, body: &str) -> Result<Answer, String> {
        let status = StatusCode::from_u16(status).unwrap();
        read("p:9090", status, body.as_bytes(), Words::Shown)
            .0
            .map(|data| data.numbers())
    }

    #[test]
    fn answers_of_all_types_are_read() {
        let cases = [
            (
                r#"{"resultType":"scalar","result":[1,"0.5"]}"#,
                Answer::Scalar(0.5),
            ),
            (
                r#"{"resultType":"vector","result":[]}"#,
                Answer::Vector(vec![]),
            ),
            (
                r#"{"resultType":"vector","result":[{"metric":{},"value":[1,"+Inf"]}]}"#,
                Answer::Vector(vec![f64::INFINITY]),
            ),
            (r#"{"resultType":"matrix","result":[]}"#, Answer::Matrix),
            (r#"{"resultType":"string","result":[1,"x"]}"#, Answer::Text),
        ];
        for (data, expected) in cases {
            let body = format!(r#"{{"status":"success","data":{data}}}"#);
            assert_eq!(of(200, &body), Ok(expected));
        }
    }

    #[test]
    fn labels_and_native_histograms_are_read() {
        let body = r#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"pod":"web-1"},"value":[1700000000.5,"12"]},
            {"metric":{"pod":"web-2"},"histogram":[1700000000,{"count":"3","sum":"0.4","buckets":[[0,"0.1","0.2","3"]]}]}]}}"#;
        let (data, _) = read("p", StatusCode::OK, body.as_bytes(), Words::Shown);
        let Data::Vector(series) = data.unwrap() else {
            panic!("a vector was given");
        };
        assert_eq!(series[0].metric["pod"], "web-1");
        assert_eq!(series[0].value.unwrap().1.to_bits(), 12.0_f64.to_bits());
        let histogram = &series[1].histogram.as_ref().unwrap().1;
        assert_eq!(
            histogram.buckets[0],
            super::super::data::Bucket(0, 0.1, 0.2, 3.0)
        );
    }

    #[test]
    fn a_wrong_query_is_told_from_a_sick_server() {
        let wrong = of(
            400,
            r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#,
        );
        assert_eq!(wrong, Err("the query is wrong: parse error".to_owned()));
        let sick = of(503, "upstream down");
        assert_eq!(
            sick,
            Err("Prometheus at p:9090 answered 503 Service Unavailable".to_owned())
        );
        assert!(of(404, "nothing here").unwrap_err().contains("base URL"));
        assert!(
            of(200, "<html>")
                .unwrap_err()
                .contains("not from Prometheus")
        );
        assert!(
            of(
                200,
                r#"{"status":"success","data":{"resultType":"new","result":1}}"#
            )
            .is_err()
        );
    }

    #[test]
    fn warnings_are_passed_on() {
        let body = r#"{"status":"success","warnings":["partial"],"data":{"resultType":"scalar","result":[1,"1"]}}"#;
        let (_, warnings) = read("p", StatusCode::OK, body.as_bytes(), Words::Shown);
        assert_eq!(warnings, ["partial"]);
    }

    #[test]
    fn nothing_is_quoted_of_a_query_that_holds_a_secret() {
        for status in [200, 400, 422, 503] {
            for kind in ["bad_data", "execution", "timeout", "internal"] {
                let body = format!(
                    r#"{{"status":"error","errorType":"{kind}","error":"parse error at canary-value","warnings":["metric canary-value is no counter"]}}"#
                );
                let status = StatusCode::from_u16(status).unwrap();
                let (told, warnings) = read("p", status, body.as_bytes(), Words::Withheld);
                let all = format!("{} {warnings:?}", told.unwrap_err());
                assert!(!all.contains("canary"), "{all}");
                assert!(all.contains("withheld"), "{all}");
            }
        }
    }
}

//! Reading what Prometheus writes.

use belay_engine::analysis::threshold::Answer;
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::Value;

/// Longest text of Prometheus that is passed on.
const MESSAGE_BYTES: usize = 300;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    status: String,
    data: Option<Data>,
    error_type: Option<String>,
    error: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: Value,
}

/// The answer in `body`, or one sentence about what is wrong with it; and the warnings.
pub(super) fn read(
    host: &str,
    status: StatusCode,
    body: &[u8],
) -> (Result<Answer, String>, Vec<String>) {
    let Ok(body) = serde_json::from_slice::<Body>(body) else {
        return (Err(not_prometheus(host, status)), Vec::new());
    };
    let warnings = body.warnings.iter().map(|w| shortened(w)).collect();
    if body.status != "success" {
        return (Err(refusal(host, status, &body)), warnings);
    }
    let answer = body
        .data
        .as_ref()
        .and_then(answer)
        .ok_or_else(|| format!("the answer of Prometheus at {host} can't be read"));
    (answer, warnings)
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

fn refusal(host: &str, status: StatusCode, body: &Body) -> String {
    let message = shortened(body.error.as_deref().unwrap_or("no reason given"));
    match body.error_type.as_deref() {
        Some("bad_data") => format!("the query is wrong: {message}"),
        Some("execution") => format!("the query can't be carried out: {message}"),
        Some("timeout" | "canceled") => {
            format!("Prometheus at {host} gave up on the query: {message}")
        }
        _ => format!("Prometheus at {host} answered {status}: {message}"),
    }
}

fn answer(data: &Data) -> Option<Answer> {
    match data.result_type.as_str() {
        "scalar" => Some(Answer::Scalar(sample(&data.result)?)),
        "vector" => data
            .result
            .as_array()?
            .iter()
            .map(|series| match series.get("value") {
                Some(value) => sample(value),
                // A native histogram has no single number.
                None => Some(f64::NAN),
            })
            .collect::<Option<Vec<f64>>>()
            .map(Answer::Vector),
        "matrix" => Some(Answer::Matrix),
        "string" => Some(Answer::Text),
        _ => None,
    }
}

/// `[1700000000.1, "0.5"]`
fn sample(value: &Value) -> Option<f64> {
    value.get(1)?.as_str()?.parse().ok()
}

fn shortened(text: &str) -> String {
    let cut = text
        .get(..text.floor_char_boundary(MESSAGE_BYTES))
        .unwrap_or(text);
    cut.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, body: &str) -> Result<Answer, String> {
        read(
            "p:9090",
            StatusCode::from_u16(status).unwrap(),
            body.as_bytes(),
        )
        .0
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
        let (_, warnings) = read("p", StatusCode::OK, body.as_bytes());
        assert_eq!(warnings, ["partial"]);
    }
}

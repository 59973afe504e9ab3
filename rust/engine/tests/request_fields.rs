//! What is accepted and refused of a request, and the words for it: `tests/request-fields.json`, which the SDK's tests
//! go through as well (`web/src/openai/request-fields.test.ts`).

use chord_engine::{
    COMPLETION_MAX_TOKENS, EngineError, GenerateRequest, MAX_TOKENS, NumberField, RawNumber, RawRequest, SEED, Sampling,
};
use chord_testkit::repo_dir;
use serde::Deserialize;
use serde_json::{Value, json};

fn cases() -> Value {
    let text = std::fs::read_to_string(repo_dir().join("tests/request-fields.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn number_fields() -> Vec<NumberField> {
    Sampling::FIELDS.into_list().into_iter().chain([MAX_TOKENS, SEED]).collect()
}

/// A value of the file as it comes over the edge.
fn raw(value: &Value) -> RawNumber {
    match value["number"].as_str() {
        Some(number) => RawNumber::Number(number.parse().unwrap()),
        None => RawNumber::deserialize(value).unwrap(),
    }
}

/// Checks a request that has `value` in one field.
fn check(field: &str, value: RawNumber) -> Result<GenerateRequest, EngineError> {
    let mut request = RawRequest::default();
    *match field {
        "max_tokens" => &mut request.max_tokens,
        "seed" => &mut request.seed,
        "temperature" => &mut request.sampling.temperature,
        "top_p" => &mut request.sampling.top_p,
        "top_k" => &mut request.sampling.top_k,
        "min_p" => &mut request.sampling.min_p,
        "repeat_penalty" => &mut request.sampling.repeat_penalty,
        "repeat_last_n" => &mut request.sampling.repeat_last_n,
        _ => panic!("the request has no number {field}"),
    } = value;
    request.check()
}

fn assert_refused(refused: Result<GenerateRequest, EngineError>, field: &str, message: &str) {
    let error = refused.expect_err(message);
    assert_eq!(error.to_string(), message);
    assert_eq!(error.code(), "invalid-argument");
    assert_eq!(serde_json::to_value(&error).unwrap(), json!({ "field": field }));
}

#[test]
fn numbers_are_accepted_and_refused_in_the_words_of_the_list() {
    let cases = cases();
    let for_all = cases["refusedByAll"].as_array().unwrap();
    for (field, of) in cases["fields"].as_object().unwrap() {
        for value in of["accepts"].as_array().unwrap() {
            check(field, raw(value)).unwrap_or_else(|error| panic!("{field} {value}: {error}"));
        }
        for case in for_all.iter().chain(of["refuses"].as_array().unwrap()) {
            let (range, found) = (of["range"].as_str().unwrap(), case[1].as_str().unwrap());
            assert_refused(check(field, raw(&case[0])), field, &format!("{field} must be {range}, not {found}"));
        }
    }
}

#[test]
fn the_list_has_every_number_with_both_sides_of_its_bounds() {
    let cases = cases();
    assert_eq!(cases["fields"].as_object().unwrap().len(), number_fields().len());
    for field in number_fields() {
        let of = &cases["fields"][field.name];
        let numbers = |list: &Value, nth: &dyn Fn(&Value) -> RawNumber| -> Vec<f64> {
            let numbers = list.as_array().into_iter().flatten().map(nth);
            numbers.filter_map(|raw| if let RawNumber::Number(n) = raw { Some(n) } else { None }).collect()
        };
        let accepted = numbers(&of["accepts"], &raw);
        let refused = numbers(&of["refuses"], &|case| raw(&case[0]));
        let name = field.name;
        assert!(accepted.contains(&field.least) && accepted.contains(&field.most), "the bounds of {name}");
        assert!(refused.iter().any(|&n| n < field.least), "a value below the range of {name}");
        assert!(refused.iter().any(|&n| n > field.most), "a value above the range of {name}");
        assert!(!field.whole || refused.iter().any(|n| n.fract() != 0.0), "a fraction for {name}");
    }
}

#[test]
fn a_request_of_rusts_own_types_is_refused_likewise() {
    let request = GenerateRequest::default();
    assert!(request.check().is_ok());
    let sampling = Sampling { top_p: 1.5, ..Sampling::default() };
    let refused = [
        ("top_p", GenerateRequest { sampling, ..request.clone() }),
        ("max_tokens", GenerateRequest { max_tokens: Some(0), ..request.clone() }),
        ("seed", GenerateRequest { seed: Some(1 << 53), ..request.clone() }),
        ("stop", GenerateRequest { stop: vec![String::new()], ..request }),
    ];
    for (field, request) in refused {
        let error = request.check().expect_err(field);
        assert_eq!(serde_json::to_value(&error).unwrap(), json!({ "field": field }), "{error}");
    }
}

#[test]
fn stop_strings_are_accepted_and_refused_in_the_words_of_the_list() {
    let cases = cases();
    let check = |stop: &Value| {
        let stop = serde_json::from_value(stop.clone()).unwrap();
        RawRequest { stop, ..RawRequest::default() }.check()
    };
    for stop in cases["stop"]["accepts"].as_array().unwrap() {
        check(stop).unwrap();
    }
    for case in cases["stop"]["refuses"].as_array().unwrap() {
        assert_refused(check(&case[0]), "stop", case[1].as_str().unwrap());
    }
}

#[test]
fn what_is_left_out_has_the_default_of_its_field() {
    let request = RawRequest::default().check().unwrap();
    assert_eq!(request, GenerateRequest::default());
    assert_eq!(Sampling::FIELDS.temperature.default, Some(request.sampling.temperature));
    assert!(MAX_TOKENS.doc.contains(&format!("{COMPLETION_MAX_TOKENS} in a completion")));
}

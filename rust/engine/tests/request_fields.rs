//! Which values of a request are accepted and refused, and with which words: `tests/request-fields.json`, which the
//! SDK's tests go through as well (`web/src/openai/request-fields.test.ts`).

use std::iter::once;

use chord_engine::{
    COMPLETION_MAX_TOKENS, EngineError, GenerateRequest, MAX_TOKENS, NumberField, RawRequest, SEED, Sampling,
    SamplingEach,
};
use chord_testkit::repo_dir;
use serde::Deserialize;
use serde::de::value::{self, MapDeserializer};
use serde::de::{Error, IntoDeserializer};
use serde_json::{Value, json};

fn cases() -> Value {
    let text = std::fs::read_to_string(repo_dir().join("tests/request-fields.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn number_fields() -> Vec<NumberField> {
    Sampling::FIELDS.into_list().into_iter().chain([MAX_TOKENS, SEED]).collect()
}

/// The number that a value of the file stands for, if any.
fn number(value: &Value) -> Option<f64> {
    match value["number"].as_str() {
        Some(number) => Some(number.parse().unwrap()),
        None => value.as_f64(),
    }
}

/// Checks a request that has `value` in one field, as it comes over the edge.
fn check(field: &str, value: &Value) -> Result<GenerateRequest, EngineError> {
    match number(value) {
        Some(number) => with::<_, value::Error>(field, number).check(),
        None => with::<_, serde_json::Error>(field, value.clone()).check(),
    }
}

fn with<'de, V: IntoDeserializer<'de, E>, E: Error>(field: &'de str, value: V) -> RawRequest {
    let request = MapDeserializer::new(once((field, value)));
    if Sampling::FIELDS.into_list().iter().any(|number| number.name == field) {
        RawRequest { sampling: SamplingEach::deserialize(request).unwrap(), ..RawRequest::default() }
    } else {
        RawRequest::deserialize(request).unwrap()
    }
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
            check(field, value).unwrap_or_else(|error| panic!("{field} {value}: {error}"));
        }
        for case in for_all.iter().chain(of["refuses"].as_array().unwrap()) {
            let (range, found) = (of["range"].as_str().unwrap(), case[1].as_str().unwrap());
            assert_refused(check(field, &case[0]), field, &format!("{field} must be {range}, not {found}"));
        }
    }
}

#[test]
fn the_list_has_every_number_with_both_sides_of_its_bounds() {
    let cases = cases();
    assert_eq!(cases["fields"].as_object().unwrap().len(), number_fields().len());
    for field in number_fields() {
        let of = &cases["fields"][field.name];
        assert!(of.is_object(), "tests/request-fields.json has no {}", field.name);
        let list = |name: &str| of[name].as_array().unwrap().iter();
        let accepted: Vec<f64> = list("accepts").filter_map(number).collect();
        let refused: Vec<f64> = list("refuses").filter_map(|case| number(&case[0])).collect();
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

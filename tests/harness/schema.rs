//! Every event of every test is checked against the schema that the program prints.

use serde_json::Value;

/// Checks events against the printed JSON Schema.
///
/// # Panics
/// At the first event that does not validate.
pub fn check_all(events: &[Value]) {
    let schema = ot_xdp::event::schema::events();
    #[allow(clippy::expect_used, clippy::panic, reason = "a test helper fails by panicking")]
    {
        let validator = jsonschema::validator_for(&schema).expect("the printed schema is valid");
        for e in events {
            if let Err(error) = validator.validate(e) {
                panic!("{error}\nin {e}");
            }
        }
    }
}

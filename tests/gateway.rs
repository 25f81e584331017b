//! The gateway refuses what changes state: proven by what controllers hold, not by counters.
//!
//! Every attempt is one function that also runs across a bridge without a gateway, where it must succeed: an evasion
//! that reaches no controller anyway would prove nothing.

#[path = "gateway/matrix.rs"]
mod matrix;
#[path = "gateway/stage.rs"]
mod stage;
#[path = "gateway/survey.rs"]
mod survey;

use harness::{is_root, skip};
use stage::Stage;

#[test]
fn everything_arrives_without_a_gateway() {
    if !is_root() {
        skip!("needs root for namespaces");
    }
    let stage = Stage::new(None);
    for row in survey::TCP {
        matrix::tcp(&stage, row);
    }
    matrix::bacnet(&stage);
    matrix::layer_2(&stage);
}

#[test]
fn reads_pass_and_writes_do_not() {
    if let Some(why) = stage::missing() {
        skip!("{why}");
    }
    let stage = Stage::new(Some("enforce"));
    stage.begin();
    for row in survey::TCP {
        matrix::tcp(&stage, row);
        matrix::event(&stage, "dropped", &survey::names(row.0));
    }
    matrix::bacnet(&stage);
    matrix::event(&stage, "dropped", &["bacnet"]);
    matrix::layer_2(&stage);
    matrix::event(&stage, "dropped", &["goose"]);
    matrix::event(&stage, "dropped", &["pn_dcp"]);
}

//! S7 download: the engineer's station opens it, and then it is the controller that asks for the blocks.

use harness::client::{PATIENCE, Session};
use harness::pdu::Framing;
use harness::sink::Answers;

use crate::attempt::Tried;
use crate::matrix::set_up;
use crate::stage::Stage;
use crate::survey::{self, Request};

const PORT: u16 = 102;
const CAPTURE: &str = "s7-libcli-pysrv";

fn recorded(from_client: bool, function: &str) -> Request {
    survey::find(PORT, Framing::Tpkt, CAPTURE, from_client, function)
        .unwrap_or_else(|| panic!("{CAPTURE} has no {function}"))
}

/// A session that is set up.
fn session(stage: &Stage) -> Session {
    let request = recorded(true, "s7comm:job/0x1a");
    set_up(stage.session("it", PORT, Framing::Tpkt), &request)
}

/// The request to download a block; and the block itself, which is the station's answer to a job of the controller.
pub fn attempts(stage: &Stage) -> Tried {
    stage.begin();
    let sink = stage.sink("ot", PORT, Framing::Tpkt, Answers::new());
    let mut tried = Tried::default();
    let request = recorded(true, "s7comm:job/0x1a").pdu;
    tried.pieces(stage, &sink, "request download", session(stage), &[&request], &request);

    let (job, block) = (recorded(false, "s7comm:job/0x1b").pdu, recorded(true, "s7comm:ack_data/0x1b").pdu);
    let mut session = session(stage);
    sink.push(&job);
    assert_eq!(session.answer(PATIENCE).expect("the job arrives"), job);
    tried.pieces(stage, &sink, "the block", session, &[&block], &block);
    tried
}

/// Jobs of the controller towards the station pass: whoever is asked is no controller.
pub fn reversed(stage: &Stage) {
    stage.begin();
    let sink = stage.sink("ot", PORT, Framing::Tpkt, Answers::new());
    let mut session = session(stage);
    for job in ["s7comm:job/0x1b", "s7comm:job/0x1c"] {
        let job = recorded(false, job).pdu;
        sink.push(&job);
        assert_eq!(session.answer(PATIENCE).expect("the job arrives"), job);
    }
}

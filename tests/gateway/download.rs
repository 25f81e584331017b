//! S7 download: the engineer's station opens it, and then it is the controller that asks for the blocks.

use harness::client::PATIENCE;
use harness::pdu::Framing;
use harness::sink::Answers;

use crate::attempt::Tried;
use crate::stage::Stage;
use crate::survey::{self, Request};

const PORT: u16 = 102;
const CAPTURE: &str = "s7-libcli-pysrv";

fn recorded(from_client: bool, function: &str) -> Request {
    survey::find(PORT, Framing::Tpkt, CAPTURE, from_client, function)
        .unwrap_or_else(|| panic!("{CAPTURE} has no {function}"))
}

/// The request to download a block.
pub fn request(stage: &Stage) -> Tried {
    stage.begin();
    let sink = stage.sink("ot", PORT, Framing::Tpkt, Answers::new());
    let request = recorded(true, "s7comm:job/0x1a");
    let mut tried = Tried::default();
    let mut session = stage.session("it", PORT, Framing::Tpkt);
    for pdu in &request.before {
        session.ask(pdu).expect("the session is set up");
    }
    tried.pieces(stage, &sink, "request download", session, &[&request.pdu], &request.pdu);
    tried
}

/// Jobs of the controller towards the station pass; the station's answers with the blocks are what a download is made of.
pub fn reversed(stage: &Stage) {
    stage.begin();
    for (job, answer) in [("s7comm:job/0x1b", "s7comm:ack_data/0x1b"), ("s7comm:job/0x1c", "s7comm:ack_data/0x1c")] {
        let sink = stage.sink("ot", PORT, Framing::Tpkt, Answers::new());
        let mut session = stage.session("it", PORT, Framing::Tpkt);
        for pdu in &recorded(true, "s7comm:job/0x1a").before {
            session.ask(pdu).expect("the session is set up");
        }
        let (job, answer) = (recorded(false, job), recorded(true, answer));
        sink.push(&job.pdu);
        assert_eq!(session.answer(PATIENCE).expect("the job arrives"), job.pdu);
        session.send(&answer.pdu).expect("sent");
        let arrives = sink.wait(PATIENCE, |s| s.holds(&answer.pdu));
        assert_eq!(arrives, !stage.is_guarded(), "{:?}: only without a gateway", answer.functions);
    }
}

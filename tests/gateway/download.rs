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

/// Jobs of the controller towards the station, and the station's acknowledgements, pass: they answer, they do not ask.
pub fn reversed(stage: &Stage) {
    stage.begin();
    let sink = stage.sink("ot", PORT, Framing::Tpkt, Answers::new());
    let mut session = stage.session("it", PORT, Framing::Tpkt);
    for pdu in &recorded(true, "s7comm:job/0x1a").before {
        session.ask(pdu).expect("the session is set up");
    }
    for (job, acknowledgement) in
        [("s7comm:job/0x1b", "s7comm:ack_data/0x1b"), ("s7comm:job/0x1c", "s7comm:ack_data/0x1c")]
    {
        let (job, acknowledgement) = (recorded(false, job), recorded(true, acknowledgement));
        sink.push(&job.pdu);
        assert_eq!(session.answer(PATIENCE).expect("the job arrives"), job.pdu);
        session.send(&acknowledgement.pdu).expect("sent");
        assert!(sink.wait(PATIENCE, |s| s.holds(&acknowledgement.pdu)), "{:?} arrives", acknowledgement.functions);
        // The sink answers everything; the station expects no answer to an acknowledgement.
        session.answer(PATIENCE).expect("the connection goes on");
    }
}

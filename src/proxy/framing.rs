//! Where each HTTP/1 request of a connection begins and ends, judged before hyper sees a byte.
//!
//! hyper repairs much that must be refused, and what it has repaired cannot be seen any more. So
//! the bytes are judged on their way into hyper's buffer: [`head`] the head, every line of it
//! (RFC 9112 sections 2 to 6), [`Chunked`] the framing of a chunked body (section 7.1). What
//! survives hyper's parsing is judged on the parsed request, by [`super::checks`]: Host and
//! authority, Expect, what `Connection` lists, the method. Bodies are neither copied nor looked
//! at. Invariant: hyper is given whole, sound heads only. In the place of an unsound one it is
//! given [`STAND_IN`], which gets its answer in its turn, behind those of the requests before it.

mod head;

use tokio::io::ReadBuf;

use super::activity::Activity;
use crate::syntax::{Chunked, Limits, Step};
use head::{BodyFraming, Head, Scan};

pub(super) use head::HeadFault;

/// What hyper is given in the place of a head that was refused. It has no Host, which no request
/// that is let through lacks in HTTP/1.1.
const STAND_IN: &[u8] = b"_OTHER / HTTP/1.1\r\nconnection: close\r\n\r\n";
/// The method of [`STAND_IN`], which OpenTelemetry gives to what is no known method.
pub(super) const STAND_IN_METHOD: &str = "_OTHER";
/// Bytes behind a request to switch protocols that are kept until the application has decided.
const BEHIND_SWITCH: usize = 16 * 1024;

/// The framing of one connection's requests.
#[derive(Debug)]
pub(super) struct Framing {
    limits: Limits,
    state: State,
    /// Bytes that hyper must not see yet: a head still incomplete, or what follows an Upgrade.
    held: Vec<u8>,
    /// How many of `held` are judged and may go to hyper.
    ready: usize,
    /// Heads that hyper was given.
    heads: u32,
}

#[derive(Debug)]
enum State {
    Head(Head),
    /// Bytes of a body with a declared length still to come.
    Length(u64, After),
    Chunked(Chunked, After),
    /// A switch of protocols is asked for: what follows is HTTP or not, as the answer says.
    Switch,
    /// The switch was granted: no HTTP any more.
    Tunnel,
    /// A head was refused: the connection ends behind the answer that says so.
    Refused,
    /// The body of a request that hyper already has is unsound.
    Broken,
}

/// What follows a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    Head,
    Switch,
}

/// What may be done with the connection's next bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Intake {
    /// They may be read into hyper's buffer and judged there.
    InPlace,
    /// They belong behind the held ones.
    Behind,
    /// They are thrown away.
    Discard,
    /// Nothing is read until the application has answered.
    Wait,
    /// The body of the current request is unsound.
    Fault,
}

impl Framing {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: State::Head(Head::default()),
            held: Vec::new(),
            ready: 0,
            heads: 0,
        }
    }

    /// Gives hyper what is held and judged; `false` when there is nothing.
    pub(super) fn release(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        if self.ready == 0 {
            return false;
        }
        let n = self.ready.min(buffer.remaining());
        buffer.put_slice(&self.held[..n]);
        self.held.drain(..n);
        self.ready -= n;
        if self.held.is_empty() {
            // A connection at rest holds nothing.
            self.held = Vec::new();
        }
        true
    }

    /// Has `bytes` released once more, before anything else.
    pub(super) fn put_back(&mut self, bytes: &[u8]) {
        self.held.splice(0..0, bytes.iter().copied());
        self.ready += bytes.len();
    }

    /// What to do with the next bytes, given what `activity` knows of the requests so far.
    pub(super) fn intake(&mut self, activity: &Activity) -> Intake {
        if matches!(self.state, State::Switch) {
            if activity.is_switched() {
                self.state = State::Tunnel;
            } else if activity.has_finished(self.heads) {
                self.state = State::Head(Head::default());
            } else if self.held.len() < BEHIND_SWITCH {
                return Intake::Behind;
            } else {
                return Intake::Wait;
            }
            self.judge_held(activity);
        }
        match self.state {
            State::Refused => Intake::Discard,
            State::Broken => Intake::Fault,
            _ if self.held.is_empty() => Intake::InPlace,
            _ => Intake::Behind,
        }
    }

    /// Whether what is held may go to hyper.
    pub(super) fn is_ready(&self) -> bool {
        self.ready > 0
    }

    /// Where bytes go that belong behind the held ones.
    pub(super) fn held(&mut self) -> &mut Vec<u8> {
        &mut self.held
    }

    /// Judges what is held once more, with what has come behind it.
    pub(super) fn judge_held(&mut self, activity: &Activity) {
        let held = std::mem::take(&mut self.held);
        self.ready = self.judge(&held, activity);
        self.held = held;
        self.stand_in();
        self.note_partial(activity);
    }

    /// Judges bytes just read into hyper's buffer and keeps back what it must not see yet.
    pub(super) fn judge_read(
        &mut self,
        buffer: &mut ReadBuf<'_>,
        before: usize,
        activity: &Activity,
    ) {
        let fresh = &buffer.filled()[before..];
        let passed = self.judge(fresh, activity);
        if passed < fresh.len() {
            if matches!(self.state, State::Head(_) | State::Switch) {
                self.held.extend_from_slice(&fresh[passed..]);
            }
            buffer.set_filled(before + passed);
            self.stand_in();
            self.note_partial(activity);
        }
    }

    /// Puts [`STAND_IN`] behind what may be passed, when a head was just refused.
    fn stand_in(&mut self) {
        if matches!(self.state, State::Refused) {
            self.held.truncate(self.ready);
            self.held.extend_from_slice(STAND_IN);
            self.ready = self.held.len();
        }
    }

    fn note_partial(&self, activity: &Activity) {
        let is_partial = matches!(self.state, State::Head(_)) && self.held.len() > self.ready;
        activity.head_is_partial(is_partial);
    }

    /// How many of `bytes`, which begin where the last judged ones ended, hyper may see now.
    fn judge(&mut self, bytes: &[u8], activity: &Activity) -> usize {
        let mut at = 0;
        // Where the head of the request begins whose body is being judged, if hyper can still be
        // spared all of it.
        let mut begun = None;
        while at < bytes.len() {
            match &mut self.state {
                State::Head(head) => match head.scan(&bytes[at..], self.limits) {
                    Scan::Incomplete => return at,
                    Scan::Refused(fault) => {
                        activity.refuse_head(fault);
                        self.state = State::Refused;
                        return at;
                    }
                    Scan::Complete {
                        length,
                        body,
                        after,
                    } => {
                        begun = Some(at);
                        at += length;
                        self.heads = self.heads.wrapping_add(1);
                        self.state = State::body(body, after, self.limits);
                    }
                },
                State::Length(left, after) => {
                    let n = usize::try_from(*left)
                        .map_or(bytes.len() - at, |left| left.min(bytes.len() - at));
                    at += n;
                    *left -= n as u64;
                    if *left == 0 {
                        self.state = State::after(*after);
                    }
                }
                State::Chunked(chunked, after) => match chunked.step(&bytes[at..]) {
                    Step::More => return bytes.len(),
                    Step::End(n) => {
                        at += n;
                        self.state = State::after(*after);
                    }
                    Step::Unsound(n) => {
                        let Some(head) = begun else {
                            self.state = State::Broken;
                            return at + n;
                        };
                        activity.refuse_head(HeadFault::UNSOUND_CHUNKS);
                        self.heads = self.heads.wrapping_sub(1);
                        self.state = State::Refused;
                        return head;
                    }
                },
                State::Tunnel => return bytes.len(),
                State::Switch | State::Refused | State::Broken => return at,
            }
        }
        at
    }
}

impl State {
    fn body(body: BodyFraming, after: After, limits: Limits) -> Self {
        match body {
            BodyFraming::Length(0) => Self::after(after),
            BodyFraming::Length(length) => Self::Length(length, after),
            BodyFraming::Chunked => Self::Chunked(Chunked::new(limits), after),
        }
    }

    fn after(after: After) -> Self {
        match after {
            After::Head => Self::Head(Head::default()),
            After::Switch => Self::Switch,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::activity::Heads;
    use super::*;
    use std::sync::Arc;

    const LIMITS: Limits = Limits {
        size: 512,
        fields: 8,
    };
    const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    struct Connection {
        framing: Framing,
        activity: Arc<Activity>,
        passed: Vec<u8>,
    }

    impl Connection {
        fn new() -> Self {
            Self {
                framing: Framing::new(LIMITS),
                activity: Activity::new(Heads::Begin),
                passed: Vec::new(),
            }
        }

        /// Does what the socket wrapper does with bytes that arrive.
        fn arrive(&mut self, bytes: &str) -> Intake {
            let mut room = [0; 4096];
            let mut buffer = ReadBuf::new(&mut room);
            let intake = self.framing.intake(&self.activity);
            while self.framing.release(&mut buffer) {}
            match intake {
                Intake::InPlace => {
                    let before = buffer.filled().len();
                    buffer.put_slice(bytes.as_bytes());
                    self.framing.judge_read(&mut buffer, before, &self.activity);
                }
                Intake::Behind => {
                    self.framing.held().extend_from_slice(bytes.as_bytes());
                    self.framing.judge_held(&self.activity);
                }
                Intake::Discard | Intake::Wait | Intake::Fault => {}
            }
            while self.framing.release(&mut buffer) {}
            self.passed.extend_from_slice(buffer.filled());
            intake
        }

        fn passed(&self) -> &str {
            std::str::from_utf8(&self.passed).unwrap()
        }
    }

    #[test]
    fn hyper_is_given_whole_heads_however_they_arrive() {
        let two = format!("{GET}POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc{GET}");
        for n in 1..two.len() {
            let mut connection = Connection::new();
            for piece in two.as_bytes().chunks(n) {
                connection.arrive(std::str::from_utf8(piece).unwrap());
                let end = connection.passed().len();
                assert!(end == 0 || end >= GET.len(), "part of a head was passed");
            }
            assert_eq!(connection.passed(), two);
            assert!(connection.framing.held.is_empty());
        }
    }

    #[test]
    fn a_refused_head_is_stood_in_for_behind_the_sound_ones_and_nothing_follows() {
        let mut connection = Connection::new();
        connection.arrive(&format!("{GET}GET / HTTP/1.1\nHost: a\r\n\r\n{GET}"));
        let stand_in = std::str::from_utf8(STAND_IN).unwrap();
        assert_eq!(connection.passed(), format!("{GET}{stand_in}"));
        assert_eq!(connection.activity.head_fault().unwrap().status, 400);
        assert_eq!(connection.arrive(GET), Intake::Discard);
        assert_eq!(connection.passed(), format!("{GET}{stand_in}"));
    }

    #[test]
    fn an_unsound_body_takes_its_head_with_it_where_hyper_has_not_seen_it() {
        let head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        let stand_in = std::str::from_utf8(STAND_IN).unwrap();
        let mut connection = Connection::new();
        connection.arrive(&format!("{GET}{head}5\nhello"));
        assert_eq!(connection.passed(), format!("{GET}{stand_in}"));

        let mut connection = Connection::new();
        connection.arrive(head);
        connection.arrive("5\r\nhel");
        connection.arrive("loX");
        assert_eq!(connection.passed(), format!("{head}5\r\nhello"));
        assert_eq!(connection.arrive(GET), Intake::Fault);
    }

    #[test]
    fn what_follows_an_upgrade_waits_for_the_answer() {
        let upgrade = "GET / HTTP/1.1\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n";
        for is_granted in [true, false] {
            let mut connection = Connection::new();
            connection.arrive(&format!("{upgrade}GET /\n"));
            let request = connection.activity.begin();
            assert_eq!(connection.arrive("more"), Intake::Behind);
            assert_eq!(connection.passed(), upgrade);
            if is_granted {
                connection.activity.switch();
            }
            drop(request);
            connection.arrive("\n");
            if is_granted {
                assert_eq!(connection.passed(), format!("{upgrade}GET /\nmore\n"));
            } else {
                assert!(connection.passed().starts_with(&format!("{upgrade}_OTHER")));
            }
        }
    }

    #[test]
    fn what_waits_for_an_answer_is_bounded() {
        let mut connection = Connection::new();
        connection.arrive("GET / HTTP/1.1\r\nUpgrade: x\r\n\r\n");
        let _request = connection.activity.begin();
        let mut intake = Intake::Behind;
        for _ in 0..BEHIND_SWITCH {
            intake = connection.arrive("0123456789abcdef");
        }
        assert_eq!(intake, Intake::Wait);
        assert!(connection.framing.held.len() <= BEHIND_SWITCH + 16);
    }
}

//! Three flows as state machines. A flow stands at a place; what it needs later it keeps beside it.

use crate::json;
use crate::wire::{get, Fields, Writer};

const PROTOCOL: &[u8] = b"rust-chat";

/// What a module answers when it is asked for its flows.
const LISTING: &[u8] = br#"{"flows":[{"class":"rust-hello","startable":true},{"class":"rust-receive","startable":false,"protocol":"rust-chat","versions":[1]},{"class":"rust-send","startable":true}]}"#;

/// A piece of text that a flow keeps between its steps.
struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Text<N> {
    const EMPTY: Self = Text { bytes: [0; N], len: 0 };

    /// Keeps a text; false when it is too long.
    fn set(&mut self, b: &[u8]) -> bool {
        if b.len() > N {
            return false;
        }
        self.bytes[..b.len()].copy_from_slice(b);
        self.len = b.len();
        true
    }

    fn get(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Where a flow stands: what it waits for.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Ready,
    // rust-send
    Opening,
    Talking,
    Closing,
    // rust-receive
    Hearing,
    Thinking,
    Answering,
    Ended,
}

/// A flow and its state.
pub struct Flow {
    place: Place,
    session: Text<64>,
    message: Text<4096>,
}

impl Flow {
    pub const NONE: Flow = Flow { place: Place::Ready, session: Text::EMPTY, message: Text::EMPTY };

    /// Takes a Start.
    pub fn start(&mut self, start: &[u8], out: &mut Writer) {
        let input = get(start, 2).bytes;
        match get(start, 1).bytes {
            b"" => done(out, &[LISTING]),
            _ if self.place != Place::Ready => fail(out, b"protocol", b"a flow runs in this instance already"),
            b"rust-hello" => match json::string(input) {
                Some(name) => self.end(out, &[b"\"Hello, ", name, b"!\""]),
                None => self.refuse(out, b"the argument is not a JSON string"),
            },
            b"rust-send" => match (json::member(input, "to"), json::member(input, "message")) {
                (Some(to), Some(message)) if self.message.set(message) => {
                    self.place = Place::Opening;
                    ask(out, |w| {
                        request(w, 10, |w| {
                            w.bytes(1, &[to]);
                            w.bytes(2, &[PROTOCOL]);
                            w.bytes(3, &[&[1]]); // versions, packed
                        })
                    })
                }
                _ => self.refuse(out, br#"the argument is not {"to":"...","message":"..."}, or the message is longer than 4096 bytes"#),
            },
            b"rust-receive" => {
                self.session.set(get(get(start, 7).bytes, 1).bytes);
                self.place = Place::Hearing;
                ask(out, |w| self.receive(w))
            }
            _ => fail(out, b"unknown-flow", b"this module has rust-hello, rust-receive and rust-send"),
        }
    }

    /// Takes a Resume: the answers to what was asked last.
    pub fn resume(&mut self, resume: &[u8], out: &mut Writer) {
        // Any error of the platform ends the flow with it.
        for answer in Fields(resume).filter(|f| f.number == 1) {
            let error = get(answer.bytes, 2).bytes;
            if !error.is_empty() {
                self.place = Place::Ended;
                return fail(out, get(error, 1).bytes, get(error, 2).bytes);
            }
        }
        // The result of the step's last request; the others of these flows have none.
        let result = get(get(resume, 1).bytes, 1).bytes;
        match self.place {
            Place::Opening => {
                self.session.set(get(result, 1).bytes);
                self.place = Place::Talking;
                ask(out, |w| {
                    self.send(w, &[b"\"", self.message.get(), b"\""]);
                    self.receive(w)
                })
            }
            Place::Talking => {
                if !self.message.set(get(result, 1).bytes) {
                    return self.refuse(out, b"the answer is longer than 4096 bytes");
                }
                self.place = Place::Closing;
                ask(out, |w| request(w, 13, |w| w.bytes(1, &[self.session.get()])))
            }
            Place::Closing => {
                self.place = Place::Ended;
                done(out, &[self.message.get()])
            }
            Place::Hearing => match json::string(get(result, 1).bytes) {
                Some(message) if self.message.set(message) => {
                    self.place = Place::Thinking;
                    ask(out, |w| request(w, 1, |w| w.number(1, 1_000_000)))
                }
                _ => self.refuse(out, b"the message is not a JSON string of at most 4096 bytes"),
            },
            Place::Thinking => {
                self.place = Place::Answering;
                ask(out, |w| self.send(w, &[b"\"received: ", self.message.get(), b"\""]))
            }
            Place::Answering => self.end(out, &[b"null"]),
            Place::Ready | Place::Ended => fail(out, b"protocol", b"the flow does not wait for anything"),
        }
    }

    fn end(&mut self, out: &mut Writer, result: &[&[u8]]) {
        self.place = Place::Ended;
        done(out, result)
    }

    fn refuse(&mut self, out: &mut Writer, why: &[u8]) {
        self.place = Place::Ended;
        fail(out, b"bad-input", why)
    }

    fn send(&self, w: &mut Writer, parts: &[&[u8]]) {
        request(w, 11, |w| {
            w.bytes(1, &[self.session.get()]);
            w.bytes(2, parts)
        })
    }

    fn receive(&self, w: &mut Writer) {
        request(w, 12, |w| w.bytes(1, &[self.session.get()]))
    }
}

/// Yield.requests, with what the function writes.
fn ask(out: &mut Writer, requests: impl FnOnce(&mut Writer)) {
    out.message(3, requests)
}

/// One of them: an operation by its number in Request.
fn request(w: &mut Writer, operation: u64, write: impl FnOnce(&mut Writer)) {
    w.message(1, |w| w.message(operation, write))
}

/// Yield.done.
fn done(out: &mut Writer, result: &[&[u8]]) {
    out.message(1, |w| w.bytes(1, result))
}

/// Yield.failed.
fn fail(out: &mut Writer, kind: &[u8], message: &[u8]) {
    out.message(2, |w| {
        w.message(1, |w| {
            w.bytes(1, &[kind]);
            w.bytes(2, &[message])
        })
    })
}

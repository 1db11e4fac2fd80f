//! The protocols, through the real guard: what is planted anywhere is found, what is
//! honest comes through unchanged, and no cut of a stream changes anything.

mod cover;
mod fixtures;
mod joined;
mod opaque;
mod rechunked;
mod relay;
mod shapes;
mod streams;

use bartizan_core::{Cx, sim};
use bartizan_guard::{Context, Guard, Profile, Screening};
use serde_json::Value;

use super::{ALL, Call, Protocol, Reply};

/// A public test number of a payment card: redacted wherever it is shown.
const CARD: &str = "5555 5555 5555 4444";
/// What a guard leaves in its place.
const REDACTED: &str = "[REDACTED:payment-card]";

fn cx() -> Cx {
    sim::cx(7).0
}

fn protocol(name: &str) -> &'static dyn Protocol {
    ALL.iter().copied().find(|one| one.meta().name == name).expect("it is in the catalogue")
}

fn call(name: &str, body: &Value) -> Call {
    protocol(name).read(body.clone()).unwrap_or_else(|refusal| panic!("{name}: {refusal:?}"))
}

fn reply(name: &str, body: &Value) -> Reply {
    protocol(name).reply(body.clone()).unwrap_or_else(|garbage| panic!("{name}: {garbage}"))
}

/// The body of a call or a reply as the guard lets it go on.
fn screened<T: bartizan_guard::Carrier>(guard: &Guard, item: T, body: fn(T) -> Value) -> Value {
    match guard.screen(&cx(), &Profile::default(), &Context::default(), item) {
        Screening::Pass(item, _) => body(item.into_inner()),
        Screening::Held(_, report) | Screening::Stopped(report) => panic!("stopped: {report:?}"),
    }
}

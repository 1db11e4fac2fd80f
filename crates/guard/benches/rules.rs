//! What each rule costs on honest prose, in microseconds a kilobyte, and all of them together
//! with the views, by channel. `cargo bench -p bartizan-guard`; figures are for this machine.

#![allow(clippy::print_stdout, reason = "it prints figures")]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use bartizan_core::sim;
use bartizan_guard::{Channel, Context, Guard, Look, Profile};

/// How long each thing is tried.
const TRIED: Duration = Duration::from_millis(200);
/// Some sentences, with the numbers and signs that prose has.
const PROSE: &str = "The garden path winds along a quiet river, where people walk in early spring \
    and talk about bread, music, weather and trains. On 12 May the library opens at 9:30; a \
    ticket costs 4.50 euros, and children pay nothing. \"Bring an umbrella,\" said the guide, \
    \"since it rains more often than not.\" The second tour takes 90 minutes (half of it uphill), \
    and ends at the old mill - a house of 1892 with a bakery, a small museum & a café. ";

fn main() {
    let text: String = PROSE.chars().cycle().take(1024).collect();
    let (guard, profile, context) = (Guard::new(), Profile::default(), Context::default());
    for rule in guard.rules() {
        let channel = rule.channels.first().copied().unwrap_or(Channel::User);
        let look = Look { text: &text, channel, view: "plain", context: &context };
        let each = time(|| {
            let mut hits = Vec::new();
            (rule.inspect)(&look, &mut hits);
            black_box(hits);
        });
        println!("{} {:28} {each:8.2} us", rule.meta.code, rule.meta.name);
    }
    let (cx, _) = sim::cx(1);
    let long: String = PROSE.chars().cycle().take(16 * 1024).collect();
    let plain = text.replace('é', "e");
    let texts = [
        ("1 kB", text.as_str()),
        ("1 kB of ASCII", &plain),
        ("16 kB", &long),
        ("12 B", "gpt-4o-mini!"),
    ];
    for channel in [Channel::System, Channel::User, Channel::Output] {
        for (name, text) in texts {
            let each = time(|| {
                black_box(guard.inspect(&cx, &profile, &context, channel, text));
            });
            println!("all, {channel:?}, {name:24} {each:8.2} us");
        }
    }
}

/// Microseconds that it takes, on average.
fn time(mut work: impl FnMut()) -> f64 {
    let (start, mut count) = (Instant::now(), 0_u32);
    while start.elapsed() < TRIED {
        for _ in 0..16 {
            work();
        }
        count += 16;
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(count)
}

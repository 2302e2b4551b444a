//! What a test may order at a call, in words that go over the control socket.
//!
//! The harness listens; each process that loads the module connects when it initialises it, and says at every call the
//! function's name on a line. The answer is one line of orders, which are carried out from left to right; an empty line
//! lets the call pass.

use std::fmt;
use std::time::Duration;

/// One order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Order {
    /// `delay MS`: wait.
    Delay(Duration),
    /// `do`: carry the call out now. What follows happens after its effect.
    Do,
    /// `return HEX`: end the call with this `CKR_` number; without a `do` before, it has no effect.
    Return(u64),
    /// `lose-sessions`: all sessions of the process are closed, and the login with them.
    LoseSessions,
    /// `hang`: never come back.
    Hang,
    /// `crash`: take the process down.
    Crash,
}

impl Order {
    /// The orders of a line; `None` if it holds anything else.
    pub fn parse(line: &str) -> Option<Vec<Order>> {
        let mut words = line.split_whitespace();
        let mut orders = Vec::new();
        while let Some(word) = words.next() {
            orders.push(match word {
                "delay" => Order::Delay(Duration::from_millis(words.next()?.parse().ok()?)),
                "do" => Order::Do,
                "return" => Order::Return(u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?),
                "lose-sessions" => Order::LoseSessions,
                "hang" => Order::Hang,
                "crash" => Order::Crash,
                _ => return None,
            });
        }
        Some(orders)
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delay(time) => write!(f, "delay {}", time.as_millis()),
            Self::Do => f.write_str("do"),
            Self::Return(code) => write!(f, "return {code:#x}"),
            Self::LoseSessions => f.write_str("lose-sessions"),
            Self::Hang => f.write_str("hang"),
            Self::Crash => f.write_str("crash"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_cross_the_socket_whole() {
        let orders = [
            Order::Delay(Duration::from_millis(20)),
            Order::Do,
            Order::LoseSessions,
            Order::Hang,
            Order::Crash,
            Order::Return(0xb3),
        ];
        let line = orders.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        assert_eq!(Order::parse(&line).as_deref(), Some(&orders[..]));
        assert_eq!(Order::parse(""), Some(Vec::new()));
        for wrong in ["delay", "delay x", "return 30", "explode"] {
            assert_eq!(Order::parse(wrong), None, "{wrong}");
        }
    }
}

//! What strangers send to harm others, packet by packet.

/// JSON that is ten thousand lists deep.
#[must_use]
pub fn deep_json() -> String {
    format!("{}{}", "[".repeat(10_000), "]".repeat(10_000))
}

/// Attachments that never come: more than are allowed, none of that number, no number at all.
pub const ATTACHMENTS: [&str; 4] = [
    "5999999-[\"x\"]",
    "51-[\"x\",{\"_placeholder\":true,\"num\":99}]",
    "51-[\"x\",{\"_placeholder\":true,\"num\":\"splice\"}]",
    "5-[\"x\"]",
];

/// What placeholders name as their attachment and is none.
pub const NO_ATTACHMENTS: [&str; 6] = ["99", "-1", "1e999", "\"splice\"", "null", "{}"];

/// The packet of an event whose one attachment is at this place, if it is one.
#[must_use]
pub fn placeholder(num: &str) -> String {
    format!("451-7[\"send_message\",{{\"_placeholder\":true,\"num\":{num}}}]")
}

/// Packets with JSON that is too deep.
#[must_use]
pub fn deep_packets() -> [String; 2] {
    let deep = deep_json();
    [format!("42{deep}"), format!("40{{\"token\":{deep}}}")]
}

/// The cut is in the middle of a character (a multibyte panic elsewhere).
pub const CUT_CHARACTERS: [&str; 3] = ["42[\"ä€😀", "4😀", "40/😀,"];

/// No text, in a frame that says it is.
pub const NOT_UTF8: [u8; 5] = [0xff, 0xfe, b'4', 0xc3, 0x28];

/// Larger than any packet may be.
pub const LARGE_FRAME: usize = 16 << 20;

/// Frames of one byte in one message.
pub const FRAGMENTS: usize = 1_000_000;

/// Namespaces that one connection asks for.
pub const NAMESPACES: usize = 10_000;

/// The packet that asks for one of them.
#[must_use]
pub fn namespace(number: usize) -> String {
    format!("40/room-{number},")
}

/// Packets that come a thousand at a time in one request of a client that polls.
pub const POLLED: [&str; 9] =
    ["4", "2", "3", "x", "42[\"x\"]", "40{\"token\":\"x\"}", "40/x,", "451-[\"x\"]", "bAAAA"];

/// A request with a thousand of this packet.
#[must_use]
pub fn thousand(packet: &str) -> String {
    vec![packet; 1000].join("\u{1e}")
}

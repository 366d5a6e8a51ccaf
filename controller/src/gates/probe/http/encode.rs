//! Percent-encoding of values that become part of a URL.

use std::fmt::Write as _;

/// `text` with everything encoded that has a meaning in any part of a URL.
pub(crate) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_value_can_change_the_structure_of_a_url() {
        assert_eq!(
            percent_encoded("a b/../?x=1&y#@:é"),
            "a%20b%2F..%2F%3Fx%3D1%26y%23%40%3A%C3%A9"
        );
        assert_eq!(percent_encoded("web-1.shop_x~"), "web-1.shop_x~");
    }
}

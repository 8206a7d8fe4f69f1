//! Just enough JSON for arguments that are a string, or an object of strings. Strings are kept as they stand between
//! their quotes, escapes and all, and written out again the same.

/// The text of a JSON string, without its quotes.
pub fn string(b: &[u8]) -> Option<&[u8]> {
    let (text, rest) = take(trim(b))?;
    if trim(rest).is_empty() { Some(text) } else { None }
}

/// The text of a member of a JSON object whose members are strings.
pub fn member<'a>(b: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut b = trim(b).strip_prefix(b"{")?;
    loop {
        let (key, rest) = take(trim(b))?;
        let (value, rest) = take(trim(trim(rest).strip_prefix(b":")?))?;
        if key == name.as_bytes() {
            return Some(value);
        }
        b = trim(rest).strip_prefix(b",")?;
    }
}

/// A string at the beginning, and what follows it.
fn take(b: &[u8]) -> Option<(&[u8], &[u8])> {
    let b = b.strip_prefix(b"\"")?;
    let mut escaped = false;
    for (i, &c) in b.iter().enumerate() {
        match c {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some((&b[..i], &b[i + 1..])),
            _ => {}
        }
    }
    None
}

fn trim(mut b: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\r' | b'\n', rest @ ..] = b {
        b = rest;
    }
    while let [rest @ .., b' ' | b'\t' | b'\r' | b'\n'] = b {
        b = rest;
    }
    b
}

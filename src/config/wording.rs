//! What the TOML library says of a wrong value, in words of the file and not of the program.

/// The message, with the type that is missing named as one writes it.
pub(super) fn plain(message: &str) -> String {
    // The library's words for an enum, whose values it lists only for a string.
    let message = message.replace(
        "wanted string or table",
        "one of the words that docs/ref/config.md lists is expected, in quotes",
    );
    let message = (message.replace("expected usize", "expected a whole number"))
        .replace("expected u64", "expected a whole number")
        .replace("expected path string", "expected a path in quotes");
    let Some((before, named)) = message.rsplit_once("expected struct ") else {
        return message;
    };
    let rest = named.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
    format!("{before}a table with keys of its own is expected{rest}")
}

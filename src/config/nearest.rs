//! The name that somebody who wrote an unknown one most likely meant.
//!
//! Only for error texts: a guess is shown, never acted upon.

/// Below this likeness a guess is more puzzling than helpful; clap uses the same for flags.
const LIKELY: f64 = 0.7;

/// The one of `names` nearest to `word`, if any is near. Case and underscores do not count.
pub fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = plain(word);
    names
        .map(|name| (strsim::jaro_winkler(&word, &plain(name)), name))
        .filter(|(likeness, _)| *likeness > LIKELY)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| name)
}

fn plain(name: &str) -> String {
    name.replace('_', "-").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_name_and_nonsense_finds_none() {
        let names = ["idle-timeout", "send-timeout", "workers"];
        let near = |word| nearest(word, names.into_iter());
        assert_eq!(near("idel-timeout"), Some("idle-timeout"));
        assert_eq!(near("SEND_TIMEOUT"), Some("send-timeout"));
        assert_eq!(near("worker"), Some("workers"));
        assert_eq!(near("xyzzy"), None);
        assert_eq!(near(""), None);
    }
}

//! Which clients may come in: patterns over what a certificate says of its holder.
//!
//! A pattern names one kind of name, so that a common name never passes for a URI. `*` stands for
//! less the more is at stake: one label of a DNS name, one segment of a URI, and only at the end
//! of a URI for all that follows. Matching is over whole names, never over parts of them.

use std::fmt;

/// Clients that may come in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClientPattern {
    /// A URI SAN, such as `spiffe://domain/ns/*`.
    Uri(String),
    /// A DNS SAN, in lower case.
    Dns(String),
    /// A common name of the subject.
    CommonName(String),
    /// SHA-256 of the SubjectPublicKeyInfo, lower-case hexadecimal.
    Key(String),
}

/// Stars in one pattern.
const MOST_STARS: usize = 3;

/// A text that is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatternError {
    /// No kind of name before the colon.
    Kind,
    /// Nothing after it.
    Empty,
    /// Not a SHA-256.
    Digest,
    /// A URI without its scheme.
    Scheme,
    /// More stars than anybody could reason about.
    Stars,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kind => {
                "not a pattern; write uri:spiffe://domain/ns/*, dns:*.example, cn:NAME or \
                 spki:sha256:DIGEST"
            }
            Self::Empty => "matches nobody; write a name after the colon",
            Self::Digest => {
                "not a SHA-256 in hexadecimal or base64; print it with: openssl x509 -in FILE \
                 -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256"
            }
            Self::Scheme => {
                "not a URI with its scheme spelled out; write e.g. uri:spiffe://domain/ns/*"
            }
            Self::Stars => "has more than 3 stars; say it with several patterns",
        })
    }
}

impl std::error::Error for PatternError {}

/// Parses one pattern.
pub fn pattern(text: &str) -> Result<ClientPattern, PatternError> {
    let (kind, value) = text.split_once(':').ok_or(PatternError::Kind)?;
    let value = value.trim();
    match kind {
        "uri" | "dns" | "cn" | "spki" if value.is_empty() => Err(PatternError::Empty),
        // Each star multiplies the work that a long name can make.
        _ if value.matches('*').count() > MOST_STARS => Err(PatternError::Stars),
        // A scheme that any would do for would let in what was never meant.
        "uri" => match value.split_once(':') {
            Some((scheme, rest)) if !scheme.contains('*') && !rest.is_empty() => {
                Ok(ClientPattern::Uri(value.to_owned()))
            }
            _ => Err(PatternError::Scheme),
        },
        "dns" => Ok(ClientPattern::Dns(value.to_ascii_lowercase())),
        "cn" => Ok(ClientPattern::CommonName(value.to_owned())),
        "spki" => key(value).map(ClientPattern::Key),
        _ => Err(PatternError::Kind),
    }
}

/// One word of `--client-cert-headers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// None.
    Off,
    /// `Client-Cert`.
    Leaf,
    /// `Client-Cert-Chain`.
    Chain,
    /// `X-Forwarded-Client-Cert`.
    Forwarded,
}

/// Parses one word of `--client-cert-headers`.
pub fn header(text: &str) -> Result<Header, super::word::WordError> {
    super::word::one_of(
        text,
        &[
            ("client-cert", Header::Leaf),
            ("client-cert-chain", Header::Chain),
            ("xfcc", Header::Forwarded),
            ("off", Header::Off),
        ],
    )
}

impl ClientPattern {
    /// Whether a URI SAN is meant.
    pub fn is_uri(&self, uri: &str) -> bool {
        matches!(self, Self::Uri(pattern) if is_match(pattern, uri, Some('/'), Last::Rest))
    }

    /// Whether a DNS SAN is meant.
    pub fn is_dns(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        matches!(self, Self::Dns(pattern) if is_match(pattern, &name, Some('.'), Last::Part))
    }

    /// Whether a common name is meant.
    pub fn is_common_name(&self, name: &str) -> bool {
        matches!(self, Self::CommonName(pattern) if is_match(pattern, name, None, Last::Part))
    }

    /// Whether a key is meant, by the SHA-256 of its SubjectPublicKeyInfo in lower-case hexadecimal.
    pub fn is_key(&self, sha256: &str) -> bool {
        matches!(self, Self::Key(own) if own == sha256)
    }
}

impl fmt::Display for ClientPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uri(pattern) => write!(f, "uri:{pattern}"),
            Self::Dns(pattern) => write!(f, "dns:{pattern}"),
            Self::CommonName(pattern) => write!(f, "cn:{pattern}"),
            Self::Key(digest) => write!(f, "spki:sha256:{digest}"),
        }
    }
}

/// What `*` at the end stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    /// The same as elsewhere.
    Part,
    /// Whatever follows.
    Rest,
}

/// Whether `text` is what `pattern` says; `*` stands for one or more characters, none of them
/// `boundary`.
fn is_match(pattern: &str, text: &str, boundary: Option<char>, last: Last) -> bool {
    let Some((before, after)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(rest) = text.strip_prefix(before) else {
        return false;
    };
    if after.is_empty() && last == Last::Rest {
        return !rest.is_empty();
    }
    // A second star of the same part would add nothing but time.
    let after = after.trim_start_matches('*');
    let mut ends = rest
        .char_indices()
        .skip(1)
        .map(|(at, _)| at)
        .collect::<Vec<_>>();
    ends.push(rest.len());
    for end in ends {
        let part = &rest[..end];
        if part.is_empty() || boundary.is_some_and(|boundary| part.contains(boundary)) {
            return false;
        }
        if is_match(after, &rest[end..], boundary, last) {
            return true;
        }
    }
    false
}

/// `sha256:` and the digest in hexadecimal (colons allowed) or base64, as lower-case hexadecimal.
fn key(text: &str) -> Result<String, PatternError> {
    let digest = text.strip_prefix("sha256:").ok_or(PatternError::Digest)?;
    let hex: String = digest.chars().filter(|c| *c != ':').collect();
    if hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(hex.to_ascii_lowercase());
    }
    from_base64(digest).ok_or(PatternError::Digest)
}

/// 32 bytes in base64 (RFC 4648 section 4) as lower-case hexadecimal.
fn from_base64(text: &str) -> Option<String> {
    let digits = text.strip_suffix('=').unwrap_or(text);
    if digits.len() != 43 {
        return None;
    }
    let (mut bits, mut held, mut hex) = (0_u32, 0, String::with_capacity(64));
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            hex.push_str(&format!("{:02x}", bits >> held & 0xff));
        }
    }
    Some(hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> ClientPattern {
        pattern(text).unwrap()
    }

    #[test]
    fn a_uri_pattern_takes_one_segment_inside_and_the_rest_at_its_end() {
        let all = parsed("uri:spiffe://domain/ns/*");
        assert!(all.is_uri("spiffe://domain/ns/a") && all.is_uri("spiffe://domain/ns/a/sa/b"));
        assert!(!all.is_uri("spiffe://domain/ns/") && !all.is_uri("spiffe://domain/ns"));
        assert!(!all.is_uri("spiffe://domain.evil/ns/a") && !all.is_uri("x spiffe://domain/ns/a"));
        let one = parsed("uri:spiffe://domain/ns/*/sa/web");
        assert!(one.is_uri("spiffe://domain/ns/a/sa/web"));
        assert!(!one.is_uri("spiffe://domain/ns/a/b/sa/web"));
        assert!(!one.is_uri("spiffe://domain/ns//sa/web"));
        assert!(
            !one.is_dns("spiffe://domain/ns/a/sa/web"),
            "another kind of name"
        );
    }

    #[test]
    fn a_dns_star_is_one_label_and_a_case_is_none() {
        let star = parsed("dns:*.Example");
        assert!(star.is_dns("a.example") && star.is_dns("A.EXAMPLE"));
        assert!(!star.is_dns("example") && !star.is_dns("b.a.example") && !star.is_dns(".example"));
        assert!(!star.is_dns("a.example\0.evil") && !star.is_common_name("a.example"));
        assert!(parsed("dns:a.example").is_dns("a.example"));
    }

    #[test]
    fn a_common_name_and_a_key_are_matched_whole() {
        let name = parsed("cn:job *");
        assert!(name.is_common_name("job 1") && !name.is_common_name("a job 1"));
        let hex = "ab".repeat(32);
        let colons = ["AB"; 32].join(":");
        assert!(parsed(&format!("spki:sha256:{hex}")).is_key(&hex));
        assert!(parsed(&format!("spki:sha256:{colons}")).is_key(&hex));
        assert!(parsed("spki:sha256:q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=").is_key(&hex));
    }

    #[test]
    fn what_is_no_pattern_is_told_with_the_mend() {
        for (text, error) in [
            ("spiffe://domain", PatternError::Kind),
            ("name", PatternError::Kind),
            ("cn:", PatternError::Empty),
            ("uri:*", PatternError::Scheme),
            ("uri:*://x", PatternError::Scheme),
            ("spki:abcd", PatternError::Digest),
            ("spki:sha256:abcd", PatternError::Digest),
            ("cn:*a*b*c*", PatternError::Stars),
        ] {
            assert_eq!(pattern(text), Err(error), "{text}");
            assert!(error.to_string().contains("; "), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics_and_a_name_without_a_star_matches_itself(text in "[a-z*./:]{0,12}", name in "[a-z./]{1,12}") {
            if let Ok(found) = pattern(&text) {
                let _ = (found.is_uri(&name), found.is_dns(&name), found.is_common_name(&name));
                proptest::prop_assert_eq!(pattern(&found.to_string()), Ok(found));
            }
            let own = ClientPattern::CommonName(name.clone());
            proptest::prop_assert!(own.is_common_name(&name));
        }
    }
}

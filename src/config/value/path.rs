//! Paths of requests, as a prefix that names everything below it.

use std::fmt;

/// Why a text is no prefix of paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrefixError {
    /// It does not begin with a slash.
    Relative,
    /// It is the root.
    Everything,
    /// It has a byte that no path has, or means another path than it says.
    NotAPath,
}

impl fmt::Display for PrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Relative => "begins with no slash; write e.g. /.well-known/acme-challenge/",
            Self::Everything => {
                "would pass every request in clear; name a path below it, e.g. \
                 /.well-known/acme-challenge/"
            }
            Self::NotAPath => {
                "not a plain path; write it without query, `%`, `//`, `.` and `..` segments, e.g. \
                 /.well-known/acme-challenge/"
            }
        })
    }
}

impl std::error::Error for PrefixError {}

/// Parses a prefix of paths.
pub fn prefix(text: &str) -> Result<String, PrefixError> {
    if text == "/" {
        return Err(PrefixError::Everything);
    }
    let is_path_byte = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+=:@/".contains(&b);
    if !text.bytes().all(is_path_byte) {
        return Err(PrefixError::NotAPath);
    }
    let segments = text.strip_prefix('/').ok_or(PrefixError::Relative)?;
    let segments = segments.strip_suffix('/').unwrap_or(segments);
    match segments
        .split('/')
        .any(|part| matches!(part, "" | "." | ".."))
    {
        true => Err(PrefixError::NotAPath),
        false => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_path_below_the_root_that_means_what_it_says() {
        for good in ["/.well-known/acme-challenge/", "/a", "/a/b.txt"] {
            assert_eq!(prefix(good).as_deref(), Ok(good));
        }
        assert_eq!(prefix("/"), Err(PrefixError::Everything));
        assert_eq!(prefix("a/b"), Err(PrefixError::Relative));
        for bad in [
            "//", "/a/../b", "/./a", "/a//b", "/a?b", "/a%2e", "/a b", "/\0", "/a;b", "/\\",
        ] {
            assert_eq!(prefix(bad), Err(PrefixError::NotAPath), "{bad}");
        }
    }
}

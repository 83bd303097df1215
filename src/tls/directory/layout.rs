//! Which files of a directory belong together, from their names alone.
//!
//! Every layout of the contract is tried side by side; a name is used once. What only looks like
//! a bundle of key and chain is read before it counts, because `ca.pem` ends like `site.pem`.

use std::collections::BTreeSet;

/// Files of one directory that belong together, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    /// The chain; also the name of the whole.
    pub(super) certificate: String,
    /// The key; the same as `certificate` in a bundle.
    pub(super) key: String,
    /// A stapled OCSP answer.
    pub(super) ocsp: Option<String>,
    /// Whether names alone prove it, or its contents must.
    pub(super) proof: Proof,
}

/// What tells that a group is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// The names: `tls.crt` and `tls.key`.
    Names,
    /// Key and certificate both in the file.
    Contents,
}

/// Pairs whose two names have nothing in common: certbot, others, and Vault Secrets Operator.
const FIXED_PAIRS: [(&str, &str); 4] = [
    ("fullchain.pem", "privkey.pem"),
    ("cert.pem", "key.pem"),
    ("cert.pem", "privkey.pem"),
    ("certificate", "private_key"),
];

/// The groups among `names`, which are in order.
pub(super) fn groups(names: &BTreeSet<String>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut used = BTreeSet::new();
    for (certificate, key) in FIXED_PAIRS {
        if names.contains(certificate) && names.contains(key) && used.insert(key.to_owned()) {
            used.insert(certificate.to_owned());
            groups.push(group(names, certificate, key, Proof::Names));
        }
    }
    for name in names {
        let Some((stem, extension)) = name.rsplit_once('.') else {
            continue;
        };
        let keys = match extension {
            _ if used.contains(name) => continue,
            "crt" => vec![format!("{stem}.key")],
            // HAProxy writes `site.pem.key`, mkcert `site-key.pem`.
            "pem" => vec![
                format!("{stem}.key"),
                format!("{name}.key"),
                format!("{stem}-key.pem"),
            ],
            // Half of a pair that everybody knows is worth an error that names the other half.
            "key" if name == "tls.key" && !names.contains("tls.crt") => {
                groups.push(group(names, "tls.crt", "tls.key", Proof::Names));
                continue;
            }
            _ => continue,
        };
        let found = keys.iter().find(|key| names.contains(*key));
        groups.push(match found {
            Some(key) => group(names, name, key, Proof::Names),
            None if name == "tls.crt" => group(names, name, "tls.key", Proof::Names),
            None => group(names, name, name, Proof::Contents),
        });
    }
    groups
}

fn group(names: &BTreeSet<String>, certificate: &str, key: &str, proof: Proof) -> Group {
    let stem = certificate
        .rsplit_once('.')
        .map_or(certificate, |(stem, _)| stem);
    let staples = [format!("{stem}.ocsp"), format!("{certificate}.ocsp")];
    Group {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        ocsp: staples.into_iter().find(|name| names.contains(name)),
        proof,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &[&str]) -> Vec<(String, String)> {
        let names = names.iter().map(ToString::to_string).collect();
        let groups = groups(&names).into_iter();
        let mut pairs: Vec<_> = groups.map(|g| (g.certificate, g.key)).collect();
        pairs.sort();
        pairs
    }

    fn pair(certificate: &str, key: &str) -> (String, String) {
        (certificate.to_owned(), key.to_owned())
    }

    #[test]
    fn every_layout_is_known_by_its_names() {
        for (certificate, key) in [
            ("tls.crt", "tls.key"),
            ("a.example.crt", "a.example.key"),
            ("fullchain.pem", "privkey.pem"),
            ("certificate", "private_key"),
            ("cert.pem", "key.pem"),
            ("site.pem", "site.key"),
            ("site.pem", "site.pem.key"),
            ("localhost.pem", "localhost-key.pem"),
        ] {
            let groups = found(&[certificate, key, "ca.crt", "notes.txt"]);
            assert!(groups.contains(&pair(certificate, key)), "{groups:?}");
        }
    }

    #[test]
    fn certbot_is_one_pair_and_its_other_files_are_only_looked_at() {
        let all = [
            "README",
            "cert.pem",
            "chain.pem",
            "fullchain.pem",
            "privkey.pem",
        ];
        let names = all.map(str::to_owned).into();
        let proven: Vec<_> = groups(&names)
            .into_iter()
            .filter(|group| group.proof == Proof::Names)
            .collect();
        assert_eq!(proven.len(), 1, "{proven:?}");
        assert_eq!(proven[0].certificate, "fullchain.pem");
    }

    #[test]
    fn half_of_a_kubernetes_pair_is_still_a_pair() {
        assert_eq!(found(&["tls.crt"]), [pair("tls.crt", "tls.key")]);
        assert_eq!(found(&["tls.key"]), [pair("tls.crt", "tls.key")]);
    }

    #[test]
    fn an_ocsp_answer_stands_beside_its_certificate() {
        let names = ["a.crt", "a.key", "a.ocsp", "b.pem", "b.pem.ocsp"];
        let groups = groups(&names.map(str::to_owned).into());
        let staples: Vec<_> = groups.iter().map(|g| g.ocsp.as_deref()).collect();
        assert_eq!(staples, [Some("a.ocsp"), Some("b.pem.ocsp")]);
    }
}

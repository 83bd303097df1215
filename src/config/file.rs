//! The settings file: TOML or YAML, with the names of the flags as keys.
//!
//! Takes the text; reading it is the caller's. Numbers and switches may be bare and lists may be
//! one string, because that is how people write them. A mistake in one key does not hide the
//! others: everything that could be read is returned beside everything that is wrong.

use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

use super::nearest::nearest;
use super::problem::{ConfigErrors, Problem};
use super::settings::{Settings, vocabulary};

/// What a file says, and what is wrong with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// The settings that could be read.
    pub settings: Settings,
    /// The mistakes; each names the file.
    pub errors: ConfigErrors,
}

/// Reads the text of the file called `path`, whose extension tells the language.
pub fn parse(path: &Path, text: &str) -> Contents {
    let mut contents = Contents::default();
    let entries = match entries(path, text) {
        Ok(entries) => entries,
        Err(complaint) => {
            contents
                .errors
                .push(Problem::other(path.display(), complaint));
            return contents;
        }
    };
    let vocabulary = vocabulary();
    let mut table = toml::Table::new();
    for (key, item) in entries.0 {
        match place(&vocabulary, &table, &key, item) {
            Ok(Some((name, value))) => {
                table.insert(name, value);
            }
            Ok(None) => {}
            Err(complaint) => {
                let subject = format!("{}: key {key:?}", path.display());
                contents.errors.push(Problem::other(subject, complaint));
            }
        }
    }
    match table.try_into() {
        Ok(settings) => contents.settings = settings,
        Err(error) => contents
            .errors
            .push(Problem::other(path.display(), one_line(&error))),
    }
    contents
}

fn entries(path: &Path, text: &str) -> Result<Entries, String> {
    let extension = path.extension().and_then(|extension| extension.to_str());
    match extension.map(str::to_ascii_lowercase).as_deref() {
        Some("toml") => toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| {
                let before = text.get(..span.start).unwrap_or_default();
                before.matches('\n').count() + 1
            });
            let line = line
                .map(|line| format!("line {line}: "))
                .unwrap_or_default();
            format!("not TOML; {line}{}", one_line(&error.message()))
        }),
        Some("yaml" | "yml") => {
            serde_yaml_ng::from_str(text).map_err(|error| format!("not YAML; {}", one_line(&error)))
        }
        _ => Err("not a kind of file known here; name it .toml, .yaml or .yml".to_owned()),
    }
}

/// The canonical name of a key and its value in the shape that the setting has.
fn place(
    vocabulary: &clap::Command,
    table: &toml::Table,
    key: &str,
    item: Item,
) -> Result<Option<(String, toml::Value)>, String> {
    let named = |arg: &&clap::Arg| {
        arg.get_long() == Some(key) || arg.get_all_aliases().unwrap_or_default().contains(&key)
    };
    let arg = vocabulary.get_arguments().find(named);
    let Some((arg, name)) = arg.and_then(|arg| Some((arg, arg.get_long()?))) else {
        let names = vocabulary.get_arguments().filter_map(clap::Arg::get_long);
        return Err(match nearest(key, names) {
            Some(guess) => format!("not a setting; did you mean {guess:?}?"),
            None => "not a setting; see --help for the names".to_owned(),
        });
    };
    if table.contains_key(name) {
        return Err("stands twice; keep one".to_owned());
    }
    let repeatable = matches!(arg.get_action(), clap::ArgAction::Append);
    let value = match item {
        Item::Nothing => return Ok(None),
        Item::One(text) if repeatable => toml::Value::Array(vec![text.into()]),
        Item::One(text) => text.into(),
        Item::Many(texts) if repeatable => texts.into(),
        Item::Many(_) => return Err("takes one value; write it without brackets".to_owned()),
        Item::Nested if repeatable => {
            return Err("takes a list of plain values; write [\"A\", \"B\"]".to_owned());
        }
        Item::Nested => return Err("takes a plain value; write it on one line".to_owned()),
    };
    Ok(Some((name.to_owned(), value)))
}

fn one_line(error: &impl fmt::Display) -> String {
    let text = error.to_string();
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    lines.join(", ")
}

/// The keys of a file as the parser gives them, doubles included.
#[derive(Default)]
struct Entries(Vec<(String, Item)>);

/// A value as written, before it is known what the key means.
enum Item {
    Nothing,
    One(String),
    Many(Vec<String>),
    Nested,
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("settings as KEY: VALUE")
    }

    // A YAML file of nothing, or of nothing but comments.
    fn visit_none<E: de::Error>(self) -> Result<Entries, E> {
        Ok(Entries::default())
    }

    fn visit_unit<E: de::Error>(self) -> Result<Entries, E> {
        Ok(Entries::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
        let mut entries = Entries::default();
        while let Some(entry) = map.next_entry()? {
            entries.0.push(entry);
        }
        Ok(entries)
    }
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ItemVisitor)
    }
}

struct ItemVisitor;

impl<'de> Visitor<'de> for ItemVisitor {
    type Value = Item;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Item, E> {
        Ok(Item::Nothing)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Item, E> {
        Ok(Item::One(value.to_string()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Item, E> {
        Ok(Item::One(value.to_string()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Item, E> {
        Ok(Item::One(value.to_string()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Item, E> {
        // `{:?}` keeps 2.0 from turning into a whole number.
        Ok(Item::One(format!("{value:?}")))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Item, E> {
        Ok(Item::One(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Item, A::Error> {
        let mut texts = Some(Vec::new());
        while let Some(item) = seq.next_element()? {
            match item {
                Item::One(text) => texts = texts.map(|texts| [texts, vec![text]].concat()),
                Item::Nothing | Item::Many(_) | Item::Nested => texts = None,
            }
        }
        Ok(texts.map_or(Item::Nested, Item::Many))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Item, A::Error> {
        while map
            .next_entry::<de::IgnoredAny, de::IgnoredAny>()?
            .is_some()
        {}
        Ok(Item::Nested)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(name: &str, text: &str) -> (Settings, String) {
        let contents = parse(Path::new(name), text);
        (contents.settings, contents.errors.to_string())
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn expected() -> Settings {
        Settings {
            listen: vec![":8443".to_owned(), "9443".to_owned()],
            workers: some("2"),
            tls_min_version: some("1.3"),
            forwarded: some("true"),
            idle_timeout: some("10s"),
            trusted_proxies: vec!["10.0.0.0/8, fd00::/8".to_owned()],
            cert_file: some("/c"),
            ..Settings::default()
        }
    }

    #[test]
    fn toml_and_yaml_say_the_same() {
        let toml = "listen = [\":8443\", 9443]\nworkers = 2\ntls-min-version = 1.3\n\
                    forwarded = true\nidle-timeout = \"10s\"\n\
                    trusted-proxies = \"10.0.0.0/8, fd00::/8\"\ntls-cert-file = \"/c\"\n";
        let yaml = "# ours\nlisten: [\":8443\", 9443]\nworkers: 2\ntls-min-version: 1.3\n\
                    forwarded: true\nidle-timeout: 10s\n\
                    trusted-proxies: 10.0.0.0/8, fd00::/8\ntls-cert-file: /c\nhsts:\n";
        assert_eq!(read("a.toml", toml), (expected(), String::new()));
        assert_eq!(read("a.yaml", yaml), (expected(), String::new()));
        assert_eq!(read("a.YML", yaml), (expected(), String::new()));
    }

    #[test]
    fn unknown_key_suggests_the_nearest_name() {
        let (_, errors) = read(
            "a.toml",
            "idel-timeout = \"1s\"\nidle_timeout = 1\nxyzzy = 1\n",
        );
        assert_eq!(
            errors,
            "a.toml: key \"idel-timeout\": not a setting; did you mean \"idle-timeout\"?\n\
             a.toml: key \"idle_timeout\": not a setting; did you mean \"idle-timeout\"?\n\
             a.toml: key \"xyzzy\": not a setting; see --help for the names"
        );
    }

    #[test]
    fn a_wrong_key_does_not_hide_the_right_ones() {
        let text = "workers: [1, 2]\nlisten: {a: 1}\nhsts: {a: 1}\nset-header: [[a]]\n\
                    cert-file: a\ntls-cert-file: b\nkey-file: k\n";
        let (settings, errors) = read("a.yaml", text);
        assert_eq!(settings.key_file, some("k"));
        assert_eq!(
            errors,
            "a.yaml: key \"workers\": takes one value; write it without brackets\n\
             a.yaml: key \"listen\": takes a list of plain values; write [\"A\", \"B\"]\n\
             a.yaml: key \"hsts\": takes a plain value; write it on one line\n\
             a.yaml: key \"set-header\": takes a list of plain values; write [\"A\", \"B\"]\n\
             a.yaml: key \"tls-cert-file\": stands twice; keep one"
        );
    }

    #[test]
    fn broken_text_is_one_line_with_its_place() {
        let (_, errors) = read("a.toml", "workers = 2\nlisten = [\n");
        assert!(errors.starts_with("a.toml: not TOML; line "), "{errors}");
        let (_, errors) = read("a.toml", "workers = 2\nworkers = 3\n");
        assert!(errors.starts_with("a.toml: not TOML; line 2: "), "{errors}");
        let (_, yaml) = read("a.yaml", "listen: [::]:443\n");
        assert!(
            yaml.starts_with("a.yaml: not YAML; ") && yaml.contains("line 1"),
            "{yaml}"
        );
        let (_, list) = read("a.yaml", "- workers\n");
        assert!(list.contains("settings as KEY: VALUE"), "{list}");
        for text in [errors, yaml, list] {
            assert!(!text.contains('\n'), "{text}");
        }
    }

    #[test]
    fn an_empty_file_is_no_mistake() {
        for name in ["a.toml", "a.yaml"] {
            for text in ["", "\n", "# nothing\n"] {
                assert_eq!(
                    read(name, text),
                    (Settings::default(), String::new()),
                    "{name} {text:?}"
                );
            }
        }
    }

    #[test]
    fn another_kind_of_file_is_refused() {
        for name in ["a.json", "a", ".toml", "toml"] {
            let (_, errors) = read(name, "");
            assert!(errors.ends_with("name it .toml, .yaml or .yml"), "{errors}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "([a-z-]{1,8}|[\\[\\]{}:=\"'#\\n -]|[0-9.]{1,4}|\\PC){0,40}") {
            let _ = (read("a.toml", &text), read("a.yaml", &text));
        }
    }
}

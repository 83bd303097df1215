//! A configuration as text: lines that begin with `--` are flags, those that begin with `TLS_`
//! variables; the rest is the file, whose language the first line may name.

use std::collections::BTreeMap;
use std::path::Path;

use clap::{Args as _, Command, FromArgMatches as _};
use tls_sidecar::config::{Config, Settings, environment, file};

/// Holds the reading of settings to what is promised: no panic, errors in one line each, the same
/// meaning whichever source says it, and the same meaning each time.
pub fn hold(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (mut flags, mut variables, mut rest) = (Vec::new(), Vec::new(), String::new());
    for line in text.split('\n') {
        if line.starts_with("--") {
            flags.push(line);
        } else if let (true, Some(pair)) = (line.starts_with("TLS_"), line.split_once('=')) {
            variables.push(pair);
        } else {
            rest.push_str(line);
            rest.push('\n');
        }
    }
    let (language, rest) = match rest.split_once('\n') {
        Some(("yaml", rest)) => ("a.yaml", rest),
        Some(("toml", rest)) => ("a.toml", rest),
        _ => ("a.toml", rest.as_str()),
    };
    let command = Settings::augment_args(Command::new("tls-sidecar"));
    let known: Vec<String> = command
        .get_arguments()
        .filter_map(|arg| Some(arg.get_env()?.to_string_lossy().into_owned()))
        .collect();
    readable(&environment::unknown(variables.into_iter(), &known).to_string());
    let arguments = ["tls-sidecar"].into_iter().chain(flags.iter().copied());
    let written = match command.try_get_matches_from(arguments) {
        Ok(matches) => Settings::from_arg_matches(&matches).unwrap(),
        Err(_) => Settings::default(),
    };
    let contents = file::parse(Path::new(language), rest);
    readable(&contents.errors.to_string());
    if written != Settings::default() {
        same_in_a_file(&flags, &written);
    }
    let settings = written.over(contents.settings);
    match (Config::resolve(settings.clone()), Config::resolve(settings)) {
        (Ok(one), Ok(other)) => assert_eq!(format!("{one:?}"), format!("{other:?}")),
        (Err(one), Err(other)) => {
            assert_eq!(one, other);
            let text = one.to_string();
            assert!(!text.is_empty(), "refused without a word");
            readable(&text);
        }
        (one, other) => panic!("not the same twice: {one:?} {other:?}"),
    }
}

/// What flags say means the same when a file says it.
fn same_in_a_file(flags: &[&str], written: &Settings) {
    let mut by_name = BTreeMap::<&str, Vec<&str>>::new();
    for flag in flags {
        let Some((name, value)) = flag.trim_start_matches('-').split_once('=') else {
            return;
        };
        by_name.entry(name).or_default().push(value);
    }
    let mut text = String::new();
    for (name, values) in by_name {
        let values: Vec<String> = values.into_iter().map(quoted).collect();
        match values.as_slice() {
            [one] => text.push_str(&format!("{name} = {one}\n")),
            many => text.push_str(&format!("{name} = [{}]\n", many.join(", "))),
        }
    }
    let contents = file::parse(Path::new("a.toml"), &text);
    if contents.errors.is_empty() {
        assert_eq!(&contents.settings, written, "{text}");
    }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// One line a mistake, and nothing in it that a terminal would obey.
fn readable(errors: &str) {
    for line in errors.lines() {
        assert!(!line.trim().is_empty(), "an empty line: {errors:?}");
        let control = line.chars().find(|c| c.is_control());
        assert_eq!(control, None, "a control character: {errors:?}");
    }
}

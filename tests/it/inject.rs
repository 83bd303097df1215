//! `tls-sidecar inject`: manifests as people and tools write them, with the sidecar and without it.
//!
//! `inject/` has manifests of many shapes, `inject/with_sidecar/` what comes of each. To renew the
//! latter after a change that is meant, run the facts with `RENEW_MANIFESTS=1` and read the diff.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tls_sidecar::check::Severity;
use tls_sidecar::inject::{Defaults, Mode, inject, uninject};

mod findings;

const OWN: &str = "tls-sidecar";
const RECORD: &str = "tls-sidecar.dev/injected";

/// The manifests, by file name.
fn manifests() -> Vec<(String, String)> {
    let mut files: Vec<_> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml" || e == "json"))
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    files.sort();
    assert!(files.len() >= 18, "{files:#?}");
    files
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/inject")
}

fn defaults() -> Defaults {
    Defaults {
        secret: Some("{name}-tls".to_owned()),
        ..Defaults::default()
    }
}

fn classic() -> Defaults {
    Defaults {
        mode: Mode::Classic,
        image: Some("example.com/other:9".to_owned()),
        ..defaults()
    }
}

/// With the sidecar, or everything that was found.
fn injected(text: &str, defaults: &Defaults) -> Result<String, String> {
    let injected = inject(text, defaults);
    let found: Vec<_> = injected.findings.iter().map(ToString::to_string).collect();
    injected.text.ok_or(found.join("\n"))
}

#[test]
fn manifests_of_many_shapes_get_the_sidecar_and_keep_everything_else() {
    let renew = std::env::var_os("RENEW_MANIFESTS").is_some();
    for (name, text) in manifests() {
        let made = injected(&text, &defaults()).unwrap_or_else(|found| panic!("{name}: {found}"));
        let path = folder().join("with_sidecar").join(&name);
        // A new version is no change of the manifests.
        let version = env!("CARGO_PKG_VERSION");
        let general = made
            .replace(&format!("{OWN}:{version}"), &format!("{OWN}:VERSION"))
            .replace(&format!("{version}; made"), "VERSION; made")
            .replace(&format!("\"{version}\""), "\"VERSION\"");
        if renew {
            fs::write(&path, &general).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            general == expected,
            "{name}: got\n{general}\nexpected\n{expected}"
        );
    }
}

#[test]
fn injecting_twice_is_injecting_once() {
    for (name, text) in manifests() {
        let once = injected(&text, &defaults()).unwrap();
        assert_eq!(injected(&once, &defaults()).unwrap(), once, "{name}");
    }
}

#[test]
fn what_was_injected_before_is_brought_up_to_date() {
    for (name, text) in manifests() {
        // A Job cannot have the classic one.
        let Ok(other) = injected(&text, &classic()) else {
            assert_eq!(name, "cron_job.yaml");
            continue;
        };
        let new = injected(&text, &defaults()).unwrap();
        assert_eq!(injected(&other, &defaults()).unwrap(), new, "{name}");
        assert_eq!(injected(&new, &classic()).unwrap(), other, "{name}");
    }
}

#[test]
fn uninject_gives_back_every_byte() {
    for (name, text) in manifests() {
        for defaults in [defaults(), classic()] {
            if let Ok(with) = injected(&text, &defaults) {
                assert_eq!(uninject(&with).unwrap(), text, "{name}");
            }
        }
        assert_eq!(uninject(&text).unwrap(), text, "{name}");
    }
}

#[test]
fn without_a_last_line_end_and_with_those_of_dos_everything_comes_back_as_well() {
    for (name, text) in manifests() {
        let dos = text.replace("\r\n", "\n").replace('\n', "\r\n");
        let bare = text.trim_end();
        for text in [dos.as_str(), bare, &format!("\u{feff}{bare}")] {
            let text = text.replace("\u{feff}\u{feff}", "\u{feff}");
            let with = injected(&text, &defaults()).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(uninject(&with).unwrap(), text, "{name}");
            assert_eq!(injected(&with, &defaults()).unwrap(), with, "{name}");
        }
    }
}

/// Cut or mangled manifests are refused, or come back; nothing panics and nothing is lost.
#[test]
fn mangled_manifests_are_refused_or_come_back() {
    let mut made = 0;
    for (_, text) in manifests() {
        let lines: Vec<_> = text.split_inclusive('\n').collect();
        for at in 0..lines.len() {
            let without = [&lines[..at], &lines[at + 1..]].concat().concat();
            let twice = [&lines[..=at], &lines[at..]].concat().concat();
            let cut = lines[..at].concat();
            for text in [without, twice, cut] {
                if let Ok(with) = injected(&text, &defaults()) {
                    made += 1;
                    assert_eq!(uninject(&with).unwrap(), text);
                    assert_eq!(injected(&with, &defaults()).unwrap(), with);
                }
            }
        }
    }
    assert!(made > 500, "{made}");
}

#[test]
fn a_change_elsewhere_survives_uninject() {
    let (_, text) = manifest("hand_written.yaml");
    let with = injected(&text, &defaults()).unwrap();
    let change = |text: &str| {
        let text = text.replace("shop:1.4'   # pinned", "shop:1.5'");
        let text = text.replace(
            "replicas: 3\n",
            "replicas: 5 # more\n  minReadySeconds: 5\n",
        );
        text.replace(
            "            - containerPort: 8080\n",
            "            - containerPort: 8081\n",
        )
    };
    assert_ne!(change(&with), with);
    assert_eq!(uninject(&change(&with)).unwrap(), change(&text));
    // What others put into the lists that were made stays, and the lists with it.
    let more = with.replace(
        "      volumes:\n",
        "      volumes:\n        - name: cache\n          emptyDir: {}\n",
    );
    let without = uninject(&more).unwrap();
    let expected = text.replace(
        "five more than needed\n",
        "five more than needed\n      volumes:\n        - name: cache\n          emptyDir: {}\n",
    );
    assert_eq!(without, expected);
}

fn manifest(wanted: &str) -> (String, String) {
    let mut all = manifests().into_iter();
    all.find(|(name, _)| name == wanted).unwrap()
}

/// The documents of a text, as another parser reads them.
fn documents(name: &str, text: &str) -> Vec<Value> {
    if name.ends_with(".json") {
        return vec![serde_json::from_str(text).unwrap()];
    }
    let documents = serde_yaml_ng::Deserializer::from_str(text.trim_start_matches('\u{feff}'));
    documents
        .map(|document| {
            let value: serde_yaml_ng::Value = serde::Deserialize::deserialize(document).unwrap();
            let mut value = value;
            value.apply_merge().unwrap();
            serde_json::to_value(value).unwrap()
        })
        .collect()
}

/// The objects in a document that may be workloads.
fn objects(document: &mut Value) -> Vec<&mut Value> {
    match document["items"].is_array() {
        true => document["items"]
            .as_array_mut()
            .unwrap()
            .iter_mut()
            .collect(),
        false => vec![document],
    }
}

/// What has `metadata` and `spec` of the Pods of a workload.
fn pods(object: &mut Value) -> Option<&mut Value> {
    let word = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    let path = match (word("apiVersion"), word("kind")) {
        ("apps/v1", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet")
        | ("batch/v1", "Job") => "/spec/template",
        ("batch/v1", "CronJob") => "/spec/jobTemplate/spec/template",
        ("v1", "Pod") => "",
        _ => return None,
    };
    let is_owned = object.pointer("/metadata/ownerReferences").is_some();
    let annotation = object.pointer("/metadata/annotations/tls-sidecar.dev~1inject");
    let is_left_out = annotation == Some(&json!("false"));
    (!is_owned && !is_left_out).then(|| object.pointer_mut(path).unwrap())
}

/// Nulls and empty maps and lists mean nothing in a manifest.
fn without_nothing(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(without_nothing);
            map.retain(|_, value| !value.is_null() && *value != json!({}) && *value != json!([]));
        }
        Value::Array(items) => items.iter_mut().for_each(without_nothing),
        _ => {}
    }
}

fn remove_named(list: Option<&mut Value>, name: &str) -> Vec<Value> {
    let Some(items) = list.and_then(Value::as_array_mut) else {
        return Vec::new();
    };
    let (own, others) = items.drain(..).partition(|item| item["name"] == name);
    *items = others;
    own
}

/// The container for an application at `upstream`, written down a second time.
fn container(upstream: &str) -> Value {
    json!({
        "name": OWN,
        "image": format!("{OWN}:{}", env!("CARGO_PKG_VERSION")),
        "restartPolicy": "Always",
        "env": [
            {"name": "TLS_SIDECAR_UPSTREAM", "value": upstream},
            {"name": "TLS_SIDECAR_WORKERS", "value": "2"},
        ],
        "ports": [
            {"name": "https", "containerPort": 443},
            {"name": "admin", "containerPort": 9901},
        ],
        "startupProbe": {
            "httpGet": {"path": "/startupz", "port": 9901},
            "periodSeconds": 1,
            "timeoutSeconds": 1,
            "failureThreshold": 60,
        },
        "livenessProbe": {
            "httpGet": {"path": "/livez", "port": 9901},
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 3,
        },
        "readinessProbe": {
            "httpGet": {"path": "/readyz", "port": 9901},
            "periodSeconds": 2,
            "timeoutSeconds": 2,
            "failureThreshold": 2,
        },
        "lifecycle": {"preStop": {"exec": {"command": ["/tls-sidecar", "drain", "--wait", "28s"]}}},
        "resources": {
            "requests": {"cpu": "50m", "memory": "32Mi"},
            "limits": {"memory": "128Mi"},
        },
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [{"name": OWN, "mountPath": "/etc/tls", "readOnly": true}],
    })
}

/// The applications of the manifests, by their workloads.
const UPSTREAMS: [(&str, &str); 21] = [
    ("anchors", "http://127.0.0.1:8080"),
    ("agent", "http://127.0.0.1:4000"),
    ("a", "http://127.0.0.1:8080"),
    ("b", "http://127.0.0.1:8081"),
    ("bare", "h2c://127.0.0.1:3000"),
    ("dos", "http://127.0.0.1:8080"),
    ("flow", "http://127.0.0.1:8080"),
    ("folded", "http://127.0.0.1:3000"),
    ("more", "http://127.0.0.1:8080"),
    ("nulls", "http://127.0.0.1:8080"),
    ("once", "http://127.0.0.1:8000"),
    ("one", "http://127.0.0.1:1000"),
    ("release-podinfo", "http://127.0.0.1:9898"),
    ("report", "http://127.0.0.1:8000"),
    ("shop", "http://127.0.0.1:8080"),
    ("store", "http://127.0.0.1:7000"),
    ("tabs", "http://127.0.0.1:80"),
    ("text", "http://127.0.0.1:3000"),
    ("two", "http://127.0.0.1:2000"),
    ("web", "http://127.0.0.1:80"),
    ("wide", "http://127.0.0.1:8080"),
];

/// Read by another parser, the result has what it should have, and without that is the original.
#[test]
fn another_parser_finds_the_original_and_what_was_added() {
    for (name, text) in manifests() {
        let with = injected(&text, &defaults()).unwrap();
        let (mut before, mut after) = (documents(&name, &text), documents(&name, &with));
        for document in &mut after {
            for object in objects(document) {
                let own = object["metadata"]["name"].clone();
                let Some(pod) = pods(object) else {
                    continue;
                };
                let spec = &mut pod["spec"];
                let first = spec.pointer("/initContainers/0/name");
                let is_first = first.is_some_and(|name| name == OWN);
                let mut containers = remove_named(spec.get_mut("initContainers"), OWN);
                containers.extend(remove_named(spec.get_mut("containers"), OWN));
                let volumes = remove_named(spec.get_mut("volumes"), OWN);
                assert_eq!((containers.len(), volumes.len()), (1, 1), "{name} {own}");
                // What annotations change has a fact of its own.
                if name != "annotated.yaml" {
                    let one_line = if name == "json_on_one_line.json" {
                        "http://127.0.0.1:1234"
                    } else {
                        ""
                    };
                    let mut known = UPSTREAMS.iter().filter(|(of, _)| own == *of);
                    let upstream = match one_line {
                        "" => known.next().unwrap_or_else(|| panic!("{own}")).1,
                        other => other,
                    };
                    assert!(is_first, "{name} {own}");
                    assert_eq!(containers[0], container(upstream), "{name} {own}");
                    let secret = format!("{}-tls", own.as_str().unwrap());
                    let secret = json!({"secretName": secret, "defaultMode": 292});
                    assert_eq!(volumes[0], json!({"name": OWN, "secret": secret}));
                    let sysctls = spec.pointer_mut("/securityContext/sysctls");
                    let low = "net.ipv4.ip_unprivileged_port_start";
                    if name != "restricted.yaml" {
                        let sysctl = json!([{"name": low, "value": "0"}]);
                        assert_eq!(Value::from(remove_named(sysctls, low)), sysctl, "{name}");
                    }
                } else if own == "raw" {
                    let low = "net.ipv4.ip_unprivileged_port_start";
                    remove_named(spec.pointer_mut("/securityContext/sysctls"), low);
                }
                let annotations = pod["metadata"]["annotations"].as_object_mut().unwrap();
                assert!(annotations.remove(RECORD).is_some(), "{name}");
            }
        }
        before.iter_mut().chain(&mut after).for_each(|document| {
            without_nothing(document);
            // What became empty by what was taken out.
            without_nothing(document);
            without_nothing(document);
        });
        assert_eq!(before, after, "{name}");
    }
}

/// A manifest that was written anew, in another order and form, is freed of the sidecar as well.
#[test]
fn uninject_works_on_what_a_tool_has_written_anew() {
    for (name, text) in manifests() {
        let with = injected(&text, &defaults()).unwrap();
        let anew = |text: &str| -> String {
            let documents = documents(&name, text).into_iter();
            documents
                .filter(|document| !document.is_null())
                .map(|document| format!("---\n{}", serde_yaml_ng::to_string(&document).unwrap()))
                .collect()
        };
        let mut freed = documents("a.yaml", &uninject(&anew(&with)).unwrap());
        let mut original = documents("a.yaml", &anew(&text));
        freed.iter_mut().chain(&mut original).for_each(|document| {
            without_nothing(document);
            without_nothing(document);
        });
        assert_eq!(freed, original, "{name}");
        let again = injected(&anew(&with), &defaults()).unwrap();
        assert_eq!(injected(&again, &defaults()).unwrap(), again, "{name}");
    }
}

#[test]
fn every_annotation_overrides_what_it_is_called_after() {
    let (name, text) = manifest("annotated.yaml");
    let with = injected(&text, &defaults()).unwrap();
    let all = documents(&name, &with);
    let spec = &all[0]["spec"]["template"]["spec"];
    let own = &spec["initContainers"][0];
    // The nearer annotation beats that of the workload, and both the flag.
    assert_eq!(spec["volumes"][0]["secret"]["secretName"], "inner");
    let image = own["image"].as_str().unwrap();
    assert!(
        image.starts_with("registry.example.com/tls-sidecar@sha256:"),
        "{image}"
    );
    assert_eq!(
        own["env"],
        json!([
            {"name": "TLS_SIDECAR_UPSTREAM", "value": "http://127.0.0.1:5000"},
            {"name": "TLS_SIDECAR_LISTEN", "value": "8443"},
            {"name": "TLS_SIDECAR_ADMIN_LISTEN", "value": "9999"},
            {"name": "TLS_SIDECAR_WORKERS", "value": "2"},
        ])
    );
    // `https` is the name of a port of another container.
    assert_eq!(
        own["ports"],
        json!([
            {"name": OWN, "containerPort": 8443},
            {"name": "admin", "containerPort": 9999},
            {"containerPort": 8000},
        ])
    );
    assert_eq!(
        own["args"],
        json!([
            "--access-log=all",
            "--set-header=X-Served-By: me, myself",
            "--redirect-listen=8000",
        ])
    );
    assert_eq!(own["readinessProbe"]["httpGet"]["port"], 9999);
    assert_eq!(
        own["resources"]["requests"],
        json!({"cpu": "100m", "memory": "32Mi"})
    );
    assert_eq!(own["resources"]["limits"], json!({"memory": "1Gi"}));
    // High ports need no sysctl.
    assert!(spec.get("securityContext").is_none());

    assert_eq!(all[1]["spec"], json!({"containers": []}));
    let raw = &all[2]["spec"]["containers"][1];
    assert!(raw.get("restartPolicy").is_none() && all[2]["spec"].get("initContainers").is_none());
    // With a limit of CPU the sidecar finds the number of its workers by itself.
    let upstream = json!({"name": "TLS_SIDECAR_UPSTREAM", "value": "tcp://127.0.0.1:5432"});
    assert_eq!(raw["env"], json!([upstream]));
    assert_eq!(
        raw["resources"],
        json!({
            "requests": {"cpu": "50m", "memory": "64Mi"},
            "limits": {"cpu": "1.5", "memory": "128Mi"},
        })
    );
}

#[test]
fn flags_say_what_annotations_do_not() {
    let (name, text) = manifest("kustomize_built.yaml");
    for (port, upstream) in [
        ("9100", "http://127.0.0.1:9100"),
        ("metrics", "http://127.0.0.1:9100"),
        ("1234", "http://127.0.0.1:1234"),
    ] {
        let defaults = Defaults {
            port: Some(port.to_owned()),
            ..classic()
        };
        let with = injected(&text, &defaults).unwrap();
        let spec = &documents(&name, &with)[1]["spec"]["template"]["spec"];
        let own = &spec["containers"][1];
        assert_eq!(
            (&own["name"], &own["image"]),
            (&json!(OWN), &json!("example.com/other:9"))
        );
        assert_eq!(own["env"][0]["value"], upstream);
    }
}

fn run(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tls-sidecar"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TLS_SIDECAR_") {
            command.env_remove(name);
        }
    }
    let pipe = || Stdio::piped();
    command.arg("inject").args(arguments);
    let mut child = command
        .stdin(pipe())
        .stdout(pipe())
        .stderr(pipe())
        .spawn()
        .unwrap();
    // Bad usage does not read it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn the_command_reads_standard_input_files_and_directories() {
    let (_, pod) = manifest("no_last_line_end.yaml");
    let (_, list) = manifest("list.yaml");
    let secret = ["--secret", "{name}-tls"];
    let expected = injected(&pod, &defaults()).unwrap();
    for arguments in [&secret[..], &["-f", "-", "--secret", "{name}-tls"]] {
        let output = run(arguments, &pod);
        assert_eq!(
            (output.status.code(), text(&output.stdout)),
            (Some(0), expected.as_str())
        );
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("1.yaml"), &pod).unwrap();
    fs::write(folder.path().join("2.yml"), &list).unwrap();
    fs::write(folder.path().join("3.txt"), "{{ no manifest").unwrap();
    let both = format!("{expected}\n---\n{}", injected(&list, &defaults()).unwrap());
    let one = folder.path().join("1.yaml");
    let two = folder.path().join("2.yml");
    for files in [&[folder.path()][..], &[&one, &two]] {
        let mut arguments = secret.to_vec();
        files
            .iter()
            .for_each(|file| arguments.extend(["-f", file.to_str().unwrap()]));
        let output = run(&arguments, "");
        assert_eq!(
            (output.status.code(), text(&output.stdout)),
            (Some(0), both.as_str())
        );
        let output = run(&["--uninject"], &both);
        assert_eq!(text(&output.stdout), format!("{pod}\n---\n{list}"));
    }
}

#[test]
fn nothing_is_printed_unless_every_workload_can_take_it() {
    let (_, good) = manifest("several.yaml");
    let both = format!(
        "{good}---\napiVersion: v1\nkind: Pod\nmetadata: {{name: bad}}\nspec: {{containers: []}}\n"
    );
    let output = run(&["--secret=s"], &both);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), ""));
    let errors = text(&output.stderr);
    assert!(
        errors.starts_with("tls-sidecar: error: no_containers: Pod bad (document 5, line "),
        "{errors}"
    );
    for (arguments, words) in [
        (&["-f", "/nowhere.yaml"][..], "cannot be read"),
        (&["-f", "/proc/1/root"][..], ""),
        (&["--secret=s", "--check", "--uninject"][..], "--check"),
        (&["--sceret=s"][..], "--secret"),
    ] {
        let output = run(arguments, "");
        if !words.is_empty() {
            assert!(
                text(&output.stderr).contains(words),
                "{}",
                text(&output.stderr)
            );
            assert_ne!(output.status.code(), Some(0));
        }
        assert_eq!(text(&output.stdout), "");
    }
}

#[test]
fn check_prints_a_line_a_finding_and_no_manifest() {
    let (_, good) = manifest("hand_written.yaml");
    let output = run(&["--secret=s", "--check"], &good);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), ""));
    let output = run(&["--check"], &good);
    assert_eq!(output.status.code(), Some(1));
    let lines = text(&output.stdout);
    assert_eq!(lines.lines().count(), 1, "{lines}");
    assert!(
        lines.starts_with("error: no_secret: Deployment web/shop (document 1, line 2): "),
        "{lines}"
    );
    assert!(lines.contains("--secret"), "{lines}");
    // A note is no fault.
    let (_, noted) = manifest("several.yaml");
    let output = run(&["--secret=s", "--check"], &noted);
    assert_eq!(output.status.code(), Some(0));
    assert!(
        text(&output.stdout)
            .lines()
            .all(|line| line.starts_with("note: "))
    );
    assert_ne!(text(&output.stdout), "");
}

#[test]
fn a_warning_does_not_keep_the_sidecar_out() {
    let (_, pod) = manifest("no_last_line_end.yaml");
    let pod = pod.replace("3000", "3000\n      hostPort: 3000");
    let output = run(&["--secret=s"], &pod);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stderr).contains("warning: host_port: "));
    let output = run(&["--secret=s", "--check"], &pod);
    assert_eq!(output.status.code(), Some(1));
    let injected = inject(&pod, &defaults());
    assert_eq!(injected.findings[0].severity, Severity::Warning);
}

/// What is set for the sidecar on this machine is not what the one in the manifest gets.
#[test]
fn the_environment_of_who_injects_is_not_that_of_the_sidecar() {
    let path = folder().join("no_last_line_end.yaml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tls-sidecar"));
    command.args(["inject", "-f"]).arg(&path);
    command.env("TLS_SIDECAR_SECRET", "from-the-environment");
    command.env("TLS_SIDECAR_IDLE_TIMEOUT", "no duration");
    command.env("TLS_SIDECAR_LISTEN", "8443");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let pod = text(&output.stdout);
    assert!(pod.contains("secretName: from-the-environment"), "{pod}");
    assert!(
        pod.contains("containerPort: 443") && !pod.contains("8443"),
        "{pod}"
    );
}

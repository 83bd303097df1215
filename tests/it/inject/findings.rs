//! Every reason why a workload cannot take the sidecar, each with its mend.

use serde_json::Value;
use tls_sidecar::check::Finding;
use tls_sidecar::inject::{Defaults, Mode, inject};

const POD: &str = "\
apiVersion: v1
kind: Pod
metadata:
  name: app
  annotations:
    example.com/a: b
spec:
  containers:
  - name: app
    image: app
    ports:
    - containerPort: 8080
      name: http
    lifecycle:
      preStop:
        sleep:
          seconds: 5
";

fn defaults() -> Defaults {
    Defaults {
        secret: Some("app-tls".to_owned()),
        ..Defaults::default()
    }
}

fn found(text: &str, defaults: &Defaults) -> Vec<Finding> {
    let injected = inject(text, defaults);
    let is_error = |finding: &Finding| finding.to_string().starts_with("error: ");
    assert_eq!(
        injected.text.is_none(),
        injected.findings.iter().any(is_error)
    );
    injected.findings
}

/// Asserts that of the Pod with `new` for `old` this is found and nothing else, in this line, with
/// these words for its mend; and returns the finding's line.
fn only(old: &str, new: &str, expected: (&str, usize, &str)) -> String {
    assert!(POD.contains(old), "{old}");
    only_in(&POD.replace(old, new), &defaults(), expected)
}

fn only_in(text: &str, defaults: &Defaults, (code, line, mend): (&str, usize, &str)) -> String {
    let found = found(text, defaults);
    let lines: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert_eq!(found[0].code, code, "{lines:#?}");
    assert_eq!(lines[0].lines().count(), 1, "{lines:#?}");
    let place = format!("document 1, line {line}): ");
    assert!(lines[0].contains(&place), "{place} {lines:#?}");
    let (_, words) = lines[0].split_once(&place).unwrap();
    assert!(words.contains(mend), "{mend:?} {lines:#?}");
    lines[0].clone()
}

#[test]
fn a_workload_that_can_take_it_is_not_complained_about() {
    assert_eq!(found(POD, &defaults()), []);
}

#[test]
fn port_443_of_another_container_is_named_with_the_container() {
    let line = only(
        "containers:\n",
        "containers:\n  - name: edge\n    image: nginx\n    ports:\n    - containerPort: 443\n",
        ("port_taken", 12, "listen: \"8443\""),
    );
    assert!(
        line.starts_with("error: port_taken: Pod app (document 1, "),
        "{line}"
    );
    assert!(line.contains("container edge has port 443"), "{line}");
}

#[test]
fn an_application_that_is_itself_on_443_or_on_the_admin_port_is_told_what_to_do() {
    only(
        "containerPort: 8080",
        "containerPort: 443",
        ("port_taken", 12, "on 8080"),
    );
    only(
        "containerPort: 8080",
        "containerPort: 9901",
        ("port_taken", 12, "admin-listen"),
    );
    let annotated = "annotations:\n    tls-sidecar.dev/upstream: \"443\"";
    only(
        "annotations:",
        annotated,
        ("port_taken", 1, "listen: \"8443\""),
    );
}

#[test]
fn what_no_sidecar_can_stand_is_an_error() {
    only(
        "spec:\n",
        "spec:\n  hostNetwork: true\n",
        ("host_network", 8, "remove hostNetwork"),
    );
    let selector = "spec:\n  nodeSelector: {kubernetes.io/os: windows}\n";
    only(
        "spec:\n",
        selector,
        ("windows", 8, "tls-sidecar.dev/inject"),
    );
    only(
        "spec:\n",
        "spec:\n  os: {name: windows}\n",
        ("windows", 8, "tls-sidecar.dev/inject"),
    );
    let none = &POD[..POD.find("  containers").unwrap()];
    let text = format!("{none}  containers: []\n");
    only_in(&text, &defaults(), ("no_containers", 8, "write them"));
    let text = none.replace("spec:\n", "");
    only_in(
        &text,
        &defaults(),
        ("no_containers", 1, "has no spec; write it"),
    );
}

#[test]
fn a_name_that_is_taken_is_an_error() {
    let clash = "containers:\n  - name: tls-sidecar\n    image: nginx\n";
    only("containers:\n", clash, ("name_clash", 9, "rename it"));
    let clash = "spec:\n  initContainers: [{name: tls-sidecar}]\n";
    only("spec:\n", clash, ("name_clash", 8, "rename it"));
    let clash = "spec:\n  volumes:\n  - name: tls-sidecar\n    emptyDir: {}\n";
    only("spec:\n", clash, ("name_clash", 9, "volume tls-sidecar"));
}

#[test]
fn a_port_that_cannot_be_found_is_not_guessed() {
    let no_ports = "    ports:\n    - containerPort: 8080\n      name: http\n";
    only(no_ports, "", ("no_port", 8, "tls-sidecar.dev/port"));
    only(
        "name: http",
        "protocol: UDP",
        ("no_port", 8, "tls-sidecar.dev/port"),
    );
    only(
        "name: http",
        "name: metrics",
        ("no_port", 8, "tls-sidecar.dev/port"),
    );
    let two = "    - containerPort: 8081\n    - containerPort: 8080\n";
    let line = only(
        "    - containerPort: 8080\n      name: http\n",
        two,
        ("port_unclear", 12, "which"),
    );
    assert!(
        line.contains("may be 8081 or 8080 of container app"),
        "{line}"
    );
    let other = "containers:\n  - name: b\n    ports: [{containerPort: 1, name: http}]\n";
    let line = only(
        "containers:\n",
        other,
        ("port_unclear", 10, "tls-sidecar.dev/container"),
    );
    assert!(line.contains("containers b, app"), "{line}");
    for wrong in ["0", "65536", "htpp"] {
        let annotated = format!("annotations:\n    tls-sidecar.dev/port: \"{wrong}\"");
        let line = only(
            "annotations:",
            &annotated,
            ("port_unclear", 9, "tls-sidecar.dev/port"),
        );
        assert!(line.contains(&format!("port \"{wrong}\"")), "{line}");
    }
    let annotated = "annotations:\n    tls-sidecar.dev/container: ap";
    only(
        "annotations:",
        annotated,
        ("no_such_container", 6, "there is container app"),
    );
}

#[test]
fn a_secret_that_nobody_names_is_asked_for() {
    let nobody = Defaults::default();
    let line = only_in(
        POD,
        &nobody,
        ("no_secret", 1, "tls-sidecar.dev/secret, e.g. app-tls"),
    );
    assert!(line.contains("--secret"), "{line}");
    let annotated = "annotations:\n    tls-sidecar.dev/secret: a b";
    only(
        "annotations:",
        annotated,
        ("no_secret", 1, "lower-case letters"),
    );
}

#[test]
fn a_low_port_that_the_pod_forbids_is_an_error() {
    let sysctl = |value: &str| {
        format!(
            "spec:\n  securityContext:\n    sysctls:\n    - name: \
             net.ipv4.ip_unprivileged_port_start\n      value: \"{value}\"\n"
        )
    };
    only(
        "spec:\n",
        &sysctl("1024"),
        ("sysctl", 10, "set it to \"0\""),
    );
    let text = POD.replace("spec:\n", &sysctl("443"));
    assert_eq!(found(&text, &defaults()), []);
}

#[test]
fn what_comes_to_an_end_needs_a_native_sidecar() {
    let classic = Defaults {
        mode: Mode::Classic,
        ..defaults()
    };
    let job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: app}\nspec:\n  template:\n    spec:\n      \
               restartPolicy: Never\n      containers: [{name: a, ports: [{containerPort: 8080}]}]\n";
    only_in(job, &classic, ("never_ends", 1, "without --classic"));
    let cron = "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: app}\nspec:\n  jobTemplate:\n    spec:\n      \
                template:\n        spec:\n          containers: [{name: a, ports: [{containerPort: 8080}]}]\n";
    only_in(cron, &classic, ("never_ends", 1, "native: \"true\""));
    let pod = POD.replace("spec:\n", "spec:\n  restartPolicy: OnFailure\n");
    only_in(&pod, &classic, ("never_ends", 1, "without --classic"));
    let annotated = "annotations:\n    tls-sidecar.dev/native: \"false\"";
    assert_eq!(
        found(&POD.replace("annotations:", annotated), &defaults()),
        []
    );
    assert_eq!(found(POD, &classic), []);
}

#[test]
fn ways_past_the_sidecar_and_its_renewals_are_warnings() {
    let line = only(
        "- containerPort: 8080\n",
        "- containerPort: 8080\n      hostPort: 80\n",
        ("host_port", 12, "remove it"),
    );
    assert!(line.starts_with("warning: "), "{line}");
    let mount = "    image: app\n    volumeMounts: [{name: c, mountPath: /c, subPath: tls.crt}]\n";
    let volume = "spec:\n  volumes: [{name: c, secret: {secretName: app-tls}}]\n";
    let text = POD
        .replace("spec:\n", volume)
        .replace("    image: app\n", mount);
    let line = only_in(&text, &defaults(), ("sub_path", 12, "mount the directory"));
    assert!(line.starts_with("warning: "), "{line}");
    // Of another Secret it is nobody's business.
    let other = text.replace("secretName: app-tls", "secretName: other");
    assert_eq!(found(&other, &defaults()), []);
    let line = only(
        "spec:\n",
        "spec:\n  terminationGracePeriodSeconds: 10\n",
        ("grace_period", 8, "set it to 28"),
    );
    assert!(line.starts_with("warning: "), "{line}");
}

// LIFE-02: Kubernetes counts whole seconds, and what is begun of one is needed.
#[test]
fn a_drain_that_needs_a_part_of_a_second_more_does_not_fit() {
    let slow = "annotations:\n    tls-sidecar.dev/args: --drain-timeout=20500ms";
    let with_grace = |seconds: u32| {
        let spec = format!("spec:\n  terminationGracePeriodSeconds: {seconds}\n");
        POD.replace("annotations:", slow).replace("spec:\n", &spec)
    };
    let wrong = ("grace_period", 9, "set it to 29");
    only_in(&with_grace(28), &defaults(), wrong);
    assert_eq!(found(&with_grace(29), &defaults()), []);
    let injected = inject(&with_grace(29), &defaults()).text.unwrap();
    assert!(injected.contains("29s"), "{injected}");
}

#[test]
fn an_application_that_ends_before_its_clients_know_is_a_note() {
    let hook = &POD[POD.find("    lifecycle").unwrap()..];
    let line = only(
        hook,
        "",
        ("stops_first", 9, "lifecycle.preStop.sleep.seconds: 6"),
    );
    assert!(line.starts_with("note: "), "{line}");
}

#[test]
fn an_annotation_that_means_nothing_suggests_the_nearest() {
    for (wrong, mend) in [
        (
            "tls-sidecar.dev/sercet: a",
            "did you mean tls-sidecar.dev/secret?",
        ),
        ("tls-sidecar.dev/xyzzy: a", "known are inject, secret, port"),
    ] {
        let new = format!("annotations:\n    {wrong}");
        only("annotations:", &new, ("unknown_annotation", 6, mend));
    }
    for (wrong, mend) in [
        ("port: 8080", "put it in quotes"),
        ("inject: false", "put it in quotes"),
        ("inject: yes", "put it in quotes"),
        ("inject: \"maybe\"", "write \"true\" or \"false\""),
        ("native: classic", "write \"true\" or \"false\""),
        ("cpu: much", "e.g. 50m"),
        ("memory-limit: 64MB", "e.g. 128Mi"),
        ("port: [a]", "put it in quotes"),
    ] {
        let new = format!("annotations:\n    tls-sidecar.dev/{wrong}");
        only("annotations:", &new, ("annotation_value", 6, mend));
    }
}

#[test]
fn settings_that_the_sidecar_would_not_start_with_are_found_before() {
    for (wrong, words) in [
        ("upstream: htp://a", "--upstream \"htp://a\": "),
        ("listen: \"70000\"", "--listen \"70000\": "),
        ("admin-listen: \"off\"", "--admin-listen: the probes"),
        ("admin-listen: 127.0.0.1:9901", "--admin-listen: the probes"),
        ("args: --idle-timeout=10x", "--idle-timeout \"10x\": "),
        (
            "args: --idel-timeout=10s",
            "unexpected argument '--idel-timeout'",
        ),
    ] {
        let new = format!("annotations:\n    tls-sidecar.dev/{wrong}");
        let line = only("annotations:", &new, ("setting", 1, words));
        assert!(line.contains("the sidecar would not start: "), "{line}");
    }
}

#[test]
fn every_mistake_of_every_workload_comes_out_at_once() {
    let bad = POD
        .replace("spec:\n", "spec:\n  hostNetwork: true\n")
        .replace("http", "metrics");
    let text = format!(
        "{bad}---\n{}",
        bad.replace("name: app\n  ann", "name: b\n  ann")
    );
    let found = found(&text, &Defaults::default());
    let codes: Vec<_> = found.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["host_network", "no_port", "no_secret"].repeat(2));
    assert!(
        found[3].message.starts_with("Pod b (document 2, line "),
        "{found:#?}"
    );
}

#[test]
fn parts_that_are_shared_by_anchors_are_not_changed_behind_somebodys_back() {
    let list = "\
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Pod
  metadata: {name: a}
  spec: &spec
    containers:
    - {name: a, ports: [{containerPort: 8080}], lifecycle: {preStop: {}}}
- apiVersion: v1
  kind: Pod
  metadata: {name: b}
  spec: *spec
";
    let found = found(list, &defaults());
    let shared: Vec<_> = found.iter().filter(|f| f.code == "shared_part").collect();
    assert_eq!(shared.len(), 2, "{found:#?}");
    assert!(shared[0].message.contains("line 7)"), "{found:#?}");
    let merged = POD.replace("spec:\n", "spec:\n  <<: {dnsPolicy: Default}\n");
    let line = only_in(&merged, &defaults(), ("shared_part", 8, "write it out"));
    assert!(line.contains("<<"), "{line}");
}

#[test]
fn what_is_no_yaml_is_refused_with_its_line() {
    for (text, line) in [
        ("a: b\nc: [\n", "line 3"),
        ("kind: {{ .Values.kind }}-x\n", "line 1"),
        ("a: b\n\tc: d\n", "line 1"),
        ("{\"a\": 1}\n{\"b\": 2}\n", "line 2"),
    ] {
        let found = found(text, &defaults());
        assert_eq!(found.len(), 1, "{text}: {found:#?}");
        assert_eq!(found[0].code, "unreadable");
        assert!(found[0].message.starts_with(line), "{found:#?}");
    }
    // Nobody's stack is used up.
    for (depth, words) in [(200, "deeper"), (100_000, "limit")] {
        let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let found = found(&deep, &defaults());
        assert!(found[0].message.contains(words), "{found:#?}");
    }
}

#[test]
fn a_sidecar_of_another_version_is_a_note_and_is_replaced() {
    let with = inject(POD, &defaults()).text.unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let old = with.replace(&format!("\"{version}; made"), "\"0.0.9; made");
    assert_ne!(old, with);
    let injected = inject(&old, &defaults());
    assert_eq!(injected.text.unwrap(), with);
    let found: Vec<_> = injected.findings.iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(
        found[0].starts_with("note: other_version: Pod app "),
        "{found:#?}"
    );
    assert!(found[0].contains("version 0.0.9"), "{found:#?}");
}

/// Lines are those of the text as it was given, also where a sidecar stands before them.
#[test]
fn lines_are_those_that_the_person_sees() {
    let with = inject(POD, &defaults()).text.unwrap();
    let bad = POD.replace("containerPort: 8080", "containerPort: 443");
    let text = format!("{with}---\n{bad}");
    let found = found(&text, &defaults());
    let lines: Vec<_> = text.lines().collect();
    let expected = lines
        .iter()
        .rposition(|line| line.contains("containerPort: 443"))
        .unwrap()
        + 1;
    let place = format!("(document 2, line {expected})");
    assert!(found[0].message.contains(&place), "{place} {found:#?}");
}

#[test]
fn what_is_made_by_a_controller_is_left_to_it() {
    let owner =
        "name: app\n  ownerReferences: [{kind: Deployment, name: shop, controller: true}]\n  ann";
    let text = POD.replacen("name: app\n  ann", owner, 1);
    let injected = inject(&text, &defaults());
    assert_eq!(injected.text.unwrap(), text);
    assert_eq!(injected.findings[0].code, "owned");
    assert!(
        injected.findings[0]
            .message
            .contains("made by Deployment shop")
    );
}

/// The wish of issue and README: a Pod that is as restricted as PodSecurity asks stays so.
#[test]
fn what_is_added_passes_pod_security_restricted() {
    let with = inject(POD, &defaults()).text.unwrap();
    let pod: Value = serde_yaml_ng::from_str(&with).unwrap();
    let own = &pod["spec"]["initContainers"][0]["securityContext"];
    assert_eq!(own["runAsNonRoot"], true);
    assert_eq!(own["allowPrivilegeEscalation"], false);
    assert_eq!(own["capabilities"]["drop"][0], "ALL");
    assert_eq!(own["seccompProfile"]["type"], "RuntimeDefault");
    let allowed = "net.ipv4.ip_unprivileged_port_start";
    assert_eq!(
        pod["spec"]["securityContext"]["sysctls"][0]["name"],
        allowed
    );
    let volume = pod["spec"]["volumes"][0].as_object().unwrap();
    assert!(volume.contains_key("secret"));
}

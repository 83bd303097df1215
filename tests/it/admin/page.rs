//! The status page, without a browser and in one.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::admin::{ask, until};
use crate::support::certs::{Ca, Leaf};
use crate::support::hyper_application::Hyper;
use crate::support::secret_dir::SecretDir;
use crate::support::sidecar::{ADMIN, Sidecar};

/// A sidecar about whom there is something to tell: two certificates, one broken file, requests and
/// handshakes that failed.
async fn busy(application: &Hyper) -> (Sidecar, SecretDir) {
    let ca = Ca::new();
    let pair = ca.sign(Leaf::server(&["localhost", "a.example"]));
    let other = ca.leaf(&["other.example"]);
    let secret = SecretDir::new(&[
        ("tls.crt", pair.cert_pem.as_bytes()),
        ("tls.key", pair.key_pem.as_bytes()),
        ("<img src=x>.crt", other.cert_pem.as_bytes()),
        ("<img src=x>.key", other.key_pem.as_bytes()),
    ]);
    let own = [
        "--cert-dir",
        secret.as_str(),
        "--upstream",
        application.upstream(),
    ];
    let sidecar = Sidecar::start(&[&ADMIN[..], &own].concat());
    let client = crate::support::clients::Client::new(&ca);
    for _ in 0..20 {
        let mut wire = client.http1(sidecar.address()).await.unwrap();
        wire.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await
            .unwrap();
        assert_eq!(wire.response().await.unwrap().status, 200);
    }
    let stranger = crate::support::clients::Client::new(&Ca::named("somebody else"));
    assert!(stranger.connect(sidecar.address()).await.is_err());
    secret.swap(&[
        ("tls.crt", pair.cert_pem.as_bytes()),
        ("tls.key", pair.key_pem.as_bytes()),
        ("<img src=x>.crt", b"<script>alert(1)</script>"),
        ("<img src=x>.key", b"<script>alert(1)</script>"),
    ]);
    sidecar.wait_for_log("the refused reload", |line| {
        line["message"]
            .as_str()
            .is_some_and(|m| m.starts_with("certificate not reloaded"))
    });
    (sidecar, secret)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_tells_everything_without_a_script_and_loads_nothing() {
    let application = Hyper::saying("hello");
    let (sidecar, secret) = busy(&application).await;
    let admin = sidecar.admin();
    until(admin, "/readyz", 200).await;
    // What is told on other threads may be there a moment later.
    let last = ["does not know who signed", "kept", "<polyline"];
    let answer = crate::support::wait::within("all of it is told", async {
        loop {
            let answer = ask(admin, "GET /").await;
            if last.iter().all(|words| answer.text().contains(words)) {
                break answer;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    let policy = answer.header("content-security-policy").unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'; "), "{policy}");
    let page = answer.text();
    let main = page.split("<main>").nth(1).unwrap();
    let main = main.split("</main>").next().unwrap();
    for words in [
        ">ready<",
        "a.example",
        "other.example",
        "of its life are left",
        "requests/s",
        application.upstream(),
        "reached",
        "does not know who signed the certificate",
        "kept",
        // What a file can be called is not what the page obeys.
        &format!("{}/&lt;img src=x&gt;.crt", secret.as_str()),
        env!("CARGO_PKG_VERSION"),
        "--drain-timeout",
        "<polyline",
    ] {
        assert!(main.contains(words), "{words:?} in {main}");
    }
    assert!(
        !main.contains("<script") && !main.contains("<img"),
        "{main}"
    );
    for outside in [
        "src=\"",
        "http-equiv=\"refresh\" content=\"0",
        "@import",
        "url(",
    ] {
        assert!(!page.contains(outside), "{outside}");
    }
}

// The picture is left in target/ for a person to look at.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_and_renews_itself_in_a_browser() {
    let application = Hyper::saying("hello");
    let (sidecar, _secret) = busy(&application).await;
    let admin = sidecar.admin();
    until(admin, "/readyz", 200).await;
    let profile = tempfile::tempdir().unwrap();
    let picture = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("status-page.png");
    let _ = std::fs::remove_file(&picture);
    let url = format!("http://{admin}/");
    let shot = format!("--screenshot={}", picture.display());
    let Some(_) = chromium(profile.path(), &[&shot, "--window-size=1100,1500", &url]).await else {
        return;
    };
    let bytes = std::fs::read(&picture).unwrap();
    assert!(
        bytes.starts_with(b"\x89PNG") && bytes.len() > 10_000,
        "{}",
        bytes.len()
    );

    // Seven seconds of the page's own time: its script has fetched it anew by then.
    let dom = chromium(
        profile.path(),
        &["--virtual-time-budget=7000", "--dump-dom", &url],
    )
    .await;
    let dom = String::from_utf8(dom.unwrap()).unwrap();
    assert!(
        dom.contains(">ready<") && dom.contains("<title>ready"),
        "{dom}"
    );
    let looks = dom
        .split("data-looks=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let looks: u32 = looks.expect("the script has run").parse().unwrap();
    assert!(looks >= 2 && !dom.contains("class=\"stale\""), "{dom}");
}

/// What headless Chromium prints; `None`, and a line that says so, where it is missing.
async fn chromium(profile: &std::path::Path, arguments: &[&str]) -> Option<Vec<u8>> {
    let mut command = Command::new("chromium");
    command
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
        ])
        .arg(format!("--user-data-dir={}", profile.display()))
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    let run = tokio::task::spawn_blocking(move || command.output());
    match tokio::time::timeout(Duration::from_secs(90), run)
        .await
        .unwrap()
        .unwrap()
    {
        Ok(output) => {
            assert!(output.status.success(), "{output:?}");
            Some(output.stdout)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let _ = writeln!(std::io::stderr(), "SKIPPED: chromium is not installed");
            None
        }
        Err(error) => panic!("cannot start chromium: {error}"),
    }
}

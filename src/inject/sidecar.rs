//! The container and the volume that a workload gets.
//!
//! Everything is written out that PodSecurity "restricted" asks for. The files of the Secret can be
//! read by everybody in the volume, which the sidecar alone mounts: an `fsGroup` would change the
//! owner of every other volume of the Pod.

use super::annotations::Mode;
use super::piece::Piece;
use super::record::OWN;

/// Where the certificate is, which is where the sidecar looks by default.
const MOUNT: &str = "/etc/tls";
/// Where the program is in the image.
const PROGRAM: &str = "/tls-sidecar";
/// The user of the image.
const USER: u32 = 65532;
/// Read by everybody, 0444; YAML has two ways to write octal numbers and this is neither.
const READABLE: u32 = 0o444;

/// What the container of one workload is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sidecar {
    pub(super) mode: Mode,
    pub(super) image: String,
    pub(super) secret: String,
    pub(super) arguments: Vec<String>,
    /// Variables, by the names that they have.
    pub(super) variables: Vec<(&'static str, String)>,
    /// Ports with their names, where they have one.
    pub(super) ports: Vec<(Option<&'static str>, u16)>,
    pub(super) admin_port: u16,
    /// How long `preStop` waits for the drain, in seconds.
    pub(super) wait: u64,
    pub(super) requests: Vec<(&'static str, String)>,
    pub(super) limits: Vec<(&'static str, String)>,
}

impl Sidecar {
    /// The container.
    pub(super) fn container(&self) -> Piece {
        let mut pairs = vec![
            ("name", Piece::text(OWN)),
            ("image", Piece::text(&self.image)),
        ];
        if self.mode == Mode::Native {
            pairs.push(("restartPolicy", Piece::text("Always")));
        }
        if !self.arguments.is_empty() {
            let arguments = self.arguments.iter().map(String::as_str);
            pairs.push(("args", Piece::texts(arguments)));
        }
        let variable = |(name, value): &(&str, String)| {
            Piece::Map(vec![
                ("name", Piece::text(*name)),
                ("value", Piece::text(value)),
            ])
        };
        let ports = self.ports.iter().map(port).collect();
        let wait = format!("{}s", self.wait);
        let drain = Piece::texts([PROGRAM, "drain", "--wait", &wait]);
        let exec = Piece::Map(vec![("exec", Piece::Map(vec![("command", drain)]))]);
        pairs.extend([
            (
                "env",
                Piece::List(self.variables.iter().map(variable).collect()),
            ),
            ("ports", Piece::List(ports)),
            // The application of a native sidecar starts after it: this must not wait for it.
            ("startupProbe", self.probe("/startupz", [1, 1, 60])),
            ("livenessProbe", self.probe("/livez", [10, 5, 3])),
            ("readinessProbe", self.probe("/readyz", [2, 2, 2])),
            ("lifecycle", Piece::Map(vec![("preStop", exec)])),
            ("resources", self.resources()),
            ("securityContext", security()),
            ("volumeMounts", Piece::List(vec![mount()])),
        ]);
        Piece::Map(pairs)
    }

    /// The volume with the certificate.
    pub(super) fn volume(&self) -> Piece {
        let secret = Piece::Map(vec![
            ("secretName", Piece::text(&self.secret)),
            ("defaultMode", Piece::Number(READABLE)),
        ]);
        Piece::Map(vec![("name", Piece::text(OWN)), ("secret", secret)])
    }

    /// Every so many seconds, for so many seconds, and how often it may fail.
    fn probe(&self, path: &str, [period, timeout, failures]: [u32; 3]) -> Piece {
        let get = Piece::Map(vec![
            ("path", Piece::text(path)),
            ("port", Piece::Number(self.admin_port.into())),
        ]);
        Piece::Map(vec![
            ("httpGet", get),
            ("periodSeconds", Piece::Number(period)),
            ("timeoutSeconds", Piece::Number(timeout)),
            ("failureThreshold", Piece::Number(failures)),
        ])
    }

    fn resources(&self) -> Piece {
        let amounts = |amounts: &[(&'static str, String)]| {
            let amounts = amounts.iter();
            Piece::Map(
                amounts
                    .map(|(name, amount)| (*name, Piece::text(amount)))
                    .collect(),
            )
        };
        Piece::Map(vec![
            ("requests", amounts(&self.requests)),
            ("limits", amounts(&self.limits)),
        ])
    }
}

fn port((name, number): &(Option<&'static str>, u16)) -> Piece {
    let name = name.map(|name| ("name", Piece::text(name)));
    let number = ("containerPort", Piece::Number((*number).into()));
    Piece::Map(name.into_iter().chain([number]).collect())
}

fn mount() -> Piece {
    Piece::Map(vec![
        ("name", Piece::text(OWN)),
        ("mountPath", Piece::text(MOUNT)),
        ("readOnly", Piece::Truth(true)),
    ])
}

fn security() -> Piece {
    Piece::Map(vec![
        ("runAsNonRoot", Piece::Truth(true)),
        ("runAsUser", Piece::Number(USER)),
        ("runAsGroup", Piece::Number(USER)),
        ("allowPrivilegeEscalation", Piece::Truth(false)),
        ("readOnlyRootFilesystem", Piece::Truth(true)),
        (
            "capabilities",
            Piece::Map(vec![("drop", Piece::texts(["ALL"]))]),
        ),
        (
            "seccompProfile",
            Piece::Map(vec![("type", Piece::text("RuntimeDefault"))]),
        ),
    ])
}

//! Whether the drain fits the time that the Pod has.

use std::time::Duration;

use super::Finding;
use crate::config::Drain;

/// A finding when the kubelet would kill the process before its drain is over.
pub(super) fn grace(section: Drain, grace_period: Duration) -> Option<Finding> {
    let needed = section.whole_seconds();
    if Duration::from_secs(needed) <= grace_period {
        return None;
    }
    let (delay, timeout) = (section.delay.as_secs_f64(), section.timeout.as_secs_f64());
    let message = format!(
        "--drain-delay {delay}s, --drain-timeout {timeout}s and {}s to say goodbye are more than \
         the grace period of {}s, after which the Pod is killed; give it more, or drain faster",
        Drain::LAST_WORDS.as_secs(),
        grace_period.as_secs_f64(),
    );
    let yaml = format!("spec:\n  terminationGracePeriodSeconds: {needed}");
    Some(Finding::warning("grace_period", message).mended_by(yaml))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(delay: u64, timeout: u64, grace_period: u64) -> Option<Finding> {
        let section = Drain {
            delay: Duration::from_secs(delay),
            timeout: Duration::from_secs(timeout),
        };
        grace(section, Duration::from_secs(grace_period))
    }

    #[test]
    fn the_drain_and_its_last_words_fit_the_grace_period() {
        assert_eq!(found(5, 20, 30), None);
        assert_eq!(found(5, 22, 30), None);
        let finding = found(5, 60, 30).unwrap();
        assert_eq!(finding.code, "grace_period");
        let yaml = finding.yaml.unwrap();
        assert!(
            yaml.ends_with("terminationGracePeriodSeconds: 68"),
            "{yaml}"
        );
        assert!(finding.message.contains("--drain-timeout 60s"));
    }
}

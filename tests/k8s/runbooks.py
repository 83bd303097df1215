"""The PrometheusRule of k8s/monitoring: the groups of alerts.yaml, each alert with its runbook's link.

    tests/k8s/runbooks.py

writes it anew. tests/k8s/manifests holds the two together, and runbooks.md to both.
"""

import pathlib
import sys

import yaml

HERE = pathlib.Path(__file__).resolve().parents[2] / "k8s/monitoring"
# Where you publish runbooks.md; the anchor is the alert's name in lower case.
PUBLISHED = "https://runbooks.example.com/tls-sidecar"
HEADER = f"""\
# Written by tests/k8s/runbooks.py from alerts.yaml: change that one. The runbooks are runbooks.md; put
# where you publish it in place of {PUBLISHED}.
"""


def rule():
    """The rule as it should be."""
    groups = yaml.safe_load((HERE / "alerts.yaml").read_text())["groups"]
    for group in groups:
        for alert in group["rules"]:
            alert["annotations"]["runbook_url"] = f"{PUBLISHED}#{alert['alert'].lower()}"
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "tls-sidecar", "labels": {"app.kubernetes.io/name": "tls-sidecar"}},
        "spec": {"groups": groups},
    }


class Block(yaml.SafeDumper):
    """Expressions of several lines as blocks."""


Block.add_representer(str, lambda dumper, text: dumper.represent_scalar(
    "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None))

if __name__ == "__main__":
    text = HEADER + yaml.dump(rule(), Dumper=Block, sort_keys=False, width=200)
    (HERE / "prometheusrule.yaml").write_text(text)
    sys.stdout.write("k8s/monitoring/prometheusrule.yaml\n")

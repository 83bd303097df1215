"""A node for the Pods of k8s/: podman runs the containers, and this is the rest of the kubelet.

What podman 4.3 has no word for is done here instead, and nothing is left out silently:

- a native sidecar becomes the first container (podman starts it first and restarts it as well);
- the volume of a Secret becomes a directory of the host that is laid out and swapped as the kubelet
  does it, because podman copies a Secret once;
- probes and preStop are asked and run by the test, with the paths and commands of the manifest;
- the sysctls of the Pod are given to podman as its defaults;
- ports are taken off: there is no network but the loopback of the Pod, and clients go in there.
"""

import contextlib
import ctypes
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time

import yaml

CLONE_NEWNET = 0x40000000
GROUP = 65532
NAME = "example.tls-sidecar-example.svc"


def run(*command, check=True, seconds=120, **options):
    done = subprocess.run(
        [str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL, text=True, timeout=seconds, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def until(what, holds, seconds=20.0):
    """Waits for a condition; what it returned, and how long that took."""
    begun = time.monotonic()
    while True:
        result = holds()
        took = time.monotonic() - begun
        if result:
            return result, took
        assert took < seconds, f"not within {seconds} s: {what}"
        time.sleep(0.01)


class Authority:
    """Issues the certificates of the Secret."""

    def __init__(self, directory):
        self.directory = directory
        self.file = directory / "ca.crt"
        directory.mkdir()
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-days", "2", "-subj", "/CN=authority", "-addext", "keyUsage=critical,keyCertSign",
            "-keyout", directory / "ca.key", "-out", self.file)
        self.count = 0

    def issue(self, expired=False, names=f"DNS:{NAME},DNS:localhost", usage="serverAuth"):
        """A key and a certificate, as the files of a Secret."""
        self.count += 1
        base = self.directory / str(self.count)
        key, request, leaf, ext = (base.with_suffix(s) for s in (".key", ".csr", ".crt", ".ext"))
        ext.write_text(f"subjectAltName={names}\nextendedKeyUsage={usage}\n"
                       "keyUsage=critical,digitalSignature\nbasicConstraints=critical,CA:FALSE\n")
        run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-subj", f"/CN={NAME}", "-keyout", key, "-out", request)
        issuing = ["openssl", "x509", "-req", "-in", request, "-CA", self.file, "-CAkey",
                   self.directory / "ca.key", "-set_serial", self.count, "-extfile", ext, "-out", leaf]
        run(*issuing, "-days", "-1" if expired else "1")
        return {"tls.key": key.read_text(), "tls.crt": leaf.read_text()}


class SecretMount:
    """A Secret as the kubelet mounts it: a directory behind `..data`, replaced by one rename."""

    def __init__(self, directory, files, mode=0o440, group=GROUP):
        self.directory, self.mode, self.group = directory, mode, group
        self.version = 0
        directory.mkdir()
        directory.chmod(0o755)
        self.swap(files)
        for name in files:
            (directory / name).symlink_to(f"..data/{name}")

    def swap(self, files):
        self.version += 1
        fresh = self.directory / f"..2026_01_01_00_00_00.{self.version:09}"
        fresh.mkdir()
        fresh.chmod(0o755)
        for name, content in files.items():
            file = fresh / name
            file.write_text(content)
            os.chown(file, 0, self.group)
            file.chmod(self.mode)
        data = self.directory / "..data"
        old = data.resolve() if data.is_symlink() else None
        coming = self.directory / "..data_tmp"
        coming.symlink_to(fresh.name)
        coming.rename(data)
        if old:
            shutil.rmtree(old)


class Node:
    """Podman with storage, configuration and Pods of its own, all of it below one directory."""

    def __init__(self, work, sysctls):
        self.work = work
        defaults = ", ".join(json.dumps(f"{s['name']}={s['value']}") for s in sysctls)
        (work / "containers.conf").write_text(
            "[containers]\n"
            # More than the defaults of podman is not to be had on every host.
            'default_ulimits = ["nofile=10000:10000", "nproc=10000:10000"]\n'
            f"default_sysctls = [{defaults}]\n"
            "[engine]\n"
            'runtime = "runc"\n'
            'cgroup_manager = "cgroupfs"\n'
            'events_logger = "none"\n')
        self.environment = dict(os.environ, CONTAINERS_CONF=str(work / "containers.conf"),
                                DISABLE_HC_SYSTEMD="true", TMPDIR=str(work))
        self.storage = ["--root", work / "root", "--runroot", work / "run"]
        self.pods, self.groups = [], []

    def podman(self, *command, **options):
        return run("podman", *self.storage, *command, env=self.environment, **options)

    def build(self, *command, **options):
        return run("buildah", *self.storage, "build", *command, env=self.environment, **options)

    def play(self, documents, name):
        file = self.work / f"{name}.yaml"
        file.write_text(yaml.safe_dump_all(documents))
        self.pods.append(name)
        self.podman("kube", "play", "--network", "none", file)
        pod = Pod(self, name)
        self.groups.append(pod.id)
        return pod

    def remove_all(self):
        for name in self.pods:
            self.podman("pod", "rm", "--force", "--time", "0", name, check=False)
        # Podman leaves the control groups of its Pods, empty: below each hierarchy, or the only one.
        for group in self.groups:
            for parent in pathlib.Path("/sys/fs/cgroup").glob(f"**/libpod_parent/{group}"):
                for directory, _, _ in os.walk(parent, topdown=False):
                    with contextlib.suppress(OSError):
                        os.rmdir(directory)
        # What is left is below the working directory, but for the mount of the storage.
        for mount in (self.work / "root" / "overlay", self.work / "root"):
            run("umount", mount, check=False)


class Pod:
    """One Pod that runs."""

    def __init__(self, node, name):
        self.node, self.name = node, name
        # Of the container that holds the network and outlives every other.
        found = json.loads(node.podman("pod", "inspect", name).stdout)
        self.id = found["Id"]
        self.network = f"/proc/{Container(self, found['InfraContainerID']).pid()}/ns/net"

    def container(self, name):
        return Container(self, f"{self.name}-{name}")

    def inside(self, work):
        """Runs `work` in a thread that is in the network of the Pod."""
        result = []
        network = os.open(self.network, os.O_RDONLY)

        def enter():
            libc = ctypes.CDLL(None, use_errno=True)
            try:
                assert libc.setns(network, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
                result.append((work(), None))
            except BaseException as error:  # Raised again below, by who waits.
                result.append((None, error))
            finally:
                os.close(network)

        thread = threading.Thread(target=enter, daemon=True)
        thread.start()
        return Inside(thread, result)

    def ask(self, path):
        """Status and body from the admin port, `None` while nobody answers; what the kubelet does."""
        def work():
            try:
                connection = http.client.HTTPConnection("127.0.0.1", 9901, timeout=5)
                connection.request("GET", path)
                answer = connection.getresponse()
                return answer.status, answer.read().decode()
            except OSError:
                return None, ""
        return self.inside(work).join()

    def get(self, authority, path="/", own=None):
        return self.inside(lambda: Client(authority, own).get(path)).join()


class Inside:
    """Work that goes on in a Pod's network."""

    def __init__(self, thread, result):
        self.thread, self.result = thread, result

    def join(self, seconds=60):
        self.thread.join(seconds)
        assert self.result, "a client in the Pod has not come to an end"
        value, error = self.result[0]
        if error:
            raise error
        return value


class Container:
    """One container of a Pod."""

    def __init__(self, pod, name):
        self.node, self.name = pod.node, name

    def inspect(self):
        return json.loads(self.node.podman("inspect", self.name).stdout)[0]

    def pid(self):
        return self.inspect()["State"]["Pid"]

    def kill(self):
        os.kill(self.pid(), signal.SIGKILL)

    def exec(self, command, **options):
        return self.node.podman("exec", self.name, *command, **options)

    def logs(self):
        return self.node.podman("logs", self.name, check=False).stdout


class Client:
    """An HTTPS client that believes the authority and nobody else."""

    def __init__(self, authority, own=None):
        self.context = ssl.create_default_context(cafile=str(authority.file))
        if own:
            self.context.load_cert_chain(own / "tls.crt", own / "tls.key")
        self.connection = None
        self.serial = None

    def get(self, path="/", keep=False):
        """Status, headers and body; on a new connection unless there is one to keep."""
        if self.connection is None:
            raw = socket.create_connection(("127.0.0.1", 443), timeout=10)
            tls = self.context.wrap_socket(raw, server_hostname=NAME)
            self.serial = int(tls.getpeercert()["serialNumber"], 16)
            self.connection = http.client.HTTPConnection(NAME)
            self.connection.sock = tls
        self.connection.request("GET", path)
        answer = self.connection.getresponse()
        body = answer.read().decode()
        if not keep or answer.will_close:
            self.connection.close()
            self.connection = None
        return answer.status, answer.headers, body


class Load:
    """Clients one after the other, a new connection each, and one that keeps its own; until told."""

    def __init__(self, pod, authority):
        self.stopped = threading.Event()
        self.answered, self.failed, self.serials = 0, [], []
        self.tasks = [pod.inside(lambda keep=keep: self.go_on(authority, keep)) for keep in (False, True)]

    def go_on(self, authority, keep):
        client = Client(authority)
        while not self.stopped.is_set():
            try:
                status, _, body = client.get("/", keep)
                assert status == 200 and "tls-sidecar" in body, (status, body)
                self.answered += 1
                if not keep and self.serials[-1:] != [client.serial]:
                    self.serials.append(client.serial)
            except (OSError, AssertionError, http.client.HTTPException) as error:
                self.failed.append(repr(error))
                client = Client(authority)
            time.sleep(0.002)

    def stop(self):
        self.stopped.set()
        for task in self.tasks:
            task.join()


def pod_of(rendered, name, mounts, restart="Always"):
    """The Pod of a rendered Deployment, and the ConfigMaps beside it, as podman can play them.

    `mounts` has a directory for each volume that the kubelet would keep up to date.
    """
    documents = [document for document in rendered if document["kind"] == "ConfigMap"]
    deployment = next(document for document in rendered if document["kind"] == "Deployment")
    template = json.loads(json.dumps(deployment["spec"]["template"]))
    spec = template["spec"]
    native = [c for c in spec.get("initContainers", []) if c.pop("restartPolicy", "") == "Always"]
    spec["containers"] = native + spec["containers"]
    spec.pop("initContainers", None)
    for container in spec["containers"]:
        for key in ("startupProbe", "readinessProbe", "livenessProbe", "lifecycle", "ports"):
            container.pop(key, None)
        container["imagePullPolicy"] = "Never"
    for volume in spec["volumes"]:
        if "configMap" not in volume:
            for kind in [kind for kind in volume if kind != "name"]:
                del volume[kind]
            volume["hostPath"] = {"path": str(mounts[volume["name"]].directory), "type": "Directory"}
    spec["restartPolicy"] = restart
    metadata = {"name": name, "labels": template["metadata"]["labels"]}
    return [*documents, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}]


def render(directory):
    """The documents of a kustomization."""
    return list(yaml.safe_load_all(run("kubectl", "kustomize", directory).stdout))


def repository():
    """The root of the checkout."""
    return pathlib.Path(__file__).resolve().parents[2]

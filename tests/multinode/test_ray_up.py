"""The variant of cluster.yaml for own machines, for real: `ray up` over ssh, a sweep as a Ray job on it, `ray down`."""

import re
import secrets
import sys
from pathlib import Path

import pytest
import yaml

from orchestrator.cluster_check import check_cluster
from tests.fakes.sweeps import comparable, plan_of, rows_of, run_sweep
from tests.multinode.hosts import HOME, ROOT, Host, wait_until

pytestmark = [pytest.mark.ray, pytest.mark.netns]

PACED = '\n  paced: {class: "tests.fakes.savable_detectors:Paced", pace: 0.1}\n'
SMALL = " --num-cpus=1 --object-store-memory=80000000"
TOKEN = {"RAY_AUTH_MODE": "token"}
CLUSTER = str(HOME / "cluster.yaml")


def cluster_file(laptop: Host) -> dict[str, object]:
    """cluster.yaml with its variant for own machines in place, for these hosts.

    Theirs: addresses, key, the size of a node, and an installation that is there already instead of pip's.
    """
    text = (ROOT / "cluster.yaml").read_text(encoding="utf-8")
    block = re.search(r"# --- variant: own machines.*?\n(.*?)# --- end", text, re.DOTALL).group(1)
    values = {**yaml.safe_load(text), **yaml.safe_load(re.sub(r"(?m)^# ?", "", block))}
    for key in ("head_node_type", "available_node_types"):
        del values[key]
    values |= {"min_workers": 1, "max_workers": 1, "auth": {"ssh_user": "root", "ssh_private_key": "~/.ssh/id_ed25519"}}
    values["provider"] |= {"head_ip": "10.77.0.1", "worker_ips": ["10.77.0.2"]}
    values["file_mounts"] = {"~/.ray/auth_token": "~/.ray/auth_token", "~/fewshot-sweep": str(ROOT)}
    path = f"echo 'export RAY_AUTH_MODE=token PATH=\"{Path(sys.executable).parent}:$PATH\"' >> ~/.bashrc"
    values["setup_commands"] = ["chmod 600 ~/.ray/auth_token", path]
    for key, address in (("head_start_ray_commands", "10.77.0.1"), ("worker_start_ray_commands", "10.77.0.2")):
        *before, start = values[key]
        values[key] = [*before, f"{start}{SMALL} --node-ip-address={address}"]
    return values


def test_ray_up_a_job_with_a_sweep_and_ray_down(hosts_with_ssh, tmp_path):
    plan, series = plan_of(tmp_path, PACED, ["few_shot.report_seeds.count=6", "few_shot.shots=[8]"])
    head, _worker, laptop = (hosts_with_ssh.add(number, ssh=True) for number in (1, 2, 3))
    (laptop.home / ".ray" / "auth_token").write_text(secrets.token_hex(32))
    (laptop.home / "cluster.yaml").write_text(yaml.safe_dump(cluster_file(laptop)))
    (tmp_path / "checked.yaml").write_text(yaml.safe_dump(offline(cluster_file(laptop), tmp_path)))
    assert [] == check_cluster(tmp_path / "checked.yaml")

    laptop.run("ray", "up", "-y", CLUSTER, "--no-config-cache", "--disable-usage-stats", within=240, **TOKEN)
    wait_until(
        lambda: "2.0 CPU" in laptop.run("ray", "exec", CLUSTER, "ray status", within=120, **TOKEN),
        within=180,
        what=lambda: head.run("bash", "-c", "tail -50 /tmp/ray/session_latest/logs/monitor.*"),
    )

    laptop.run("mkdir", f"{HOME}/work")
    (laptop.home / "work" / "sweep.yaml").write_text(plan.spec.to_yaml())
    laptop.run(
        "ssh", "-o", "StrictHostKeyChecking=no", "-f", "-N", "-L", "8265:127.0.0.1:8265", "root@10.77.0.1", within=30
    )
    said = laptop.run(
        "ray", "job", "submit", "--address", "http://127.0.0.1:8265", "--working-dir", f"{HOME}/work", "--",
        "bash", "-c", f"export PATH={Path(sys.executable).parent}:$PATH PYTHONPATH=~/fewshot-sweep; "
        "python -m orchestrator.sweep sweep.yaml --output ~/run --quiet", within=240, **TOKEN,
    )  # fmt: skip
    assert "succeeded" in said
    laptop.run("ray", "rsync-down", CLUSTER, f"{HOME}/run/", f"{HOME}/fetched/", within=60, **TOKEN)
    laptop.run("ray", "down", "-y", CLUSTER, within=120, **TOKEN)

    _, whole = run_sweep(plan, series, tmp_path / "whole", backend="inline")
    assert comparable(whole) == comparable(rows_of(laptop.home / "fetched"))
    assert "10.77.0.2" in (laptop.home / "fetched" / "sweep.log").read_text()
    assert "ray::" not in head.run("ps", "-ef")


def offline(values: dict[str, object], folder: Path) -> dict[str, object]:
    """The same file with a key and mounts that exist on this machine."""
    (folder / "id").touch()
    return {**values, "auth": {"ssh_user": "root", "ssh_private_key": str(folder / "id")}, "file_mounts": {}}

"""A cluster of hosts that share neither code nor homes: tokens, shipped code, a node lost and one that joins."""

import secrets
import sys

import pytest

from tests.fakes.sweeps import comparable, plan_of, rows_of, run_sweep
from tests.multinode.hosts import CODE, HOME, Host, wait_until

pytestmark = [pytest.mark.ray, pytest.mark.netns]

PACED = '\n  paced: {class: "tests.fakes.savable_detectors:Paced", pace: 0.3}\n'
HEAD = "10.77.0.1:6379"
QUICK = {f"RAY_health_check_{name}": value for name, value in (
    ("initial_delay_ms", "500"), ("period_ms", "500"), ("timeout_ms", "1500"), ("failure_threshold", "4"))}  # fmt: skip
TOKEN = {"RAY_AUTH_MODE": "token"}


def join(host: Host, token: str, *, cpus: int = 1) -> None:
    """Start Ray on a host."""
    (host.home / ".ray" / "auth_token").write_text(token)
    (host.home / ".ray" / "auth_token").chmod(0o600)
    where = ("--head", "--port=6379", "--include-dashboard=false") if host.name == "h1" else (f"--address={HEAD}",)
    host.run(
        "ray", "start", *where, f"--node-ip-address={host.address}", f"--num-cpus={cpus}",
        "--object-store-memory=80000000", "--disable-usage-stats", **TOKEN, **QUICK,
    )  # fmt: skip


def test_a_sweep_over_hosts_that_share_nothing_survives_a_loss_and_uses_who_joins(hosts, tmp_path):
    plan, series = plan_of(tmp_path, PACED, ["few_shot.report_seeds.count=24", "few_shot.shots=[8]"])
    token = secrets.token_hex(32)
    head = hosts.add(1)
    lost, joined = hosts.add(2, without=CODE), hosts.add(3, without=CODE)
    assert (
        "No module named 'orchestrator.sweep'"
        in lost.start(sys.executable, "-c", "import orchestrator.sweep").communicate()[1]
    )
    join(head, token, cpus=0)
    join(lost, token)
    (head.home / "sweep.yaml").write_text(plan.spec.to_yaml())
    (head.home / "tmp").mkdir()
    run = head.home / "run"
    sweep = (
        sys.executable,
        "-m",
        "orchestrator.sweep",
        f"{HOME}/sweep.yaml",
        "--address",
        HEAD,
        "--output",
        f"{HOME}/run",
    )

    wrong = head.start(*sweep, **TOKEN, RAY_AUTH_TOKEN="0" * 64)
    _, said = wrong.communicate(timeout=120)
    assert 2 == wrong.returncode, said
    assert "Traceback" not in said
    assert not run.exists()

    driver = head.start(*sweep, **TOKEN, TMPDIR=f"{HOME}/tmp")
    rows = run / "rows.jsonl"
    wait_until(
        lambda: rows.exists() and rows.read_bytes().count(b"\n") >= 3, within=120, what=lambda: str(driver.poll())
    )
    join(joined, token)
    log = run / "sweep.log"
    wait_until(lambda: f"node {joined.address}" in log.read_text(), within=60, what=log.read_text)
    before = rows.read_bytes().count(b"\n")
    lost.power_off()
    out, err = driver.communicate(timeout=240)
    assert 0 == driver.returncode, out + err
    assert "the cluster lost a node: 10.77.0.2" in log.read_text()
    assert before < 24, "the sweep ended before the host did"

    _, whole = run_sweep(plan, series, tmp_path / "whole", backend="inline")
    assert comparable(whole) == comparable(rows_of(run))
    assert 24 == len(rows.read_text().splitlines())
    assert 24 == len(list((run / "scores").iterdir()))
    left = {path.name for host in (lost, joined) for path in host.home.iterdir()}
    assert not {"run", "sweep.yaml", "tmp"} & left

"""The cluster file that we ship is valid, and every planted mistake is found with its line."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from orchestrator.cluster_check import check_cluster
from orchestrator.cluster_commands import app
from orchestrator.errors import SpecError

ROOT = Path(__file__).parents[2]
SHIPPED = (ROOT / "cluster.yaml").read_text(encoding="utf-8")


def problems_of(text: str, folder: Path) -> list[str]:
    file = folder / "cluster.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        check_cluster(file)
    return [line.removeprefix(f"{file}:") for line in caught.value.problems]


def line_of(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), start=1) if part in line)


def variant(name: str) -> dict[str, object]:
    block = re.search(rf"# --- variant: {name}.*?\n(.*?)# --- end", SHIPPED, re.DOTALL).group(1)
    return yaml.safe_load(re.sub(r"(?m)^# ?", "", block))


def test_the_shipped_file_is_accepted_and_states_the_four_keys_at_column_0():
    assert check_cluster(ROOT / "cluster.yaml")
    lines = SHIPPED.splitlines()
    for key in ("max_workers:", "head_node_type:", "provider:", "available_node_types:"):
        assert any(line.startswith(key) for line in lines), key
    assert yaml.safe_load(SHIPPED)["provider"]["type"] == "aws"
    assert all("min_workers" in node for node in yaml.safe_load(SHIPPED)["available_node_types"].values())


def test_the_check_needs_neither_a_cloud_library_nor_a_key():
    code = (
        "import sys; from pathlib import Path; from orchestrator.cluster_check import check_cluster;"
        "check_cluster(Path('cluster.yaml'));"
        "assert not {'boto3', 'botocore', 'googleapiclient'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stderr)


def test_the_google_cloud_variant_is_accepted(tmp_path):
    merged = {**yaml.safe_load(SHIPPED), **variant("Google Cloud")}
    merged["file_mounts"] = {}
    (tmp_path / "gcp.yaml").write_text(yaml.safe_dump(merged))
    assert all("newest image" in note for note in check_cluster(tmp_path / "gcp.yaml"))


def test_the_variant_for_own_machines_is_accepted(tmp_path):
    merged = {**yaml.safe_load(SHIPPED), **variant("own machines")}
    del merged["head_node_type"], merged["available_node_types"]
    (tmp_path / "id").touch()
    merged["auth"]["ssh_private_key"] = str(tmp_path / "id")
    merged["file_mounts"] = {}
    (tmp_path / "local.yaml").write_text(yaml.safe_dump(merged))
    assert [] == check_cluster(tmp_path / "local.yaml")


@pytest.mark.parametrize(
    ("found", "replacement", "message"),
    [
        ("max_workers: 8\nupscaling", "max_wrokers: 8\nupscaling", "unknown key; did you mean max_workers?"),
        ("max_workers: 8\nupscaling", 'max_workers: "8"\nupscaling', 'max_workers: found "8"; must be a whole number'),
        ("cluster_name: fewshot", "cluster_name: 3", "cluster_name: found 3; must be text"),
        ("ssh_user: ubuntu", "ssh_usr: ubuntu", "auth.ssh_usr: unknown key; did you mean ssh_user?"),
        ("head_node_type: head", "head_node_type: haed", "head_node_type: unknown node type haed; did you mean head?"),
        ("min_workers: 0\n    max_workers: 4", "min_workers: 5\n    max_workers: 4", "5 is above max_workers 4"),
        ("max_workers: 8\nupscaling", "max_workers: -1\nupscaling", "max_workers: -1 is less than the minimum of 0"),
        ("resources: {CPU: 8, GPU: 1}", "resources: {CPU: 8, GPU: 0.5}", "found 0.5; must be a whole number"),
        ("--dashboard-host=127.0.0.1", "--dashboard-host=0.0.0.0", "opens the dashboard to the network"),
        ("$RAY_HEAD_IP:6379", "$RAY_HEAD_IP:6380", "workers look for port 6380, the head opens 6379"),
        ("  ~/fewshot-sweep: .", "  ~/fewshot-sweep: ./nowhere", "./nowhere does not exist here"),
        ("ssh_user: ubuntu", "ssh_user: ubuntu, ssh_private_key: /no/key", "/no/key does not exist here"),
        ("type: aws", "type: awz", "provider: Ray refuses the file"),
        ("  - ray stop\n", "  - ray stop\n  - true\n", "found true; must be text"),
        ("auth: {", "auth: {}\nauth: {", "auth: given twice"),
        ("InstanceType: m6i.xlarge", "KeyName: AKIAABCDEFGHIJKLMNOP", "looks like a credential"),
        ("65536; RAY_AUTH_MODE=token", "65536; API_KEY=0123456789abcdef", "looks like a credential"),
        ("cache_stopped_nodes: false", "aws_secret_access_key: abc", "looks like a credential"),
        (
            "auth: {",
            "docker: {image: rayproject/ray, container_name: ray}\nauth: {",
            "docker.image: rayproject/ray is not pinned",
        ),
        (
            "cache_stopped_nodes: false",
            "security_group: {GroupName: x, IpPermissions: [{FromPort: 22, IpRanges: [{CidrIp: 0.0.0.0/0}]}]}",
            "opens ports to the world",
        ),
    ],
)  # fmt: skip
def test_a_planted_mistake_is_named_with_its_line(tmp_path, found, replacement, message):
    assert found in SHIPPED
    problems = problems_of(SHIPPED.replace(found, replacement, 1), tmp_path)
    assert 1 == len(problems), problems
    assert message in problems[0]
    assert re.match(r"\d+:\d+  ", problems[0])
    assert "0123456789abcdef" not in problems[0]


def test_the_line_is_the_line_of_the_mistake(tmp_path):
    broken = SHIPPED.replace("head_node_type: head", "head_node_type: haed")
    assert problems_of(broken, tmp_path)[0].startswith(f"{line_of(broken, 'haed')}:17  ")


def test_all_mistakes_are_named_at_once(tmp_path):
    broken = SHIPPED.replace("cluster_name: fewshot", "cluster_nmae: fewshot").replace(
        "upscaling_speed: 1.0", "upscaling_speed: fast"
    )
    assert ["cluster_name", "cluster_nmae", "upscaling_speed"] == sorted(
        problem.split("  ")[1].split(":")[0] for problem in problems_of(broken, tmp_path)
    )


@pytest.mark.parametrize(
    ("worker_ips", "message"),
    [
        (["10.0.0.1"], "10.0.0.1 is given twice"),
        (["10.0.0.2", "10.0.0.2"], "10.0.0.2 is given twice"),
        (["10.0.0.999"], "10.0.0.999 is not an address"),
        ([], "2 is above the 0 worker_ips"),
    ],
)
def test_own_machines_are_different_real_and_enough(tmp_path, worker_ips, message):
    text = yaml.safe_dump(
        {
            "cluster_name": "own",
            "min_workers": 2 if not worker_ips else len(worker_ips),
            "max_workers": 2,
            "provider": {"type": "local", "head_ip": "10.0.0.1", "worker_ips": worker_ips},
        }
    )
    assert message in problems_of(text, tmp_path)[0]


def test_leaving_the_start_commands_to_ray_is_refused_because_its_defaults_are_open(tmp_path):
    broken = SHIPPED.replace("head_start_ray_commands:\n", "initialization_commands:\n", 1)
    assert "opens the dashboard on all addresses" in " ".join(problems_of(broken, tmp_path))


@pytest.mark.parametrize("text", ["", "# only a comment\n"])
def test_an_empty_file_is_called_empty(tmp_path, text):
    assert ["1:1  the file is empty; it needs at least cluster_name and provider"] == problems_of(text, tmp_path)


def test_the_command_exits_with_0_and_2_and_says_why(tmp_path):
    good = CliRunner().invoke(app, ["check", str(ROOT / "cluster.yaml")])
    bad = CliRunner().invoke(app, ["check", str(tmp_path / "missing.yaml")])
    assert 0 == good.exit_code
    assert "cluster.yaml: Ray accepts it" in good.output
    assert 2 == bad.exit_code
    assert "missing.yaml: cannot be read: No such file or directory" in bad.output


def test_the_documented_command_runs():
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.cluster", "check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (0, "") == (done.returncode, done.stderr)
    assert done.stdout.endswith("cluster.yaml: Ray accepts it\n")

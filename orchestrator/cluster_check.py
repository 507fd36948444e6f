"""Look at a cluster file before it costs money, offline (run as `python -m orchestrator.cluster check [FILE]`).

Ray's own checks name one problem and no line, and know nothing of open ports, secrets or mounts that do not exist.
"""

import copy
import ipaddress
import json
import re
from collections.abc import Iterator
from pathlib import Path

from orchestrator.errors import SpecError
from orchestrator.problems import Problems, found, unknown
from orchestrator.yaml_source import KeyPath, Positions, Value, parse
from trainables.paths import expanded

WORLD = ("0.0.0.0/0", "::/0")
TOKEN_FILE = ".ray/auth_token"  # noqa: S105  (a path, not a secret)

SECRET_TEXT = re.compile(
    r"AKIA[0-9A-Z]{16}|-----BEGIN [A-Z ]*PRIVATE KEY|\b(?:ghp|hf|glpat|wandb_v1)[_-][A-Za-z0-9]{16,}"
    r"|(?:KEY|TOKEN|SECRET|PASSWORD)=(?!\$|file\b|token\b)['\"]?[^\s'\"$]{6,}",
    re.IGNORECASE,
)
SECRET_KEYS = re.compile(r"secret|password|access_key|api_key", re.IGNORECASE)
PORT = re.compile(r"--port[= ](\d+)")
ADDRESS_PORT = re.compile(r"--address[= ]\S*:(\d+)")


def check_cluster(path: Path) -> list[str]:
    """Check a cluster file and return notes: what is allowed, but should be known before `ray up`.

    Raises
    ------
    SpecError
        Every problem, one line each, with file, line and column.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise SpecError([f"{path}: cannot be read: {getattr(err, 'strerror', None) or err}"]) from err
    if not re.sub(r"(?m)#.*$", "", text).strip():
        raise SpecError([f"{path}:1:1  the file is empty; it needs at least cluster_name and provider"])
    values, positions = parse(text, str(path))
    problems = Problems(positions)
    _check_schema(values, problems)
    notes: list[str] = []
    if not problems:
        for look in (_nodes, _local_addresses, _commands, _network, _secrets):
            look(values, problems)
        notes += _images(values, problems, positions)
        notes += _mounts(values, problems, path.parent)
    if not problems:
        _ask_ray(values, problems)
    if problems:
        raise SpecError(problems.lines)
    return notes


def _check_schema(values: dict[str, Value], problems: Problems) -> None:
    """Note every violation of Ray's schema, with its place."""
    import jsonschema  # noqa: PLC0415  (comes with Ray)
    import ray.autoscaler  # noqa: PLC0415  (seconds to import)

    schema = json.loads(Path(ray.autoscaler.__file__).with_name("ray-schema.json").read_text(encoding="utf-8"))
    if _mapping(values.get("provider")).get("type") == "local":
        schema["properties"]["min_workers"] = {"type": "integer", "minimum": 0}  # Ray takes it out before it validates
    for error in jsonschema.Draft7Validator(schema).iter_errors(values):
        path: KeyPath = tuple(error.absolute_path)
        if error.validator == "additionalProperties":
            known = error.schema["properties"]
            for name in set(error.instance) - set(known):
                problems.add((*path, name), unknown("key", str(name), known), at_key=True)
        elif error.validator == "required":
            for name in set(error.validator_value) - set(error.instance):
                problems.add((*path, name), "is missing")
        elif error.validator == "type":
            allowed = error.validator_value if isinstance(error.validator_value, str) else error.validator_value[0]
            problems.add(path, f"found {found(error.instance)}; must be {_a(allowed)}")
        else:
            problems.add(path, " ".join(error.message.split()))


def _a(kind: str) -> str:
    words = {"integer": "a whole number", "array": "a list", "object": "a mapping of keys", "boolean": "true or false"}
    return words.get(kind, {"string": "text", "number": "a number"}.get(kind, kind))


def _nodes(values: dict[str, Value], problems: Problems) -> None:
    """Head type that exists, no min above its max, all minimums together within max_workers."""
    types = _mapping(values.get("available_node_types"))
    head = values.get("head_node_type")
    if types and head is None:
        problems.add(("head_node_type",), f"is missing; name one of available_node_types: {', '.join(types)}")
    elif head is not None and head not in types:
        problems.add(("head_node_type",), unknown(f"node type {head}", str(head), types))
    total = 0
    for name, node in types.items():
        least, most = _mapping(node).get("min_workers", 0), _mapping(node).get("max_workers")
        if isinstance(least, int) and isinstance(most, int) and least > most:
            problems.add(("available_node_types", name, "min_workers"), f"{least} is above max_workers {most}")
        total += least if isinstance(least, int) else 0
    everywhere = values.get("max_workers")
    if isinstance(everywhere, int) and total > everywhere:
        problems.add(("max_workers",), f"{everywhere} is below the {total} that the node types ask for as min_workers")


def _local_addresses(values: dict[str, Value], problems: Problems) -> None:
    """Own machines: real addresses, each once, and not more workers asked for than there are."""
    provider = _mapping(values.get("provider"))
    workers = provider.get("worker_ips")
    if provider.get("type") != "local" or not isinstance(workers, list):
        return
    paths: list[KeyPath] = [("provider", "head_ip")]
    paths += [("provider", "worker_ips", index) for index in range(len(workers))]
    seen: set[str] = set()
    for path, address in zip(paths, [provider.get("head_ip"), *workers], strict=True):
        text = str(address)
        if text in seen:
            problems.add(path, f"{text} is given twice; head and workers are different machines")
        seen.add(text)
        if re.fullmatch(r"[\d.]+", text) and not _is_address(text):
            problems.add(path, f"{text} is not an address")
    least = values.get("min_workers")
    if isinstance(least, int) and least > len(workers):
        problems.add(("min_workers",), f"{least} is above the {len(workers)} worker_ips")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _commands(values: dict[str, Value], problems: Problems) -> None:
    """Ray's defaults install a nightly build and open the dashboard to the network: say what is meant instead."""
    cloud = _mapping(values.get("provider")).get("type") != "local"
    if cloud and not values.get("setup_commands"):
        problems.add(("setup_commands",), "is missing; Ray's default installs a nightly build of Ray")
    if cloud and not values.get("head_start_ray_commands"):
        problems.add(
            ("head_start_ray_commands",), "is missing; Ray's default opens the dashboard on all addresses of the head"
        )
    head, worker = (
        {port for _, text in _texts(values.get(key), (key,)) for port in pattern.findall(text)}
        for key, pattern in (("head_start_ray_commands", PORT), ("worker_start_ray_commands", ADDRESS_PORT))
    )
    if head and worker and head != worker:
        problems.add(
            ("worker_start_ray_commands",),
            f"workers look for port {', '.join(sorted(worker))}, the head opens {', '.join(sorted(head))}",
        )


def _network(values: dict[str, Value], problems: Problems) -> None:
    """No port open to the world."""
    for path, text in _texts(values):
        if text in WORLD and path[-1] in {"CidrIp", "CidrIpv6"}:
            problems.add(path, f"opens ports to the world; name the addresses that you come from instead of {text}")
        elif re.search(r"--(?:dashboard-host|ray-client-server-host)[= ](?:0\.0\.0\.0|::)", text):
            problems.add(path, "opens the dashboard to the network; use --dashboard-host=127.0.0.1 and `ray dashboard`")


def _secrets(values: dict[str, Value], problems: Problems) -> None:
    """No credentials: the file is committed and copied to every node. The message does not repeat them."""
    for path, text in _texts(values):
        key = next((part for part in reversed(path) if isinstance(part, str)), "")
        if SECRET_TEXT.search(text) or (SECRET_KEYS.search(key) and text):
            problems.add(
                path, "looks like a credential; keep it in the environment or in a mounted file, and revoke it"
            )


def _images(values: dict[str, Value], problems: Problems, positions: Positions) -> list[str]:
    """Machine and container images that name a version; an image that is the newest of its family is a note."""
    notes = []
    for path, text in _texts(values):
        key = path[-1]
        if key in {"image", "head_image", "worker_image"} and text and (":" not in text or text.endswith(":latest")):
            problems.add(path, f"{text} is not pinned; write a tag such as :2.60.0-py312-gpu")
        elif (key == "ImageId" and "latest" in text) or (key == "sourceImage" and "/family/" in text):
            place = positions.value(path)
            notes.append(f"line {place.line}: the newest image of its family; write its id to get the same one again")
    if _mapping(values.get("provider")).get("type") == "aws":
        for name, node in _mapping(values.get("available_node_types")).items():
            if "ImageId" not in _mapping(_mapping(node).get("node_config")):
                problems.add(
                    ("available_node_types", name, "node_config"),
                    "ImageId is missing; Ray's default is an image of 2022, too old for this version of torch",
                )
    return notes


def _mounts(values: dict[str, Value], problems: Problems, base: Path) -> list[str]:
    """Refuse sources of mounts and an ssh key that do not exist here; the token file is a note, it is easily made."""
    notes = []
    sources: list[tuple[KeyPath, Value]] = [
        (("file_mounts", target), source) for target, source in _mapping(values.get("file_mounts")).items()
    ]
    sources.append((("auth", "ssh_private_key"), _mapping(values.get("auth")).get("ssh_private_key")))
    for path, source in sources:
        if not isinstance(source, str) or (base / expanded(source)).exists():
            continue
        if source.endswith(TOKEN_FILE):
            notes.append(f"{source} does not exist yet: ray get-auth-token --generate && chmod 600 {source}")
        else:
            problems.add(path, f"{source} does not exist here")
    return notes


def _ask_ray(values: dict[str, Value], problems: Problems) -> None:
    """Ray's own preparation and validation, which know rules that its schema does not; they name no place."""
    import click  # noqa: PLC0415  (comes with Ray)
    import jsonschema  # noqa: PLC0415
    from ray.autoscaler._private.util import prepare_config, validate_config  # noqa: PLC0415

    kinds = (
        jsonschema.ValidationError, ValueError, TypeError, KeyError, AssertionError, NotImplementedError, RuntimeError,
        click.ClickException,
    )  # fmt: skip
    try:
        validate_config(prepare_config(copy.deepcopy(values)))
    except kinds as err:
        problems.add(("provider",), f"Ray refuses the file: {' '.join(str(err).split()) or type(err).__name__}")


def _texts(value: Value, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Yield every text of the file with its key path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _texts(inner, (*path, index))


def _mapping(value: Value) -> dict[str, Value]:
    return value if isinstance(value, dict) else {}

"""docker-compose.yml against the code: what it gives to each process is what that process reads, and nothing is open but the gateway."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509

from crm_identity.first_start import FirstStartSettings
from crm_stack.bus.prepare import passwords_in
from crm_stack.gateway import load_routes
from crm_stack.gateway import write as gateway_write
from crm_stack.guarded_kafka import container_settings
from crm_stack.postgres_files import initialise
from crm_web.prepare import PrepareSettings
from crm_web.service import load_service
from crm_web.settings import KafkaSettings
from crm_web.settings_list import settings_of

from .facts import CONTAINER_PORT, PARTS, ROOT, SERVICES, major, make_secrets, misnamed, missing, settings, version_of

pytestmark = pytest.mark.requirement("PL-50")
Service = dict[str, Any]

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
#: What programs outside are let in with; it changes nothing but Kafka.
OVERRIDE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.subscribers.yml").read_text(encoding="utf-8"))
PARTS_OF_COMPOSE: dict[str, Service] = COMPOSE["services"]
#: Set by the Dockerfile for every service's image.
_BY_IMAGE = frozenset({"CRM_SERVICE", "CRM_HTTP_HOST", "CRM_HTTP_PORT"})
#: A reference to a variable of the person who starts it: `${CRM_PORT:-8080}`.
_DEFAULTED = re.compile(r"\$\{[A-Z_]+:-([^${}]*)\}")
_IMAGES = "localhost/pelagic"
#: As `up --wait` and the order of starting see it.
_COMPLETED = "service_completed_successfully"


def plain(text: str, **given: str) -> str:
    """With these variables, and every other one left at its default; a default may be a variable too."""
    for name, value in given.items():
        text = re.sub(rf"\$\{{{name}:-(?:[^${{}}]|\$\{{[^}}]*\}})*\}}", value, text)
    while (inner := _DEFAULTED.sub(r"\1", text)) != text:
        text = inner
    return text


def processes() -> list[tuple[str, str, str]]:
    """(name in the file, service, part) of the processes that serve."""
    return [
        (service if part == "app" else f"{service}-{part}", service, part) for service in SERVICES for part in PARTS
    ]


def environment(service: Service) -> dict[str, str]:
    """Its variables, with defaults."""
    return {name: plain(value) for name, value in service.get("environment", {}).items()}


@pytest.mark.parametrize(("name", "service", "part"), processes())
def test_each_process_is_given_settings_that_exist_and_all_that_it_needs(name: str, service: str, part: str) -> None:
    process = PARTS_OF_COMPOSE[name]
    given = environment(process)
    assert misnamed(service, given) == []
    assert missing(service, given.keys() | _BY_IMAGE, worker=part == "worker") == []
    assert process["command"] == ["crm_web.run", f"--{part}"]
    assert plain(process["image"]).startswith(f"{_IMAGES}/{service}:")


@pytest.mark.parametrize(("name", "service", "part"), processes())
def test_the_settings_class_accepts_the_values(name: str, service: str, part: str, tmp_path: Path) -> None:
    given = environment(PARTS_OF_COMPOSE[name])
    secrets = make_secrets(tmp_path / "secrets")
    for variable, value in given.items():
        if variable.endswith("_FILE"):
            given[variable] = value.replace("/run/secrets", str(secrets))
    # The service's own class: identity has settings of its own.
    loaded = load_service(service).settings.load(given | {"CRM_SERVICE": service, "CRM_HTTP_PORT": str(CONTAINER_PORT)})
    assert loaded.dsn.endswith(f"@postgres:5432/{service}")
    assert set(loaded.services.split(",")) == set(SERVICES)
    # The worker alone is on the bus, as its service's user.
    assert (loaded.kafka_security, loaded.kafka_username) == (
        ("sasl_plaintext", service) if part == "worker" else ("plaintext", "")
    )
    # Tokens name the address that people use: the one that the gateway is published at.
    port = plain(PARTS_OF_COMPOSE["gateway"]["ports"][0]).split(":")[1]
    assert loaded.public_url == f"http://localhost:{port}"


@pytest.mark.parametrize(("name", "service", "part"), processes())
def test_secrets_are_given_by_file_and_only_to_who_reads_them(name: str, service: str, part: str) -> None:
    process = PARTS_OF_COMPOSE[name]
    given = environment(process)
    named = {value.removeprefix("/run/secrets/") for variable, value in given.items() if variable.endswith("_FILE")}
    assert named == set(process["secrets"])
    secret = {setting.name for setting in settings(service).values() if setting.secret}
    assert not secret & given.keys(), "a secret in the environment is seen by whoever may list containers"


@pytest.mark.parametrize("service", SERVICES)
def test_each_service_has_its_job_before_with_settings_that_the_job_reads(service: str) -> None:
    job = PARTS_OF_COMPOSE[f"{service}-prepare"]
    known = {setting.name for setting in settings_of(PrepareSettings)}
    assert {name.removesuffix("_FILE") for name in job["environment"]} <= known
    assert job["environment"]["CRM_DATABASE_URL_FILE"] == f"/run/secrets/{service}-database-url"
    assert set(job["secrets"]) == {f"{service}-database-url", "superuser-url"}
    assert job["command"] == ["crm_web.prepare"]
    assert plain(job["image"]) == plain(PARTS_OF_COMPOSE[service]["image"])


def test_the_first_administrators_job_reads_what_it_is_given() -> None:
    given = PARTS_OF_COMPOSE["first-administrator"]["environment"]
    known = {setting.name: setting for setting in settings_of(FirstStartSettings)}
    plain_names = {name.removesuffix("_FILE") for name in given}
    assert plain_names <= known.keys()
    assert {name for name, setting in known.items() if setting.required} <= plain_names


def test_the_operators_tool_runs_when_asked_for_and_finds_the_databases_and_the_bus() -> None:
    tool = PARTS_OF_COMPOSE["operator"]
    assert tool["profiles"] == ["tools"]
    assert [name for name, one in PARTS_OF_COMPOSE.items() if "profiles" in one] == ["operator", "administrator"]
    # In the container a secret is a file of that name: the folder is what `--databases` takes.
    assert set(tool["secrets"]) == {f"{service}-database-url" for service in SERVICES} | {"operator-kafka-password"}
    assert tool["environment"] == {
        "CRM_DATABASES": "/run/secrets",
        "CRM_KAFKA": PARTS_OF_COMPOSE["sales-worker"]["environment"]["CRM_KAFKA_BOOTSTRAP"],
        "CRM_ARCHIVE_URL": PARTS_OF_COMPOSE["sales-worker"]["environment"]["CRM_ARCHIVE_URL"],
        "CRM_KAFKA_SECURITY": "sasl_plaintext",
        "CRM_KAFKA_USERNAME": "operator",
        "CRM_KAFKA_PASSWORD_FILE": "/run/secrets/operator-kafka-password",
    }
    built = PARTS_OF_COMPOSE["kafka-prepare"]["build"]
    assert built["target"] == built["args"]["SERVICE"] == "operator"


def listeners(kafka: Service) -> tuple[dict[str, str], dict[str, str]]:
    """Where Kafka listens, and what it tells clients to call: by the listener's name."""
    given = kafka["environment"]
    told = [plain(given[name]).split(",") for name in ("KAFKA_LISTENERS", "KAFKA_ADVERTISED_LISTENERS")]
    listening, advertised = [dict(one.split("://") for one in each) for each in told]
    return listening, advertised


@pytest.mark.parametrize("kafka", [PARTS_OF_COMPOSE["kafka"], OVERRIDE["services"]["kafka"]], ids=["inside", "outside"])
def test_kafka_listens_as_its_settings_say_and_for_the_administrator_on_its_loopback_alone(kafka: Service) -> None:
    settings = container_settings()
    listening, advertised = listeners(kafka)
    protocols = dict(one.split(":") for one in settings["listener.security.protocol.map"].split(","))
    assert listening.keys() <= protocols.keys()
    assert listening.keys() - advertised.keys() == {settings["controller.listener.names"]}
    for name, address in listening.items():
        # Nobody comes in without saying who they are.
        assert protocols[name].startswith("SASL"), name
        assert f"listener.name.{name.lower()}.sasl.enabled.mechanisms" in settings
        if name in ("ADMINISTRATOR", "CONTROLLER"):
            assert address.startswith("127.0.0.1:")
        else:
            # The password crosses a network: as a proof of it, not as it is.
            assert settings[f"listener.name.{name.lower()}.sasl.enabled.mechanisms"] == "SCRAM-SHA-512"
    assert settings["controller.quorum.voters"].rpartition(":")[2] == listening["CONTROLLER"].rpartition(":")[2]
    assert settings["allow.everyone.if.no.acl.found"] == "false"
    assert settings["super.users"] == "User:administrator"
    assert advertised["INTERNAL"] == PARTS_OF_COMPOSE["sales-worker"]["environment"]["CRM_KAFKA_BOOTSTRAP"]
    assert advertised["ADMINISTRATOR"] == PARTS_OF_COMPOSE["kafka-prepare"]["environment"]["CRM_KAFKA"]


def test_subscribers_come_in_only_where_the_second_file_is_given_and_only_encrypted() -> None:
    assert "SUBSCRIBERS" not in listeners(PARTS_OF_COMPOSE["kafka"])[0]
    assert OVERRIDE["services"].keys() == {"kafka"}
    kafka = OVERRIDE["services"]["kafka"]
    listening, advertised = listeners(kafka)
    base = listeners(PARTS_OF_COMPOSE["kafka"])
    assert (listening, advertised) == (
        base[0] | {"SUBSCRIBERS": ":9094"},
        base[1] | {"SUBSCRIBERS": "localhost:9094"},
    )
    settings = container_settings()
    assert "SUBSCRIBERS:SASL_SSL" in settings["listener.security.protocol.map"].split(",")
    # docs/subscribe.md: who changed a password is rid of whoever knew the old one within five minutes.
    assert settings["listener.name.subscribers.scram-sha-512.connections.max.reauth.ms"] == "300000"
    assert plain(kafka["ports"][0]) == "127.0.0.1:9094:9094"
    assert len(kafka["ports"]) == 1
    # A published port needs a network that isn't an inner one.
    assert kafka["networks"] == ["subscribers"]
    assert OVERRIDE["networks"] == {"subscribers": {}}
    assert kafka["secrets"] == ["kafka-certificate"]
    told = PARTS_OF_COMPOSE["administrator"]["environment"]["CRM_KAFKA_OUTSIDE"]
    assert plain(told) == advertised["SUBSCRIBERS"]


def test_kafkas_secrets_are_the_files_that_its_settings_name() -> None:
    named = {
        file for value in container_settings().values() for file in re.findall(r"/run/secrets[:/]([a-z-]+)", value)
    }
    given = {*PARTS_OF_COMPOSE["kafka"]["secrets"], *OVERRIDE["services"]["kafka"]["secrets"]}
    assert named == given
    assert (
        "./deploy/docker/kafka/server.properties:/mnt/shared/config/server.properties:ro"
        in (PARTS_OF_COMPOSE["kafka"]["volumes"])
    )


def test_only_who_gives_rights_at_the_bus_has_the_administrators_password_and_only_beside_kafka() -> None:
    holders = {
        name for name, one in PARTS_OF_COMPOSE.items() if "kafka-administrator-password" in one.get("secrets", ())
    }
    assert holders == {"kafka", "kafka-prepare", "administrator"}
    for name in holders - {"kafka"}:
        one = PARTS_OF_COMPOSE[name]
        assert one["network_mode"] == "service:kafka"
        login = KafkaSettings.load(
            environment(one)
            | {"CRM_KAFKA_BOOTSTRAP": one["environment"]["CRM_KAFKA"], "CRM_KAFKA_PASSWORD_FILE": __file__}
        ).kafka_login
        assert (login.security, login.mechanism, login.username) == ("sasl_plaintext", "PLAIN", "administrator")


def test_the_job_makes_a_user_for_every_worker_and_the_operator(tmp_path: Path) -> None:
    job = PARTS_OF_COMPOSE["kafka-prepare"]
    users = {
        one["environment"]["CRM_KAFKA_USERNAME"]: one["environment"]["CRM_KAFKA_PASSWORD_FILE"]
        for name, one in PARTS_OF_COMPOSE.items()
        if name.endswith("-worker") or name == "operator"
    }
    assert users.keys() == {*SERVICES, "operator"}
    # In the container a secret is a file of that name: the folder is what `--passwords` takes.
    assert job["environment"]["CRM_KAFKA_PASSWORDS"] == "/run/secrets"
    assert {file.removeprefix("/run/secrets/") for file in users.values()} == (
        set(job["secrets"]) - {"kafka-administrator-password"}
    )
    secrets = make_secrets(tmp_path / "secrets")
    assert passwords_in(secrets).keys() == users.keys()
    assert job["command"] == ["bus", "prepare"]


@pytest.mark.requirement("PL-48")
def test_all_processes_see_the_archive_in_one_volume_and_only_workers_and_operators_write_it() -> None:
    mounts = {
        name: volume
        for name, one in PARTS_OF_COMPOSE.items()
        for volume in one.get("volumes", ())
        if volume.startswith("archive:")
    }
    assert {name for name, volume in mounts.items() if volume == "archive:/archive:ro"} == set(SERVICES)
    writers = {f"{service}-worker" for service in SERVICES} | {"operator"}
    assert {name for name, volume in mounts.items() if volume == "archive:/archive"} == writers
    assert mounts.keys() == set(SERVICES) | writers
    assert "archive" in COMPOSE["volumes"]
    for name in mounts:
        assert environment(PARTS_OF_COMPOSE[name])["CRM_ARCHIVE_URL"] == "file:///archive"
    # The volume belongs to the account of the images whose folder it is put on.
    dockerfile = (ROOT / "deploy/docker/Dockerfile").read_text(encoding="utf-8")
    for stage in ("operator", "service"):
        image = dockerfile.partition(f" AS {stage}\n")[2].partition("\nFROM ")[0]
        assert "install -d -o 10001 -g 10001 /archive" in image, stage


def test_only_the_superusers_jobs_get_the_superusers_password() -> None:
    holders = {name for name, one in PARTS_OF_COMPOSE.items() if "superuser-url" in one.get("secrets", ())}
    assert holders == {f"{service}-prepare" for service in SERVICES}


def test_no_port_is_published_but_the_gateways() -> None:
    assert [name for name, one in PARTS_OF_COMPOSE.items() if "ports" in one] == ["gateway"]
    assert PARTS_OF_COMPOSE["gateway"]["ports"] == ["${CRM_BIND:-127.0.0.1}:${CRM_PORT:-8080}:8080"]
    shared = {name: one["network_mode"] for name, one in PARTS_OF_COMPOSE.items() if "network_mode" in one}
    assert shared == {"gateway-config": "none", "kafka-prepare": "service:kafka", "administrator": "service:kafka"}


def test_networks_let_nobody_past_the_gateway() -> None:
    inside = {name for name, network in COMPOSE["networks"].items() if network.get("internal")}
    for name, one in PARTS_OF_COMPOSE.items():
        if name not in ("gateway", "analytics-worker"):
            assert set(one.get("networks", ())) <= inside, name
    assert "data" not in PARTS_OF_COMPOSE["gateway"]["networks"]
    # Webhooks go out; nobody else is where they leave, and nothing of it is published.
    assert [name for name, one in PARTS_OF_COMPOSE.items() if "outside" in one.get("networks", ())] == [
        "analytics-worker"
    ]
    assert {name for name, one in PARTS_OF_COMPOSE.items() if "api" in one.get("networks", ())} == {
        "gateway",
        *SERVICES,
    }


def test_the_gateway_leads_to_every_service_at_the_port_that_its_image_listens_on() -> None:
    command = [plain(argument) for argument in PARTS_OF_COMPOSE["gateway-config"]["command"]]
    given = dict(
        argument.removeprefix("--service=").split("=") for argument in command if argument.startswith("--service=")
    )
    assert given == {service: f"{service}:{CONTAINER_PORT}" for service in SERVICES}
    assert {route.service for route in load_routes(ROOT / "deploy/gateway/routes.json", SERVICES)} <= set(given)


def test_the_gateways_configuration_is_written_as_the_file_says(tmp_path: Path) -> None:
    command = [plain(argument) for argument in PARTS_OF_COMPOSE["gateway-config"]["command"]]
    command = [a.replace("/app/routes.json", str(ROOT / "deploy/gateway/routes.json")) for a in command]
    command[command.index("/config")] = str(tmp_path)
    assert gateway_write.main([*command, "--seen-at", "/config"]) == 0
    written = (tmp_path / "envoy.json").read_text(encoding="utf-8")
    assert '"/config/routes.json"' in written
    assert f'"port_value": {CONTAINER_PORT}' in written
    # Its health check asks the administration interface, which is loopback's.
    assert f"127.0.0.1/{gateway_write.ADMIN[1]} " in PARTS_OF_COMPOSE["gateway"]["healthcheck"]["test"][-1]


@pytest.mark.parametrize("name", [n for n in PARTS_OF_COMPOSE if n not in ("postgres", "kafka")])
def test_our_processes_have_no_rights_and_write_nowhere(name: str) -> None:
    one = PARTS_OF_COMPOSE[name]
    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", PARTS_OF_COMPOSE)
def test_every_container_has_limits_a_restart_policy_and_rotated_logs(name: str) -> None:
    one = PARTS_OF_COMPOSE[name]
    limits = one["deploy"]["resources"]["limits"]
    assert {"cpus", "memory"} <= limits.keys()
    assert one["restart"] == "no" if "profiles" in one else one["restart"] in ("unless-stopped", "on-failure:5")
    assert one["logging"]["driver"] == "json-file"
    assert one["logging"]["options"].keys() == {"max-size", "max-file"}


def test_up_with_wait_takes_no_ended_job_for_a_failure() -> None:
    """`docker compose up --wait` wants every container running, but for those whose completion another one waits for."""
    jobs = {name for name, one in PARTS_OF_COMPOSE.items() if one["restart"].startswith("on-failure")}
    adopted = {
        job
        for one in PARTS_OF_COMPOSE.values()
        for job, how in one.get("depends_on", {}).items()
        if how["condition"] == _COMPLETED
    }
    assert jobs == {f"{service}-prepare" for service in SERVICES} | {
        "gateway-config",
        "first-administrator",
        "kafka-prepare",
    }
    assert adopted == jobs


def test_processes_wait_for_nothing_but_their_own_jobs_and_need_not_even_these() -> None:
    """So one service can be started alone (`--no-deps`), and a job that failed keeps no process down that could serve."""
    ordered = {name: one["depends_on"] for name, one in PARTS_OF_COMPOSE.items() if "depends_on" in one}
    own = {f"{service}-worker": {f"{service}-prepare", "kafka-prepare"} for service in SERVICES}
    own["identity-worker"].add("first-administrator")
    hard = {"gateway": {"gateway-config"}, "first-administrator": {"identity-prepare"}}
    assert {name: set(needs) for name, needs in ordered.items()} == own | hard
    optional = {name for name, needs in ordered.items() if not all(how.get("required", True) for how in needs.values())}
    assert optional == own.keys()


def test_exactly_one_service_builds_an_image_and_the_others_take_it() -> None:
    """Two builds of one tag at once end with "already exists" (docker/buildx#3576)."""
    builders: dict[str, list[str]] = {}
    for name, one in PARTS_OF_COMPOSE.items():
        if one["image"].startswith("${CRM_IMAGES:-"):
            builders.setdefault(one["image"], []).extend([name] if "build" in one else [])
    assert list(builders.values()) == [[name] for (name,) in builders.values()]
    assert {name for (name,) in builders.values()} == {*SERVICES, "gateway-config", "kafka-prepare"}
    assert {name for name, one in PARTS_OF_COMPOSE.items() if "build" in one} == {name for (name,) in builders.values()}


@pytest.mark.parametrize("service", SERVICES)
def test_one_services_version_is_its_own_and_its_image_knows_it(service: str) -> None:
    """The version of one service stands in `.env`, so the next `up` of everything keeps it."""
    own = {f"CRM_{service.upper()}_VERSION": "1.4.3"}
    for name, one in PARTS_OF_COMPOSE.items():
        image, everybody = plain(one["image"], **own), plain(one["image"], CRM_VERSION="1.4.2")
        assert image.endswith(":1.4.3") == (f"/{service}:" in image), name
        assert everybody.endswith(":1.4.2") == image.startswith(_IMAGES), name
    built = PARTS_OF_COMPOSE[service]["build"]
    assert built["args"]["SERVICE"] == service
    assert plain(built["args"]["VERSION"], **own) == "1.4.3"
    # Of nobody's on a public registry: what isn't built or pulled from a registry of yours is not found.
    assert plain(PARTS_OF_COMPOSE[service]["image"]).startswith("localhost/")


@pytest.mark.parametrize(("name", "product"), [("postgres", "postgres"), ("kafka", "kafka"), ("gateway", "envoy")])
def test_images_are_of_the_versions_that_we_test_with(name: str, product: str) -> None:
    tag = PARTS_OF_COMPOSE[name]["image"].partition(":")[2]
    tested = version_of(product)
    # PostgreSQL's minor versions are interchangeable, and its image is named after the major one.
    assert tag.removeprefix("v") == (major(tested) if product == "postgres" else tested)


def test_the_data_folder_is_made_as_the_local_stack_makes_it() -> None:
    import inspect

    given = PARTS_OF_COMPOSE["postgres"]["environment"]["POSTGRES_INITDB_ARGS"].split()
    code = inspect.getsource(initialise)
    for argument in given:
        assert argument in code or argument == "--lc-ctype=C.UTF-8", argument
    assert {argument.partition("=")[0] for argument in given} == {
        "--encoding",
        "--locale",
        "--lc-ctype",
        "--locale-provider",
        "--builtin-locale",
    }


def test_postgres_has_connections_for_all_pools() -> None:
    command = PARTS_OF_COMPOSE["postgres"]["command"]
    (most,) = (int(part.partition("=")[2]) for part in command if part.startswith("-cmax_connections="))
    pools = sum(int(environment(PARTS_OF_COMPOSE[name])["CRM_POOL_MAX"]) for name, _, _ in processes())
    # Beside its pool a process listens, leads and relays on connections of its own; the jobs and an operator want a few.
    assert pools + 5 * len(processes()) <= most


def test_every_secret_is_made_and_every_made_secret_is_used(tmp_path: Path) -> None:
    folder = make_secrets(tmp_path / "secrets")
    made = {file.name for file in folder.iterdir()}
    # Subscribers are given whom to trust; the key that signs is for the next certificate, and in no container.
    kept = {"kafka-ca", "kafka-ca-key"}
    everything = [*PARTS_OF_COMPOSE.values(), *OVERRIDE["services"].values()]
    assert made - kept == COMPOSE["secrets"].keys() | OVERRIDE["secrets"].keys()
    assert made - kept == {secret for one in everything for secret in one.get("secrets", ())}
    assert (folder / "kafka-ca-key").stat().st_mode & 0o777 == 0o400
    assert folder.stat().st_mode & 0o777 == 0o700
    before = {file.name: file.read_text() for file in folder.iterdir()}
    (folder / "signing-key").unlink()
    make_secrets(folder)
    after = {file.name: file.read_text() for file in folder.iterdir()}
    assert {name for name in made if before[name] != after[name]} == {"signing-key"}
    assert before["postgres-password"] in before["superuser-url"]


@pytest.mark.parametrize("host", ["kafka.example.org", "192.0.2.7"])
def test_kafkas_certificate_is_for_the_name_that_subscribers_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("CRM_KAFKA_HOST", host)
    folder = make_secrets(tmp_path / "secrets")
    certificate = x509.load_pem_x509_certificate((folder / "kafka-certificate").read_bytes())
    authority = x509.load_pem_x509_certificate((folder / "kafka-ca").read_bytes())
    certificate.verify_directly_issued_by(authority)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    told = {str(name.value) for name in names}
    assert told == {host, "localhost", "127.0.0.1"}
    # Another certificate is of the same authority: who trusts it notices nothing.
    (folder / "kafka-certificate").unlink()
    make_secrets(folder)
    again = x509.load_pem_x509_certificate((folder / "kafka-certificate").read_bytes())
    assert again.serial_number != certificate.serial_number
    again.verify_directly_issued_by(authority)


def test_a_certificate_of_ones_own_is_kept_and_needs_to_say_who_signed_it(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "kafka-certificate").write_text("of mine")
    with pytest.raises(subprocess.CalledProcessError) as refused:
        make_secrets(folder)
    assert b"put into kafka-ca whoever signed it" in refused.value.stderr
    (folder / "kafka-ca").write_text("my authority")
    make_secrets(folder)
    assert (folder / "kafka-certificate").read_text() == "of mine"
    assert not (folder / "kafka-ca-key").exists()

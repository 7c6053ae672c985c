"""A file becomes a configuration: what its keys become, and what is said about what they cannot be."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from proxy.config import (
    Address,
    Config,
    ConfigError,
    FieldChanges,
    HealthCheck,
    Match,
    OriginSettings,
    OriginTls,
    OriginUrl,
    RespondAsync,
    Route,
    StoreUrl,
    TracingSettings,
    load,
    service,
)

ORIGINS = "origins: {legacy: {url: http://127.0.0.1:8000}}\n"
ROUTES = "routes: [{name: all, origin: legacy}]\n"


def loaded(tmp_path: Path, text: str, **environ: str) -> Config:
    """The text as a configuration, with one origin and one route where it has none of its own."""
    file = tmp_path / "proxy.yaml"
    base = "".join(part for part in (ORIGINS, ROUTES) if f"\n{part.partition(':')[0]}:" not in f"\n{text}")
    file.write_text(f"{text}\n{base}")
    return load(file, environ)


def problems(tmp_path: Path, text: str, **environ: str) -> list[str]:
    """What is wrong with the text, as `line: path: what`."""
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text, **environ)
    return [line.removeprefix(f"{tmp_path / 'proxy.yaml'}:") for line in str(caught.value).splitlines()]


def origin(tmp_path: Path, keys: str, **environ: str) -> OriginSettings:
    return loaded(tmp_path, f"origins: {{legacy: {{{keys}}}}}", **environ).origins["legacy"]


def route(tmp_path: Path, keys: str, **environ: str) -> Route:
    return loaded(tmp_path, f"routes: [{{name: all, origin: legacy, {keys}}}]", **environ).routes[0]


def test_the_defaults_are_those_of_the_documentation(tmp_path: Path) -> None:
    config = loaded(tmp_path, "")
    assert config.listen == (Address("127.0.0.1", 8080),)
    assert config.admin == Address("127.0.0.1", 8081)
    assert (config.tls, config.public_url) == (None, None)
    assert (config.status_path, config.name, config.trusted_proxies) == ("/.async/", "respond-async", ())
    assert config.store.url == StoreUrl("sqlite", Path("/var/lib/respond-async"))
    assert config.store.max_size == 10 * 1024**3
    assert config.limits.model_dump(mode="python") == {
        "header_timeout": "10s",
        "body_timeout": "30s",
        "min_upload_rate": "100B",
        "send_timeout": "1m",
        "keepalive_timeout": "75s",
        "max_fields": "32KiB",
        "max_connections": 10000,
        "max_operations_per_client": None,
    }
    assert config.drain_timeout == 30
    assert (config.log.level, config.log.format) == ("info", "auto")


def test_an_origin_has_defaults(tmp_path: Path) -> None:
    settings = origin(tmp_path, "url: http://10.0.0.5:8000")
    assert settings.url == (OriginUrl("http", "10.0.0.5", 8000, b"10.0.0.5:8000"),)
    assert (settings.connect_timeout, settings.keepalive_timeout, settings.max_connections) == (5, 4, 256)
    assert (settings.queue_timeout, settings.unhealthy_after, settings.unhealthy_for) == (5, 5, 2)
    assert settings.health_check is None
    assert (settings.host_header, settings.lenient, settings.tls) == ("preserve", False, OriginTls())
    assert settings.tls.verify


def test_an_origin_may_have_several_servers(tmp_path: Path) -> None:
    urls = origin(tmp_path, "url: ['http://a', 'HTTP://B:81/', 'http://[::1]:8000', 'unix:/run/x']").url
    assert [str(url) for url in urls] == ["http://a", "http://b:81", "http://[::1]:8000", "unix:/run/x"]


def test_a_health_check_has_defaults(tmp_path: Path) -> None:
    check = origin(tmp_path, "url: http://a, health_check: {path: /health}").health_check
    assert check == HealthCheck(path="/health", interval=5, timeout=2)


def test_a_route_has_defaults_and_is_not_asynchronous(tmp_path: Path) -> None:
    only = loaded(tmp_path, "").routes[0]
    assert (only.name, only.origin, only.match) == ("all", "legacy", Match())
    assert (only.timeout, only.idle_timeout, only.max_request_body) == (60, 60, 100 * 1024**2)
    assert (only.on_disconnect, only.strip_prefer, only.upgrade) == ("cancel", False, False)
    assert (only.strip_path, only.add_path, only.respond_async) == (None, None, None)
    assert only.request_headers == only.response_headers == FieldChanges()


@pytest.mark.parametrize("written", ["respond_async: {}", "respond_async: ", "respond_async: null"])
def test_an_empty_respond_async_takes_all_defaults(tmp_path: Path, written: str) -> None:
    settings = route(tmp_path, written).respond_async
    assert settings == RespondAsync()
    assert settings is not None
    assert (settings.wait, settings.max_wait, settings.timeout, settings.keep) == (2, 60, 1800, 3600)
    assert (settings.retry_after, settings.owner) == (1, "authorization")
    assert (settings.max_request_body, settings.max_response_body) == (10 * 1024**2, 100 * 1024**2)


def test_a_section_with_nothing_after_it_has_its_defaults(tmp_path: Path) -> None:
    assert loaded(tmp_path, "limits:\nstore:\nlog:\ntls:\nlisten:\npublic_url:\nadmin:\n") == loaded(tmp_path, "")


def test_server_tls_with_nothing_in_it_is_absent(tmp_path: Path) -> None:
    assert loaded(tmp_path, "tls: {cert_file: , key_file: }").tls is None


def test_files_are_relative_to_the_configuration(tmp_path: Path) -> None:
    for name in ("c.pem", "k.pem"):
        (tmp_path / name).touch()
    config = loaded(
        tmp_path, f"tls: {{cert_file: c.pem, key_file: {tmp_path}/k.pem}}\nstore: {{url: 'sqlite:x/../data'}}"
    )
    assert config.tls is not None
    assert (config.tls.cert_file, config.tls.key_file) == (tmp_path / "c.pem", tmp_path / "k.pem")
    assert config.store.url == StoreUrl("sqlite", tmp_path / "data")


def test_a_relative_configuration_file_still_gives_an_absolute_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "proxy.yaml").write_text(f"store: {{url: 'sqlite:data'}}\n{ORIGINS}{ROUTES}")
    monkeypatch.chdir(tmp_path)
    assert load(Path("proxy.yaml"), {}).store.url.folder == tmp_path / "data"


def test_values_are_ready_for_use(tmp_path: Path) -> None:
    config = loaded(tmp_path, "admin: off\ntrusted_proxies: [10.0.0.0/8, '::1']\npublic_url: HTTPS://Api.example.com/")
    assert config.admin is None
    assert config.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("::1/128"))
    assert config.public_url == "https://api.example.com"


def test_a_match_is_normalised(tmp_path: Path) -> None:
    match = route(tmp_path, "match: {path_regex: '/v[0-9]+', methods: [get, POST], host: '*.Example.COM'}").match
    assert match.path_regex is not None
    assert match.path_regex.match("/v12/x")
    assert match.methods == frozenset({"GET", "POST"})
    assert match.host == "*.example.com"


def test_field_changes_are_bytes(tmp_path: Path) -> None:
    changes = route(tmp_path, 'request_headers: {set: {X-Key: " a b ", X-N: 1, X-U: é}, remove: [Cookie]}')
    assert changes.request_headers.set == ((b"X-Key", b"a b"), (b"X-N", b"1"), (b"X-U", "é".encode()))
    assert changes.request_headers.remove == {b"cookie"}


def test_an_origin_may_ask_for_a_client_certificate(tmp_path: Path) -> None:
    for name in ("c.pem", "k.pem"):
        (tmp_path / name).touch()
    tls = origin(tmp_path, "url: 'https://x', tls: {client_cert: c.pem, client_key: k.pem, server_name: Y}").tls
    assert (tls.client_cert, tls.client_key, tls.server_name) == (tmp_path / "c.pem", tmp_path / "k.pem", "y")


def test_tunnels_can_be_allowed_and_declined(tmp_path: Path) -> None:
    assert route(tmp_path, "upgrade: true").upgrade
    assert not route(tmp_path, "upgrade: false").upgrade


@pytest.mark.parametrize("url", ["sqlite://x", "sqlite:", "sqlite:////x", "postgres:x", "memory", "memory:x", "x"])
def test_other_stores_are_refused(tmp_path: Path, url: str) -> None:
    said = "must be `sqlite:///absolute/folder`, `sqlite:relative/folder` or `memory:`"
    assert problems(tmp_path, f"store: {{url: '{url}'}}") == [f"1: store.url: {said}"]


def test_tracing_is_off_unless_it_is_configured(tmp_path: Path) -> None:
    assert loaded(tmp_path, "tracing:").tracing is None
    tracing = loaded(tmp_path, "tracing: {otlp: 'https://Collector:4318/otel/'}").tracing
    assert tracing == TracingSettings(otlp="https://Collector:4318/otel", sample=1.0)
    assert loaded(tmp_path, "tracing: {otlp: 'http://x', sample: 0}").tracing == TracingSettings(
        otlp="http://x", sample=0.0
    )


def test_tracing_without_its_extra_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "1: tracing: needs more than is installed: `pip install 'respond-async[otel]'`"
    monkeypatch.setattr(service, "OTEL", ("opentelemetry.nowhere",))
    assert problems(tmp_path, "tracing: {otlp: 'http://x'}") == [said]
    monkeypatch.setattr(service, "OTEL", ("opentelemetrie.sdk.trace",))
    assert problems(tmp_path, "tracing: {otlp: 'http://x'}") == [said]


def test_memory_is_a_store(tmp_path: Path) -> None:
    assert loaded(tmp_path, "store: {url: 'memory:'}").store.url == StoreUrl("memory")


@pytest.mark.parametrize("admin", ["127.0.0.1:1", "127.1.2.3:1", "'[::1]:1'", "localhost:1", "unix:/run/x.sock", "off"])
def test_operators_on_this_machine_need_no_token(tmp_path: Path, admin: str) -> None:
    assert loaded(tmp_path, f"admin: {admin}").admin_token is None


def test_operators_elsewhere_need_one_which_is_never_shown(tmp_path: Path) -> None:
    config = loaded(tmp_path, "admin: :8081\nadmin_token: correct-horse-battery")
    assert config.admin_token is not None
    assert config.admin_token.get_secret_value() == "correct-horse-battery"
    assert "battery" not in f"{config!r} {config.model_dump()} {config.model_dump_json()}"


def test_a_configuration_is_frozen(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        setattr(loaded(tmp_path, ""), "name", "other")  # noqa: B010 - mypy forbids the plain way


def test_a_configuration_is_made_in_python_too() -> None:
    changes = FieldChanges(set=((b"X", b"y"),))
    only = Route(name="a", origin="b", respond_async=RespondAsync(wait=0.05), request_headers=changes)
    config = Config(
        listen="[::1]:0",
        admin="off",
        tls={"cert_file": Path(__file__), "key_file": Path(__file__)},
        store={"url": StoreUrl("memory")},
        origins={"b": OriginSettings(url="unix:/run/x")},
        routes=[only],
    )
    assert config.routes == (only,)
    assert config.store.url == StoreUrl("memory")
    assert config.listen == (Address("::1", 0),)


def test_references_are_checked_in_python_too() -> None:
    with pytest.raises(ValueError, match="there is no such origin"):
        Config(origins={}, routes=[Route(name="a", origin="b")])


# What is wrong, one thing at a time: the text, and what is said after `file:`.

WRONG = [
    ("nam: x", "1: nam: unknown key; did you mean `name`?"),
    ("limits: {hedder_timeout: 1s}", "1: limits.hedder_timeout: unknown key; did you mean `header_timeout`?"),
    ("zzz: 1", "1: zzz: unknown key; here are `listen`, `tls`, `admin_token`, `admin`, `public_url`, `status_path`, `name`, `trusted_proxies`, `store`, `limits`, `workers`, `drain_timeout`, `log`, `tracing`, `origins`, `routes`"),
    ("max_wait: 1s", "1: max_wait: unknown key; it belongs to `routes[].respond_async`"),
    ("limits: {keep: 1h}", "1: limits.keep: unknown key; it belongs to `routes[].respond_async`"),
    ("keepalive_timeout: 1s", "1: keepalive_timeout: unknown key; it belongs to `limits` or `origins.NAME`"),
    ("limits:\n  header_timeout: 60", "2: limits.header_timeout: must be a duration with its unit, such as `500ms`, `2s`, `15m` or `1h`; did you mean `60s`?"),
    ("limits:\n\n  body_timeout: 1:30", "3: limits.body_timeout: must be a duration with its unit, such as `500ms`, `2s`, `15m` or `1h`"),
    ("limits: {body_timeout: 0s}", "1: limits.body_timeout: must be more than zero"),
    ("limits: {body_timeout: 9000h}", "1: limits.body_timeout: is too large"),
    ("limits: {body_timeout: [1s]}", "1: limits.body_timeout: must be a single value"),
    ("limits: {max_fields: 65536}", "1: limits.max_fields: must be a size with its unit, such as `512B`, `64KiB`, `10MiB` or `1GiB`; did you mean `65536B`?"),
    ("limits: {max_fields: 10mb}", "1: limits.max_fields: must be a size with its unit, such as `512B`, `64KiB`, `10MiB` or `1GiB`; did you mean `10MiB`?"),
    ("limits: {max_fields: lots}", "1: limits.max_fields: must be a size with its unit, such as `512B`, `64KiB`, `10MiB` or `1GiB`"),
    ("limits: {max_fields: 0B}", "1: limits.max_fields: must be more than zero"),
    ("limits: {max_connections: many}", "1: limits.max_connections: must be a whole number"),
    ("limits: {max_connections: 1_000}", "1: limits.max_connections: must be a whole number"),
    ("limits: {max_connections: -1}", "1: limits.max_connections: must be more than zero"),
    ("limits: {max_connections: 1000000000}", "1: limits.max_connections: is too large"),
    ("workers: 99999999999999999999", "1: workers: is too large"),
    ("limits: {max_connections: 0}", "1: limits.max_connections: must be more than zero"),
    ("limits: {min_upload_rate: 100}", "1: limits.min_upload_rate: must be a size with its unit, such as `512B`, `64KiB`, `10MiB` or `1GiB`; did you mean `100B`?"),
    ("limits: {max_operations_per_client: 0}", "1: limits.max_operations_per_client: must be more than zero"),
    ("limits: 5s", "1: limits: must be a mapping"),
    ("log: {level: loud}", "1: log.level: must be `debug`, `info`, `warning` or `error`"),
    ("tracing: {}", "1: tracing.otlp: is required"),
    (
        "tracing: {otlp: 'localhost:4318'}",
        "1: tracing.otlp: must begin with `http://` or `https://`; did you mean `http://localhost:4318`?",
    ),
    ("tracing: {otlp: 'http://x/v1/traces'}", "1: tracing.otlp: must end before `/v1/traces`, which is added"),
    ("tracing: {otlp: 'http://x?a'}", "1: tracing.otlp: must have no query, fragment or space"),
    ("tracing: {otlp: 'http://u:p@x'}", "1: tracing.otlp: must not contain a user or password"),
    ("tracing: {otlp: 'http://x', sample: 10%}", "1: tracing.sample: must be a number from 0 to 1, such as `0.1`"),
    ("tracing: {otlp: 'http://x', sample: 1.5}", "1: tracing.sample: is too large"),
    ("listen: []", "1: listen: must not be empty"),
    ("listen: [127.0.0.1:1, [x]]", "1: listen[1]: must be a single value"),
    ("listen: [127.0.0.1:1, ~]", "1: listen[1]: must not be empty"),
    ("listen: 8080", "1: listen: must name host and port; did you mean `127.0.0.1:8080`, or `:8080` for all interfaces?"),
    ("listen: {a: 1}", "1: listen: must be a list"),
    ("admin: 127.0.0.1:8080", "1: admin: must not be one of the addresses of `listen`"),
    ("listen: :8081\nadmin: :8081", "2: admin: must not be one of the addresses of `listen`"),
    ("admin: :8081", "1: admin: can be reached from other machines: set `admin_token` too, or use an address such as 127.0.0.1:8081"),
    ("admin: 0.0.0.0:8081", "1: admin: can be reached from other machines: set `admin_token` too, or use an address such as 127.0.0.1:8081"),
    ("admin: '[::]:8081'", "1: admin: can be reached from other machines: set `admin_token` too, or use an address such as 127.0.0.1:8081"),
    ("admin: proxy.example:8081", "1: admin: can be reached from other machines: set `admin_token` too, or use an address such as 127.0.0.1:8081"),
    ("admin: :8081\nadmin_token: short", "2: admin_token: must be at least 16 characters, of ASCII and without spaces, as `openssl rand -hex 24` prints"),
    ("admin_token: correct horse battery", "1: admin_token: must be at least 16 characters, of ASCII and without spaces, as `openssl rand -hex 24` prints"),
    ("tls: {cert_file: no.pem, key_file: }", "1: tls.key_file: is required"),
    ("status_path: /", "1: status_path: must begin and end with `/`, with a name between, as in `/.async/`"),
    ("status_path: /async", "1: status_path: must begin and end with `/`, with a name between, as in `/.async/`"),
    ("name: a b", "1: name: must be a token of RFC 9110: letters, digits and !#$%&'*+-.^_`|~ only"),
    ("name: ''", "1: name: must be a token of RFC 9110: letters, digits and !#$%&'*+-.^_`|~ only"),
    ("public_url: https://a/b", "1: public_url: must end after host and port: where status URLs live is `status_path`"),
    ("trusted_proxies: [10.0.0.1/8]", "1: trusted_proxies[0]: must be an IP network or address, such as `10.0.0.0/8`; did you mean `10.0.0.0/8`?"),
    ("trusted_proxies: [a, [b]]", "1: trusted_proxies[1]: must be an IP network or address, such as `10.0.0.0/8`"),
    ('store: {url: "sqlite:\\0"}', "1: store.url: must not contain a NUL"),
    ("origins: []", "1: origins: must be a mapping; it has a name for each origin, and below that its `url`, without `-`"),
    ("origins: {legacy: }", "1: origins.legacy.url: is required"),
    ("origins: {legacy: {url: }}", "1: origins.legacy.url: is required"),
    ("origins: {'a b': {url: 'unix:/x'}, legacy: {url: 'unix:/x'}}", "1: origins.a b: must be a token of RFC 9110: letters, digits and !#$%&'*+-.^_`|~ only"),
    ("origins: {legacy: {url: 'http://x/y'}}", "1: origins.legacy.url: must end after host and port: a path before the target is the route's `add_path`"),
    ("origins: {legacy: {url: 'http://bücher.de:80'}}", "1: origins.legacy.url: must name its host in ASCII; write it as `xn--bcher-kva.de:80`"),
    ("listen: 'ü:80'", "1: listen: must name its host in ASCII; write it as `xn--tda:80`"),
    ("origins: {legacy: {url: 'http://ü..de'}}", "1: origins.legacy.url: must name its host in ASCII"),
    ("origins: {legacy: {url: []}}", "1: origins.legacy.url: must not be empty"),
    ("origins: {legacy: {url: ['http://a', 'x']}}", "1: origins.legacy.url[1]: must begin with `http://` or `https://`; did you mean `http://x`?"),
    ("origins: {legacy: {url: ['http://a', 'https://a']}}", "1: origins.legacy.url: must have the same scheme for all its servers"),
    ("origins: {legacy: {url: ['http://a', 'http://A:80']}}", "1: origins.legacy.url: names a server twice"),
    ("origins: {legacy: {url: 'unix:/x', health_check: {}}}", "1: origins.legacy.health_check.path: is required"),
    ("origins: {legacy: {url: 'unix:/x', lenient: yes}}", "1: origins.legacy.lenient: must be `true` or `false`; did you mean `true`?"),
    ("origins: {legacy: {url: 'unix:/x', tls: {verify: false}}}", "1: origins.legacy.tls: is for `https://` origins, and this one's `url` is not"),
    ("origins: {legacy: {url: 'https://x', tls: {client_key: proxy.yaml}}}", "1: origins.legacy.tls.client_key: needs `client_cert` beside it"),
    ("origins: {legacy: {url: 'https://x', tls: {server_name: '*.x'}}}", "1: origins.legacy.tls.server_name: must be a host without port, such as `api.example.com`"),
    ("routes: []", "1: routes: must not be empty"),
    ("routes: {}", "1: routes: must be a list; each of its routes begins with `- `"),
    ("routes:\n  - name: a\n    origin: legacyy", "3: routes[0].origin: there is no such origin; `legacyy` is none of `legacy`; did you mean `legacy`?"),
    ("routes:\n  - {name: a, origin: legacy}\n  - {name: a, origin: legacy}", "3: routes[1].name: is the name of routes[0] too, in line 2"),
    ("routes: [x]", "1: routes[0]: must be a mapping"),
    ("listen: 127.0.0.1:8081", "1: admin: must not be one of the addresses of `listen`; unless written, it is 127.0.0.1:8081"),
    ("limits: {none: 1}", "1: limits.none: unknown key; here are `header_timeout`, `body_timeout`, `min_upload_rate`, `send_timeout`, `keepalive_timeout`, `max_fields`, `max_connections`, `max_operations_per_client`"),
    ("origins:\n  legacy:\n  url: http://a", "3: origins.url: must be a mapping; `url` is a key of one origin: indent it below the origin's name"),
    ("origins:\nlegacy:\n  url: http://a", "2: legacy: unknown key; it looks like an origin: indent it below `origins`"),
    ("origins:\n  legacy: {url: http://a}\n  routes: []", "3: origins.routes: must be a mapping; `routes` belongs to the top level: indent it less"),
]  # fmt: skip
WRONG_ROUTES = [
    ("respond_async: true", "respond_async: is a section: `respond_async: {}` takes its defaults, and without the key it is off"),
    ("respond_async: {wait: 2m}", "respond_async.wait: must not be more than `max_wait`, which is 1m unless written"),
    ("respond_async: {max_wait: 1s}", "respond_async.max_wait: must not be less than `wait`, which is 2s unless written"),
    ("respond_async: {wait: 9s, max_wait: 8s}", "respond_async.max_wait: must not be less than `wait`"),
    ("respond_async: {wait: 9s, max_wait: 8}", "respond_async.max_wait: must be a duration with its unit, such as `500ms`, `2s`, `15m` or `1h`; did you mean `8s`?"),
    ("respond_async: {wait: [9s], max_wait: 1s}", "respond_async.wait: must be a single value"),
    ("respond_async: {wait: -1s}", "respond_async.wait: must be a duration with its unit, such as `500ms`, `2s`, `15m` or `1h`"),
    ("respond_async: {keep: 0s}", "respond_async.keep: must be more than zero"),
    ("respond_async: {max_queued: -1}", "respond_async.max_queued: must be zero or more"),
    ("respond_async: {max_queued: 99999999999999999999}", "respond_async.max_queued: is too large"),
    ("respond_async: {owner: me}", "respond_async.owner: must be `authorization` or `none`"),
    ("upgrade: yes", "upgrade: must be `true` or `false`; did you mean `true`?"),
    ("strip_path: legacy", "strip_path: must begin with `/`; what a URL's path cannot contain is percent-encoded"),
    ("add_path: /app/", "add_path: must not end with `/`; did you mean `/app`?"),
    ("add_path: /", "add_path: must not end with `/`"),
    ("match: {path: x}", "match.path: must begin with `/`; what a URL's path cannot contain is percent-encoded"),
    ("match: {path: '/x?y'}", "match.path: must begin with `/`; what a URL's path cannot contain is percent-encoded"),
    ("match: {path: /x, path_regex: y}", "match.path_regex: cannot stand beside `path`: use one of them"),
    ("match: {path_regex: '('}", "match.path_regex: must be a regular expression of Python's `re`; missing ), unterminated subpattern at position 0"),
    ("match: {path_regex: '[[a]'}", "match.path_regex: must be a regular expression of Python's `re`; Possible nested set at position 1"),
    (r"match: {path_regex: '\u0061'}", r"match.path_regex: must be a regular expression of Python's `re`; bad escape \u at position 0"),
    ("match: {methods: GET}", "match.methods: must be a list; did you mean `[GET]`?"),
    ("match: {methods: 'GET, HEAD'}", "match.methods: must be a list; did you mean `[GET, HEAD]`?"),
    ("response_headers: {remove: 'a]'}", 'response_headers.remove: must be a list; did you mean `["a]"]`?'),
    ("match: {methods: []}", "match.methods: must not be empty"),
    ("match: {methods: ['G T']}", "match.methods[0]: must be a token of RFC 9110: letters, digits and !#$%&'*+-.^_`|~ only"),
    ("match: {host: 'a.b:80'}", "match.host: must be a host without port, such as `api.example.com`"),
    ("match: {host: bücher.de}", "match.host: must name its host in ASCII; write it as `xn--bcher-kva.de`"),
    ("match: {host: 'bücher.de:80'}", "match.host: must be a host without port, such as `api.example.com`"),
    ("match: {host: 'fußball.de'}", "match.host: must name its host in ASCII"),
    ("match: {host: 'ü ü.de'}", "match.host: must name its host in ASCII"),
    ("match: {host: '*.bücher.de'}", "match.host: must name its host in ASCII; write it as `*.xn--bcher-kva.de`"),
    ("match: {host: 'a.*'}", "match.host: must be a host without port, such as `api.example.com`"),
    ("request_headers: {set: [a]}", "request_headers.set: must be a mapping"),
    ("request_headers: {set: {X-A: }}", "request_headers.set.X-A: must not be empty"),
    ("request_headers: {set: {X-A: [1]}}", "request_headers.set.X-A: must be a single value"),
    ('request_headers: {set: {X-A: "a\\nb"}}', "request_headers.set.X-A: must not contain control characters"),
    ("request_headers: {set: {X-A: 1, x-a: 2}}", "request_headers.set: names a field twice: case does not count in field names"),
    ("request_headers: {set: {'X A': 1}}", "request_headers.set.X A: must be a token of RFC 9110: letters, digits and !#$%&'*+-.^_`|~ only"),
    ("request_headers: {set: {Host: a}}", "request_headers: cannot change Host: the origin's `host_header` says which one is sent"),
    ("request_headers: {remove: [host]}", "request_headers: cannot change Host: the origin's `host_header` says which one is sent"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), WRONG, ids=[text for text, _ in WRONG])
def test_what_is_wrong_is_said_with_its_line_and_key(tmp_path: Path, text: str, said: str) -> None:
    assert said in problems(tmp_path, text)


@pytest.mark.parametrize(("keys", "said"), WRONG_ROUTES, ids=[keys for keys, _ in WRONG_ROUTES])
def test_what_is_wrong_with_a_route_is_said(tmp_path: Path, keys: str, said: str) -> None:
    assert problems(tmp_path, f"routes: [{{name: all, origin: legacy, {keys}}}]") == [f"1: routes[0].{said}"]


@pytest.mark.parametrize(
    "name",
    [
        "Connection",
        "content-length",
        "HTTP2-Settings",
        "Keep-Alive",
        "Proxy-Connection",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
    ],
)
@pytest.mark.parametrize("key", ["request_headers", "response_headers"])
def test_fields_of_framing_and_connection_cannot_be_changed(tmp_path: Path, key: str, name: str) -> None:
    said = f"the proxy itself makes the fields of framing and of the connection; leave {name} out"
    keys = f"{key}: {{set: {{{name}: x}}, remove: [{name}]}}"
    assert problems(tmp_path, f"routes: [{{name: all, origin: legacy, {keys}}}]") == [
        f"1: routes[0].{key}.set.{name}: {said}",
        f"1: routes[0].{key}.remove[0]: {said}",
    ]


def test_host_of_a_response_is_a_field_like_any_other(tmp_path: Path) -> None:
    assert route(tmp_path, "response_headers: {remove: [Host]}").response_headers.remove == {b"host"}


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    text = "tls: {cert_file: no.pem, key_file: proxy.yaml}"
    assert problems(tmp_path, text) == [f"1: tls.cert_file: there is no such file; looked for {tmp_path}/no.pem"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        pytest.param("a" * 300, "cannot be looked for: File name too long", id="too long"),
        pytest.param("proxy.yaml/x", "there is no such file; looked for {}/proxy.yaml/x", id="below a file"),
        pytest.param(".", "there is no such file; looked for {}", id="a folder"),
    ],
)
def test_a_file_that_cannot_be_looked_for_is_a_problem_like_any_other(tmp_path: Path, name: str, said: str) -> None:
    text = f'tls: {{cert_file: "{name}", key_file: proxy.yaml}}'
    assert problems(tmp_path, text) == [f"1: tls.cert_file: {said.format(tmp_path)}"]


def test_all_problems_are_reported_at_once_and_by_line(tmp_path: Path) -> None:
    text = "limits: {header_timeout: 1}\nroutes:\n- name: a\n  origin: lost\n  timeout: 1\n- name: a\nlog: x"
    assert [line.rpartition(": ")[0] for line in problems(tmp_path, text)] == [
        "1: limits.header_timeout",
        "4: routes[0].origin",
        "5: routes[0].timeout",
        "6: routes[1].origin",
        "6: routes[1].name",
        "7: log",
    ]


def test_problems_can_be_had_one_by_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, "\nlog: {level: loud}")
    (problem,) = caught.value.problems
    assert (problem.file, problem.line, problem.path) == (str(tmp_path / "proxy.yaml"), 2, "log.level")


# The environment.


@pytest.mark.parametrize(
    ("text", "environ", "value"),
    [
        pytest.param("name: ${N}", {"N": "edge"}, "edge", id="whole"),
        pytest.param("name: a-${N}-${N}", {"N": "b"}, "a-b-b", id="in part, and twice"),
        pytest.param('name: "${N}"', {"N": "edge"}, "edge", id="quoted"),
        pytest.param("name: ${N:-edge}", {}, "edge", id="default"),
        pytest.param("name: ${N:-edge}", {"N": ""}, "edge", id="empty takes the default"),
        pytest.param("name: ${N:-}", {}, "respond-async", id="nothing at all is the key's default"),
        pytest.param("name: ${N}", {"N": "null"}, "null", id="never read as YAML"),
        pytest.param("name: $N", {}, "$N", id="a dollar alone is a dollar"),
    ],
)
def test_values_come_from_the_environment(tmp_path: Path, text: str, environ: dict[str, str], value: str) -> None:
    assert loaded(tmp_path, text, **environ).name == value


@pytest.mark.parametrize(
    ("value", "header"),
    [
        pytest.param("$${A}", b"${A}", id="escaped"),
        pytest.param("${A}", b"${B}", id="not searched again"),
        pytest.param("${C}", b"{a: 1}", id="no structure"),
    ],
)
def test_interpolated_text_stays_text(tmp_path: Path, value: str, header: bytes) -> None:
    keys = f"request_headers: {{set: {{X: '{value}'}}}}"
    assert route(tmp_path, keys, A="${B}", C="{a: 1}").request_headers.set == ((b"X", header),)


def test_numbers_durations_sizes_and_flags_come_from_the_environment(tmp_path: Path) -> None:
    text = "limits: {max_connections: '${N}', body_timeout: '${N}s', max_fields: '${N:-1}KiB'}"
    limits = loaded(tmp_path, text, N="7").limits
    assert (limits.max_connections, limits.body_timeout, limits.max_fields) == (7, 7.0, 7168)
    assert origin(tmp_path, "url: '${U}', lenient: '${F}'", U="http://x", F="true").lenient


@pytest.mark.parametrize("text", ["name: ${lost}", "name: x${lost}y"])
def test_a_variable_that_is_not_set_is_one_problem(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, f"\n{text}") == ["2: name: environment variable lost is not set"]


def test_a_required_value_that_is_not_set_is_one_problem(tmp_path: Path) -> None:
    said = ["1: origins.legacy.url: environment variable U is not set"]
    assert problems(tmp_path, "origins: {legacy: {url: '${U}'}}") == said


@pytest.mark.parametrize("text", ["${", "${}", "${1}", "${A", "${A:?x}", "x${A-b}"])
def test_half_a_variable_is_refused(tmp_path: Path, text: str) -> None:
    said = "has a `${` that is neither `${NAME}` nor `${NAME:-default}`; a literal one is written `$${`"
    assert problems(tmp_path, f"name: '{text}'") == [f"1: name: {said}"]


@pytest.mark.parametrize(
    "text",
    [
        "limits: {header_timeout: '${S}'}",
        "limits: {max_fields: '${S}'}",
        "limits: {max_connections: 'x${S}'}",
        "listen: '${S}'",
        "tls: {cert_file: '${S}', key_file: '${S}'}",
        "trusted_proxies: ['${S}/33']",
        "routes: [{name: a, origin: 'legacy${S}'}]",
        "routes: [{name: a, origin: legacy, add_path: '/${S}/'}]",
        "routes: [{name: a, origin: legacy, match: {path_regex: '(?P<${S}>'}}]",
        'routes: [{name: a, origin: legacy, request_headers: {set: {X: "${S}\\n"}}}]',
        "origins: {legacy: {url: 'http://${S}@x'}}",
        "log: {level: '${S}'}",
        "store: {url: '${S}'}",
    ],
)
def test_messages_do_not_repeat_what_came_from_the_environment(tmp_path: Path, text: str) -> None:
    assert not [line for line in problems(tmp_path, text, S="12345") if "12345" in line]


def test_an_environment_that_is_no_text_is_refused(tmp_path: Path) -> None:
    assert problems(tmp_path, "name: ${N}", N="a\udcff") == ["1: name: is not UTF-8 text"]

"""The certificates and keys that a configuration names: what is said of those that cannot be used."""

import ssl
import subprocess
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from proxy.config import ConfigError, UnusableFiles, load, load_to_serve
from proxy.config.certificates import ENCRYPTED, Unusable, for_clients, for_origin
from proxy.config.findings import findings
from proxy.config.origins import OriginTls
from proxy.config.service import ServerTls
from tests.conftest import encrypted, self_signed

TOP = """\
tls:
  cert_file: {cert}
  key_file: {key}
origins: {{one: {{url: "http://127.0.0.1:9"}}}}
routes: [{{name: all, origin: one}}]
store: {{url: "memory:"}}
"""
ORIGIN = """\
store: {{url: "memory:"}}
routes: [{{name: all, origin: one}}]
origins:
  one:
    url: https://127.0.0.1
    tls:
      {first}
      {second}
"""
ANOTHERS = "the key does not belong to the certificate in `cert_file`, or the first one there; name the one that it was made with"


@pytest.fixture(scope="module")
def files(certificate: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By what they are."""
    folder = tmp_path_factory.mktemp("files")
    cert, key = certificate
    _, another = self_signed(folder, "DNS:localhost")
    made = {"cert": cert, "key": key, "another": another, "encrypted": encrypted(key, folder)}
    subprocess.run(["openssl", "genrsa", "-out", folder / "rsa", "2048"], check=True, capture_output=True)
    subprocess.run(["openssl", "genpkey", "-algorithm", "X25519", "-out", folder / "x25519"], check=True)
    subprocess.run(["openssl", "pkey", "-in", folder / "x25519", "-pubout", "-out", folder / "public"], check=True)
    of_x25519 = [
        "openssl",
        "x509",
        "-new",
        "-subj",
        "/CN=x25519",
        "-force_pubkey",
        f"{folder}/public",
        "-signkey",
        f"{key}",
    ]
    subprocess.run([*of_x25519, "-out", folder / "of x25519"], check=True, capture_output=True)
    weak = ["openssl", "req", "-x509", "-newkey", "rsa:512", "-nodes", "-subj", "/CN=weak"]
    subprocess.run([*weak, "-keyout", folder / "weak key", "-out", folder / "weak"], check=True, capture_output=True)
    subprocess.run(
        ["openssl", "x509", "-in", cert, "-outform", "DER", "-out", folder / "der"], check=True, capture_output=True
    )
    (folder / "text").write_text("nothing\n")
    (folder / "both").write_bytes(cert.read_bytes() + key.read_bytes())
    for name, whole in (("cut cert", cert), ("cut key", key)):
        (folder / name).write_text("\n".join(whole.read_text().splitlines()[:2]))
    return made | {
        name: folder / name
        for name in ("rsa", "x25519", "of x25519", "weak", "weak key", "der", "text", "both", "cut cert", "cut key")
    }


def said(folder: Path, text: str) -> list[str]:
    """By `check`, which is the same as by `serve`."""
    file = folder / "proxy.yaml"
    file.write_text(text)
    found = findings(file, {}).errors
    with pytest.raises(UnusableFiles) if found else nullcontext() as refused:
        load_to_serve(file, {})
    assert refused is None or refused.value.problems == found
    return [str(one).removeprefix(f"{file}:") for one in found]


@pytest.mark.parametrize(
    ("cert", "key", "told"),
    [
        pytest.param("cert", "key", [], id="good"),
        pytest.param("both", "both", [], id="both in one file"),
        pytest.param("cert", "encrypted", [f"3: tls.key_file: {ENCRYPTED}"], id="encrypted"),
        pytest.param("key", "key", ["2: tls.cert_file: holds no certificate in PEM form, but a key"], id="keys only"),
        pytest.param("text", "key", ["2: tls.cert_file: holds no certificate in PEM form"], id="text"),
        pytest.param("der", "key", ["2: tls.cert_file: holds no certificate in PEM form"], id="another form"),
        pytest.param("cert", "cert", ["3: tls.key_file: holds no key in PEM form"], id="certificates only"),
        pytest.param("cert", "another", [f"3: tls.key_file: {ANOTHERS}"], id="another's key"),
        pytest.param("cert", "rsa", [f"3: tls.key_file: {ANOTHERS}"], id="a key of another kind"),
        pytest.param("cert", "x25519", [f"3: tls.key_file: {ANOTHERS}"], id="a key of a kind that no certificate has"),
        pytest.param("of x25519", "x25519", ["2: tls.cert_file: the certificate cannot be used: unknown certificate type"], id="a certificate of that kind"),
        pytest.param("weak", "weak key", ["2: tls.cert_file: the certificate cannot be used: ee key too small"], id="weak"),
        pytest.param("cut cert", "key", ["2: tls.cert_file: the certificate is damaged"], id="half a certificate"),
        pytest.param("cert", "cut key", ["3: tls.key_file: the key is damaged"], id="half a key"),
    ],
)  # fmt: skip
def test_of_those_for_clients(cert: str, key: str, told: list[str], files: dict[str, Path], tmp_path: Path) -> None:
    assert said(tmp_path, TOP.format(cert=files[cert], key=files[key])) == told


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        pytest.param("ca_file: {cert}", "", [], id="authorities"),
        pytest.param("ca_file: {key}", "", ["7: origins.one.tls.ca_file: holds no certificate in PEM form, but a key"], id="a key"),
        pytest.param("ca_file: {cut cert}", "", ["7: origins.one.tls.ca_file: a certificate in it is damaged"], id="half an authority"),
        pytest.param("client_cert: {both}", "", [], id="both in one file"),
        pytest.param(
            "client_cert: {cert}", "",
            ["7: origins.one.tls.client_cert: holds no key in PEM form, and there is no `client_key`"], id="no key",
        ),
        pytest.param("client_cert: {cert}", "client_key: {encrypted}", [f"8: origins.one.tls.client_key: {ENCRYPTED}"], id="encrypted"),
        pytest.param(
            "client_cert: {cert}", "client_key: {another}",
            [f"8: origins.one.tls.client_key: {ANOTHERS.replace('cert_file', 'client_cert')}"], id="another's key",
        ),
    ],
)  # fmt: skip
def test_of_those_for_an_origin(
    first: str, second: str, told: list[str], files: dict[str, Path], tmp_path: Path
) -> None:
    text = ORIGIN.format(first=first.format(**files), second=second.format(**files))
    assert said(tmp_path, text) == told


def test_each_section_with_a_wrong_one_is_told(files: dict[str, Path], tmp_path: Path) -> None:
    origin = f"origins: {{one: {{url: 'https://127.0.0.1', tls: {{ca_file: {files['text']}}}}}}}"
    text = TOP.format(cert=files["text"], key=files["key"]).replace(
        'origins: {one: {url: "http://127.0.0.1:9"}}', origin
    )
    assert [one.partition(": holds")[0] for one in said(tmp_path, text)] == [
        "2: tls.cert_file",
        "4: origins.one.tls.ca_file",
    ]


def test_who_only_asks_the_service_needs_none_of_them(files: dict[str, Path], tmp_path: Path) -> None:
    file = tmp_path / "proxy.yaml"
    file.write_text(TOP.format(cert=files["text"], key=files["key"]))
    assert load(file, {}).tls is not None


def test_one_that_this_user_cannot_read_is_noted_as_another_may_serve(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "proxy.yaml"
    file.write_text(TOP.format(cert=files["cert"], key=files["key"]))
    read = Path.read_bytes

    def read_bytes(self: Path) -> bytes:
        if self == files["key"]:
            raise PermissionError(13, "Permission denied")
        return read(self)

    def load_cert_chain(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", load_cert_chain)
    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    found = findings(file, {})
    assert found.errors == ()
    assert [str(one) for one in found.notes] == [f"{file}:3: tls.key_file: cannot be read: Permission denied"]
    with pytest.raises(ConfigError, match=r"tls\.key_file: cannot be read: Permission denied"):
        load_to_serve(file, {})


def test_one_in_a_folder_that_this_user_cannot_search_is_noted_as_another_may_serve(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, closed = tmp_path / "proxy.yaml", tmp_path / "closed"
    file.write_text(TOP.format(cert=closed / "cert.pem", key=files["key"]))

    def guarded(look: Callable[..., object]) -> Callable[..., object]:
        def looking(self: Path, *args: object, **options: object) -> object:
            if closed in self.parents:
                raise PermissionError(13, "Permission denied")
            return look(self, *args, **options)

        return looking

    monkeypatch.setattr(Path, "stat", guarded(Path.stat))
    monkeypatch.setattr(Path, "read_bytes", guarded(Path.read_bytes))
    found = findings(file, {})
    assert found.errors == ()
    assert [str(one) for one in found.notes] == [f"{file}:2: tls.cert_file: cannot be read: Permission denied"]


def test_a_path_from_the_environment_is_not_repeated(files: dict[str, Path], tmp_path: Path) -> None:
    file = tmp_path / "proxy.yaml"
    file.write_text(TOP.format(cert=files["cert"], key="${SECRET_PLACE}"))
    (problem,) = findings(file, {"SECRET_PLACE": str(files["encrypted"])}).errors
    assert str(files["encrypted"]) not in str(problem)


def test_whoever_loads_them_later_is_not_asked_either(files: dict[str, Path]) -> None:
    cert, key = files["cert"], files["encrypted"]
    with pytest.raises(Unusable, match=r"`tls\.key_file`.*is encrypted"):
        for_clients(ServerTls(cert_file=cert, key_file=key))
    with pytest.raises(Unusable, match=r"`origins\.one\.tls\.client_key`.*is encrypted"):
        for_origin("one", OriginTls(client_cert=cert, client_key=key))

"""The checks of the pages: their files, the port, who gets in, what goes out."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

from assist.doctor.finding import Finding, bad, ok, warning
from assist.live.writing import socket_path
from assist.settings import Settings
from overlay.errors import OverlayError
from overlay.guard import STATIC
from overlay.identity import exposure, is_loopback


def pages(settings: Settings) -> Iterator[Finding]:
    """Every file that a page asks for is there."""
    wanted = set()
    for page in STATIC.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        wanted |= set(re.findall(r'(?:src|href)="/static/([^"]+)"', text))
    for script in STATIC.glob("*.js"):
        wanted |= set(re.findall(r'from "\./([^"]+)"', script.read_text(encoding="utf-8")))
    missing = sorted(name for name in wanted if not (STATIC / name).is_file())
    if missing or not wanted:
        yield bad("pages", f"{', '.join(missing) or 'all files'} missing in {STATIC}: install the program again")
    else:
        yield ok("pages", f"{len(wanted)} files of the pages are there")


def port(settings: Settings) -> Iterator[Finding]:
    """The port is free, or this program's own server has it."""
    from overlay.http_server import check_port

    if _server_runs(settings.data):
        yield ok("port", f"a server runs on this data folder (port {settings.port} by the settings)")
        return
    try:
        check_port(settings.host, settings.port)
    except OverlayError as error:
        yield bad("port", str(error))
    else:
        yield ok("port", f"{settings.host}:{settings.port} is free")


def login(settings: Settings) -> Iterator[Finding]:
    """Whoever can reach the pages is known."""
    by = settings.login.by
    how = exposure(settings.host, settings.hosts, settings.proxies)
    trusted = [] if is_loopback(settings.host) else [ip_network(proxy, strict=False) for proxy in settings.proxies]
    wide = [each for each in trusted if each.prefixlen < (16 if each.version == 4 else 48)]
    public = [each for each in trusted if each.is_global and each.num_addresses > 1]
    if by == "none" and how:
        yield bad("login", f"{how}, which needs a login: [login] by = ..., or loopback without hosts and proxies")
    elif by == "none":
        yield ok("login", "none: the pages are served to this machine only, and whoever uses it is believed")
    elif not how:
        yield ok("login", f"by {by}, served to this machine only")
    elif not is_loopback(settings.host) and settings.certificate is None and not settings.proxies:
        yield bad("login", "passwords would cross the network in the clear: set certificate, or name your TLS proxy")
    elif wide or public:
        both = [each for each in wide if each in public]
        told = f"every machine in {(both or wide or public)[0]} is taken for your proxy, and may "
        told += "log in as anybody" if by == "proxy" else "give any address as its visitor's"
        yield (bad if both else warning)("login", f"{told}: name the proxy's own address in proxies")
    else:
        yield ok("login", f"by {by}, on {settings.host}")


def names(settings: Settings) -> Iterator[Finding]:
    """Browsers elsewhere call the server by a name that it answers to: what they send has the port in it."""
    if is_loopback(settings.host) or settings.proxies or settings.login.by == "none":
        return  # the check of the login says what is wrong first
    usual = 80 if settings.certificate is None else 443
    port = "" if settings.port == usual else f":{settings.port}"  # as browsers send it
    named = [re.sub(r":\d+$", "", host) for host in settings.hosts]
    if not named:
        yield bad("names", f"browsers elsewhere are refused: set hosts, such as assist.example{port}")
    elif not any(f"{name}{port}" in settings.hosts for name in named):
        told = f"hosts has no {named[0]}{port}"
        yield warning("names", f"{told}: unless another port leads here, browsers elsewhere are refused")
    else:
        yield ok("names", f"browsers may call this server {', '.join(settings.hosts)}")


def certificate(settings: Settings) -> Iterator[Finding]:
    """The TLS certificate, where there is one, can be served with."""
    from overlay.http_server import certificate_names, check_certificate, check_dates

    if settings.certificate is None or settings.certificate_key is None:
        return
    try:
        check_certificate(settings.certificate, settings.certificate_key)
        soon = check_dates(settings.certificate, settings.certificate_key, datetime.now(UTC))
    except OverlayError as error:
        yield bad("certificate", str(error))
        return
    served = certificate_names(settings.certificate, settings.certificate_key)
    hosts = () if served is None or settings.proxies else settings.hosts
    asked = [urlsplit(f"//{host}").hostname or host for host in hosts]
    foreign = [name for name in asked if not any(_fits(name, each) for each in served or ())]
    if soon:
        yield warning("certificate", soon)
    if foreign:
        made_out = f"is made out to {', '.join(served or ()) or 'no name'}, not to {', '.join(foreign)}"
        yield warning("certificate", f"{settings.certificate} {made_out}: browsers refuse it under that name")
    if not soon and not foreign:
        yield ok("certificate", f"{settings.certificate} fits its key, which is its owner's only")


def _fits(name: str, served: str) -> bool:
    """Whether a host's name is one of the certificate's: `*` stands for one label."""
    if served.startswith("*."):
        return name.partition(".")[2] == served[2:]
    return name == served


def network(settings: Settings) -> Iterator[Finding]:
    """What leaves this machine."""
    if os.environ.get("HF_HUB_OFFLINE") == "1" or settings.recogniser == "pocketsphinx":
        yield ok("network", "nothing goes out")
    else:
        yield ok("network", "nothing goes out but a model you ask for; HF_HUB_OFFLINE=1 rules that out as well")


def _server_runs(data: Path) -> bool:
    path = socket_path(data)
    if path is None or not hasattr(socket, "AF_UNIX") or not path.exists():
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True

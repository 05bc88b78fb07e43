"""Check of Origin and Host against requests from foreign web pages.

A browser sends requests for any page that it shows, also to this machine. It
names the page in Origin. If a page's own host name was made to resolve to this
machine (DNS rebinding), Host has that name.
"""

import ipaddress
import re
import urllib.parse
from typing import TYPE_CHECKING

from tf_finetune.serving import failures

if TYPE_CHECKING:
    from starlette import datastructures

# Source: RFC 9110, section 7.2; no user information, which would hide a name.
_HOST = re.compile(r"(\[[0-9a-f:.%]+\]|[\w.~!$&'()*+,;=%-]*)(:\d*)?", re.ASCII)
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


def list_expected_hosts(asked: str, bound: str) -> frozenset[str] | None:
    """Lists the host names under which this server may be addressed.

    Args:
        asked: The address to listen on, as the user gave it.
        bound: The IP address that the server is bound to.

    Returns:
        Names in lower case; None, any name, if other machines have access.
    """
    # The part behind % is the zone of an IPv6 address (RFC 4007).
    if not ipaddress.ip_address(bound.partition("%")[0]).is_loopback:
        return None
    return frozenset({*_LOOPBACK_NAMES, asked.lower(), bound})


def check_origin(
    headers: "datastructures.Headers",
    hosts: frozenset[str] | None,
    version: str,
) -> None:
    """Raises `RequestError` 403 for a request from a page of another origin.

    Programs send no Origin, and pass; browsers always send one with a POST.
    Several Hosts, none, or one that cannot be a host's name, are a 400.

    Args:
        headers: The request's header fields.
        hosts: The result of `list_expected_hosts`.
        version: The HTTP version; before HTTP/1.1, Host may be missing.
    """
    named = headers.getlist("Host")
    if len(named) > 1:
        raise failures.RequestError(400, "Host is given twice.")
    if not named and version == "1.1":
        raise failures.RequestError(400, "The header field Host is missing.")
    host = named[0].strip().lower() if named else ""
    if not _HOST.fullmatch(host):
        raise failures.RequestError(
            400, f"Host must be NAME or NAME:PORT, got {host[:100]!r}."
        )
    if named and hosts is not None and _parse_host(host) not in hosts:
        raise failures.RequestError(
            403,
            f"Host must be one of {', '.join(sorted(hosts))}, got "
            f"{host[:100]!r}.",
        )
    for origin in headers.getlist("Origin"):
        if origin.strip().lower() not in (f"http://{host}", f"https://{host}"):
            raise failures.RequestError(
                403,
                "Web pages of other origins have no access to this server, got "
                f"Origin {origin[:100]!r}.",
            )


def _parse_host(host: str) -> str:
    """Parses the host of HOST, HOST:PORT or [IPv6]:PORT; empty if invalid."""
    try:
        return urllib.parse.urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""

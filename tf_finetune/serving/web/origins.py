"""Who may ask: not a web page of somebody else.

A browser sends requests for any page that it shows, also to this machine. It
names the page in Origin; and where a page had the name of its own host lead
here (DNS rebinding), that name is in Host.
"""

import email.message
import ipaddress
import re
import urllib.parse

from tf_finetune.serving import failures

# Source: RFC 9110, section 7.2; no user information, which would hide a name.
_HOST = re.compile(r"(\[[0-9a-f:.%]+\]|[\w.~!$&'()*+,;=%-]*)(:\d*)?", re.ASCII)
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


def expected_hosts(asked: str, bound: str) -> frozenset[str] | None:
    """Returns the names by which this server is called.

    Args:
        asked: The address to listen on, as the user gave it.
        bound: The IP address that is listened on.

    Returns:
        Names in lower case; None, any name, where other machines may ask.
    """
    if not ipaddress.ip_address(bound.partition("%")[0]).is_loopback:
        return None
    return frozenset({*_THIS_MACHINE, asked.lower(), bound})


def check(
    headers: email.message.Message,
    hosts: frozenset[str] | None,
    version: str,
) -> None:
    """Raises `RequestError` 403 if a page of another origin asks.

    Programs send no Origin, and pass; browsers always send one with a POST.
    Not exactly one Host, or one that cannot be a host's name, is a 400.

    Args:
        headers: The request's.
        hosts: What `expected_hosts` gave.
        version: Of the protocol; before HTTP/1.1, Host may be missing.
    """
    named = headers.get_all("Host", [])
    if len(named) > 1:
        raise failures.RequestError(400, "Host is given twice.")
    if not named and version >= "HTTP/1.1":
        raise failures.RequestError(400, "The header field Host is missing.")
    host = named[0].strip().lower() if named else ""
    if not _HOST.fullmatch(host):
        raise failures.RequestError(
            400, f"Host must be NAME or NAME:PORT, got {host[:100]!r}."
        )
    if named and hosts is not None and _name(host) not in hosts:
        raise failures.RequestError(
            403,
            f"This server is called {', '.join(sorted(hosts))}, and not "
            f"{host[:100]!r} (Host).",
        )
    for origin in headers.get_all("Origin", []):
        if origin.strip().lower() not in (f"http://{host}", f"https://{host}"):
            raise failures.RequestError(
                403,
                "Pages of other origins may not ask this server, such as "
                f"{origin[:100]!r} (Origin).",
            )


def _name(host: str) -> str:
    """Returns the host of HOST, HOST:PORT or [IPv6]:PORT; empty: none."""
    try:
        return urllib.parse.urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""

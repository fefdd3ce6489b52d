"""Files by address: what an address names, and which hosts of the open internet may be asked for one.

An address is taken literally: `s3://bucket/a b%20#1.jpg` names the object `a b%20#1.jpg`. Credentials and endpoints
come from the environment, as the cloud's own tools read them (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, ...).
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Any

from contracts.errors import UserError

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def is_remote(address: str) -> bool:
    """Whether an address names a file system (s3://bucket/folder) and not a local path."""
    return "://" in address


def open_filesystem(address: str) -> tuple[Any, str]:
    """A pyarrow file system and the path on it. Errors: UserError for what neither pyarrow nor fsspec knows."""
    scheme, _, rest = address.partition("://")
    root, _, path = rest.partition("/")
    filesystem, base = _filesystem(scheme, root)
    return filesystem, f"{base.rstrip('/')}/{path}" if path else base


@lru_cache(maxsize=64)
def _filesystem(scheme: str, root: str) -> tuple[Any, str]:
    from pyarrow import fs

    try:
        filesystem, base = fs.FileSystem.from_uri(f"{scheme}://{root}" if root else f"{scheme}:///")
        return filesystem, str(base)
    except (ValueError, OSError) as refused:
        try:
            import fsspec

            return fs.PyFileSystem(fs.FSSpecHandler(fsspec.filesystem(scheme))), root
        except (ImportError, ValueError):
            raise UserError(
                f"{scheme}://{root} cannot be opened ({refused}): name a local folder, s3:// or gs://"
            ) from None


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open internet; addresses that wrap another are judged by that one."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast

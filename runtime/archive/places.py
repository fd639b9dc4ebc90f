"""Where an archive's pictures lie: folders of this machine, and whatever fsspec opens by its address.

Credentials come from where each store's own tools take them (environment, profile, role of the machine), never from an
address: addresses are written into results.
"""

import os
import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from wordsight.runtime.errors import MissingPart, SourceError, StoreError, WordsightError
from wordsight.runtime.urls import masked, scheme_of, scrubbed

_Result = TypeVar("_Result")
_EXTRAS = {"gs": "gcs", "gcs": "gcs", "az": "azure", "abfs": "azure", "abfss": "azure", "adl": "azure"}
_EXPIRED = frozenset(("ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"))
_REFUSED = frozenset((
    "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "InvalidSecurity", "AuthorizationHeaderMalformed",
    "AllAccessDisabled", "AccountProblem", "RequestTimeTooSkewed",
))  # fmt: skip
_DENIED = frozenset(("AccessDenied", "403", "Forbidden", "InvalidObjectState"))
_OURS_IN_ADDRESS = re.compile(r"abfss?://[^:@/?]+@[^:@/?]+(/|$)", re.IGNORECASE)  # a container, no user


class Denied(Exception):
    """One object that these credentials may not read, though they read others."""


def is_address(text: str) -> bool:
    """Say whether `text` is an address for fsspec rather than a path of this machine."""
    return scheme_of(text) not in (None, "file")


def normal(text: str) -> str:
    """Return a source as it is written down: an absolute path, or an address without a slash at its end.

    Raises:
        SourceError: an empty name, credentials in an address, a chain of addresses.
    """
    if not text.strip():
        raise SourceError("expected a folder, a glob, a Parquet file or an address such as s3://bucket/parts, got none")
    if not is_address(text):
        return os.path.abspath(re.sub(r"(?i)^file://", "", text))
    if "::" in text:
        raise SourceError(f"cannot list {masked(text)}: expected one address, got a chain of them")
    head = text.partition("://")[2].partition("/")[0]
    named = "@" in head or re.search(r":(?!\d*$)", head)
    secret = "?" in text and masked(text) != text
    if (named and not _OURS_IN_ADDRESS.match(text)) or secret:
        raise SourceError(
            f"{masked(text)} holds credentials, and addresses are written into results: give them as the store's own "
            "tools take them, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment"
        )
    return text.rstrip("/")


def open_store(address: str) -> tuple[Any, str]:
    """Return the file system of an address, which keeps no listing in memory, and the path within it.

    Raises:
        MissingPart: the package for it is not installed.
        SourceError: nobody knows such addresses.
    """
    import fsspec

    scheme = scheme_of(address) or "file"
    try:
        store, path = fsspec.core.url_to_fs(address, use_listings_cache=False)
    except ImportError as error:
        extra = _EXTRAS.get(scheme, "archive")
        raise MissingPart(
            f"{scheme}:// addresses need a package that is not installed ({' '.join(str(error).split())[:120]})",
            f"pip install 'wordsight[{extra}]'",
        ) from error
    except ValueError as error:
        raise SourceError(
            f"cannot list {masked(address)}: expected s3://, gs://, az:// or another kind of address that fsspec opens"
        ) from error
    return store, str(path)


def asked(address: str, call: Callable[[], _Result]) -> _Result:
    """Ask a store for something, and tell what it refuses in one line.

    Raises:
        StoreError: no such bucket, expired or wrong credentials, nobody reaches it.
        FileNotFoundError: no such object.
        Denied: an object that may not be read.
    """
    try:
        return call()
    except WordsightError:
        raise
    except Exception as error:  # each store's client brings exceptions of its own
        raise _told(address, error) from error


def _told(address: str, error: Exception) -> Exception:
    code, kind = _code(error), type(error).__name__
    where = masked(address)
    bucket = "/".join(where.split("/")[:3])
    again = "; renew them and run the same command again"
    if code == "NoSuchBucket":
        return StoreError(f"no such bucket: {bucket}")
    if code in _EXPIRED:
        return StoreError(f"the credentials for {bucket} have expired{again}")
    if code in _REFUSED:
        return StoreError(f"{bucket} refuses these credentials ({code}){again}")
    if kind in ("NoCredentialsError", "PartialCredentialsError", "TokenRetrievalError", "SSOTokenLoadError"):
        return StoreError(f"no credentials for {bucket}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile")
    if code in _DENIED or (isinstance(error, PermissionError) and not code):
        return Denied(f"access denied: {where}")
    if isinstance(error, FileNotFoundError):
        return error
    reason = scrubbed(" ".join(str(error).split()))[:200] or kind
    return StoreError(f"{where} cannot be read: {reason}; run the same command again to go on")


def _code(error: BaseException | None) -> str:
    """Return the store's own code of an error, which lies in the exception below it; empty without one."""
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
        error = error.__cause__
    return ""


def s3_pages(store: Any, bucket: str, prefix: str) -> Iterator[list[dict[str, Any]]]:
    """Yield the objects of an S3 bucket, a thousand at a time: s3fs itself would hold a flat bucket whole in memory."""
    told: dict[str, str] = {}
    while True:
        page = store.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, **told)
        yield page.get("Contents", [])
        if not page.get("IsTruncated"):
            return
        told = {"ContinuationToken": page["NextContinuationToken"]}

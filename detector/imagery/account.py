"""An account at a Sentinel Hub service: credentials, one session, and errors that say what to do.

Credentials come from SH_CLIENT_ID and SH_CLIENT_SECRET, or from sentinelhub-py's own profile. They are handed to
its session and nothing else; whatever is shown or written is cleaned of them first.
"""

from __future__ import annotations

import logging
import os
import tarfile
import warnings
from pathlib import Path
from typing import Any

from detector.errors import AccountError, FetchError, MissingDependencyError, QuotaError
from detector.scene.gdal import display

#: Service -> (base address, token address).
SERVICES = {
    "copernicus": (
        "https://sh.dataspace.copernicus.eu",
        "https://identity.dataspace.copernicus.eu/auth/realms/CDSE/protocol/openid-connect/token",
    ),
    "commercial": (
        "https://services.sentinel-hub.com",
        "https://services.sentinel-hub.com/auth/realms/main/protocol/openid-connect/token",
    ),
}
#: How often a request that is told to wait (429) is asked again.
_WAITS = 10
#: How often what comes broken is asked for.
_TRIES = 3
_HOW = (
    "make an OAuth client in the dashboard of your account and set SH_CLIENT_ID and SH_CLIENT_SECRET "
    "(docs/imagery.md)"
)


def account(service: str, profile: str | None = None) -> Account:
    """The account that environment and profile describe.

    Raises:
        AccountError: no such profile, or no credentials.
        MissingDependencyError: sentinelhub-py is not installed.
    """
    try:
        import sentinelhub  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError("Sentinel Hub needs sentinelhub-py; pip install sentinelhub") from error
    config = _config(service, profile)
    if not (config.sh_client_id and config.sh_client_secret):
        raise AccountError(f"there are no credentials for Sentinel Hub; {_HOW}")
    return Account(config)


def _config(service: str, profile: str | None) -> Any:
    from sentinelhub import SHConfig

    if service not in SERVICES:
        raise AccountError(f"{service!r} is no Sentinel Hub service; use {' or '.join(SERVICES)}")
    plain = SHConfig(use_defaults=True)
    try:
        if Path(SHConfig.get_config_location()).is_file():
            config = SHConfig(profile)
        elif named := profile or os.environ.get("SH_PROFILE"):
            raise KeyError(named)
        else:  # SHConfig() would write a file of defaults
            config = plain.copy()
            config.sh_client_id = os.environ.get("SH_CLIENT_ID", "")
            config.sh_client_secret = os.environ.get("SH_CLIENT_SECRET", "")
    except KeyError as error:
        place = SHConfig.get_config_location()
        raise AccountError(
            f"there is no profile {error} in {place}; add it, or use the environment"
        ) from None
    except (OSError, ValueError, TypeError) as error:
        place, kind = SHConfig.get_config_location(), type(error).__name__
        raise AccountError(f"{place} cannot be read ({kind}); correct or remove it") from None
    base, token = SERVICES[service]
    # sentinelhub-py knows no "not set": its default address stands for it.
    if config.sh_base_url == plain.sh_base_url:
        config.sh_base_url = os.environ.get("SH_BASE_URL") or base
    if config.sh_token_url == plain.sh_token_url:
        config.sh_token_url = os.environ.get("SH_TOKEN_URL") or token
    if config.max_retries is None:
        config.max_retries = _WAITS
    return config


class Account:
    """One session with a service, shared by all requests: one token, one rate limit."""

    def __init__(self, config: Any) -> None:
        # At DEBUG this library logs the body of the token request, which holds the secret, and the token.
        for name in ("requests_oauthlib", "requests_oauthlib.oauth2_session"):
            logging.getLogger(name).setLevel(logging.INFO)
        self._config = config
        self._session: Any = None
        self._client: Any = None

    @property
    def base_url(self) -> str:
        return display(self._config.sh_base_url)

    def __repr__(self) -> str:
        return f"Account({self.base_url!r})"

    def search(self, collection: str, **query: Any) -> list[dict[str, Any]]:
        """All features of a Catalog search."""
        from sentinelhub import SentinelHubCatalog

        catalog = SentinelHubCatalog(config=self._config)

        def search() -> list[dict[str, Any]]:
            catalog.client = self._connected()
            return list(catalog.search(collection, **query))

        return list(self._asked(search))

    def render(
        self, script: str, data: dict[str, Any], bbox: Any, size: tuple[int, int], outputs: list[str]
    ) -> dict[str, Any]:
        """What the Process API makes of one request: output -> array (height, width, bands)."""
        from sentinelhub import MimeType, SentinelHubRequest

        request = SentinelHubRequest(
            evalscript=script,
            input_data=[data],
            responses=[SentinelHubRequest.output_response(name, MimeType.TIFF) for name in outputs],
            bbox=bbox,
            size=size,
            config=self._config,
        )
        answer = self._asked(lambda: self._connected().download(request.download_list, max_threads=1)[0])
        if len(outputs) == 1:
            return {outputs[0]: answer}
        named = {str(name).rsplit("/", 1)[-1].split(".")[0]: array for name, array in dict(answer).items()}
        missing = [name for name in outputs if name not in named]
        if missing:
            raise FetchError(f"Sentinel Hub answered without {', '.join(missing)}; try again later")
        return named

    def _connected(self) -> Any:
        """The client, with a session of its own that gets a new token before the old one runs out."""
        from sentinelhub import SentinelHubDownloadClient, SentinelHubSession

        if self._session is None:
            self._session = SentinelHubSession(config=self._config)
            self._client = SentinelHubDownloadClient(config=self._config, session=self._session)
        return self._client

    def _asked(self, action: Any) -> Any:
        """Run a request; a token that the service no longer takes is replaced, a broken answer asked for anew."""
        renewed, broken = False, 0
        while True:
            try:
                return self._once(action)
            except _TokenRefusedError as error:
                if renewed:
                    raise AccountError(str(error)) from None
                self._session, renewed = None, True
            except _GarbledError:
                broken += 1
                if broken == _TRIES:
                    raise

    def _once(self, action: Any) -> Any:
        from oauthlib.oauth2 import OAuth2Error
        from requests import RequestException
        from sentinelhub.exceptions import (
            BaseSentinelHubException,
            DownloadFailedException,
            SHRateLimitWarning,
        )

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SHRateLimitWarning)
                return action()
        # `from None` throughout: the causes hold requests, and these hold the secret and the token.
        except OAuth2Error as error:
            raise AccountError(
                f"{display(self._config.sh_token_url)} refuses the credentials ({self._clean(error)}); {_HOW}, "
                "or pass the source of your account (sentinelhub, sentinelhub-commercial)"
            ) from None
        except DownloadFailedException as error:
            raise self._explained(error) from None
        except (tarfile.TarError, BaseSentinelHubException, RequestException, OSError) as error:
            raise FetchError(
                f"no usable answer from {self.base_url}: {self._clean(error)}; try again"
            ) from None
        except (ValueError, KeyError, TypeError, IndexError, EOFError) as error:  # tifffile's among them
            kind = type(error).__name__
            raise _GarbledError(
                f"{self.base_url} answered with what cannot be decoded ({kind}: {self._clean(error)}); try again"
            ) from None

    def _explained(self, error: Any) -> FetchError:
        from sentinelhub.exceptions import OutOfRequestsException

        response = getattr(error.request_exception, "response", None)
        status = getattr(response, "status_code", None)
        said = self._clean(_said(response)) if response is not None else self._clean(error)
        if isinstance(error, OutOfRequestsException) or status == 429:
            return QuotaError(
                f"{self.base_url} still asks to wait (429) after {self._config.max_retries} tries; "
                "go on later: what is fetched is kept"
            )
        if status == 401:
            return _TokenRefusedError(f"{self.base_url} refuses the session (401: {said}); {_HOW}")
        if status == 403 and any(
            word in said.lower() for word in ("limit", "quota", "exceed", "insufficient")
        ):
            return QuotaError(
                f"the quota of the account at {self.base_url} is used up (403: {said}); "
                "wait for its renewal or use --source earth-search"
            )
        if status == 403:
            return AccountError(
                f"{self.base_url} forbids this to the account (403: {said}); check its rights"
            )
        if status is not None and status < 500:
            return FetchError(f"{self.base_url} does not take the request ({status}: {said}); report it")
        return FetchError(f"{self.base_url} cannot be used now ({status or said}); try again later")

    def _clean(self, text: Any) -> str:
        """Text of others in one line, without what is secret, should a server echo it."""
        shown = display(" ".join(str(text).split()))
        secrets = [self._config.sh_client_secret, self._config.sh_client_id]
        token = getattr(self._session, "_token", None) or {}
        secrets += [str(token.get("access_token", ""))]
        for secret in filter(None, secrets):
            shown = shown.replace(secret, "***")
        return shown[:300].rstrip(". ")


class _GarbledError(FetchError):
    """An answer that cannot be decoded; the next may be whole."""


class _TokenRefusedError(FetchError):
    """401: the token has run out or was withdrawn; a new one may do."""


def _said(response: Any) -> str:
    """What the service says of an error: its message alone."""
    try:
        body = response.json()
        error = body.get("error", body)
        return (
            str(error.get("message") or error.get("reason") or error)
            if isinstance(error, dict)
            else str(error)
        )
    except (ValueError, AttributeError):
        return str(response.text)[:300]

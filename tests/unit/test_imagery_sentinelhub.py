"""Sentinel Hub: sentinelhub-py against a service on this machine."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import rasterio

from detector.errors import AccountError, FetchError, QuotaError
from detector.imagery.fetching import Fetched, fetch, plan
from detector.imagery.sentinelhub import MOST_PIXELS, _edges
from detector.imagery.sources import open_source
from detector.loadings.sites import Site, load_site
from detector.scene import open_scene
from tests.loopback.hub import CLIENT_ID, SECRET, TOKEN_PATH, Hub
from tests.loopback.world import BANDS, Pass, box, centres, write_site

WHEN = datetime(2020, 3, 1, 2, 27, 13, tzinfo=UTC)
WEST = Pass(WHEN, box(0, 0, 6000, 4200))
EAST = Pass(WHEN + timedelta(seconds=7), box(4800, 0, 7200, 4200), tile="51SZC")
BOTH = {"west": box(1500, 1500, 800, 600), "east": box(9000, 1500, 800, 600)}
Settings = Callable[..., None]


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub([WEST, EAST]) as server:
        yield server


@pytest.fixture
def port(tmp_path: Path) -> Site:
    return load_site(write_site(tmp_path / "port.geojson", BOTH))


@pytest.fixture(autouse=True)
def profile(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A profile of sentinelhub-py, in the file where a user has it; waits are short."""

    def write(**settings: object) -> None:
        values = {
            "sh_base_url": hub.url,
            "sh_token_url": hub.url + TOKEN_PATH,
            "sh_client_id": CLIENT_ID,
            "sh_client_secret": SECRET,
            "download_sleep_time": 0.01,
            "max_retries": 3,
        } | settings
        lines = (f"{key} = {value!r}" for key, value in values.items())
        (tmp_path / "sentinelhub").mkdir(exist_ok=True)
        (tmp_path / "sentinelhub" / "config.toml").write_text("[default-profile]\n" + "\n".join(lines) + "\n")

    for name in ("SH_CLIENT_ID", "SH_CLIENT_SECRET", "SH_PROFILE", "SH_BASE_URL", "SH_TOKEN_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")  # the service on this machine has no certificate
    write()
    return write


def run(site: Site, out: Path, **options: object) -> list[Fetched]:
    source = open_source("sentinelhub")
    return list(fetch(plan(site, "2020-02-01", "2020-03-31", out, source, **options)))  # type: ignore[arg-type]


def check_pixels(path: Path, granules: list[Pass], shift: int = 0) -> None:
    """The later granule lies on top; the offset of a newer baseline is off."""
    with rasterio.open(path) as file:
        assert file.descriptions == (*BANDS, "SCL")
        x, y = centres(file.transform, file.width, file.height)
        for i, band in enumerate(file.descriptions, 1):
            want = np.zeros(x.shape, int)
            for granule in granules:
                here = granule.classes(x, y) != 0
                values = granule.classes(x, y) if band == "SCL" else granule.numbers(band, x, y)
                values = values.astype(int) - (0 if band == "SCL" else shift)
                want[here] = np.maximum(values, 1)[here]
            np.testing.assert_array_equal(file.read(i), want, err_msg=band)


def test_one_overpass_is_one_image(hub: Hub, port: Site, tmp_path: Path) -> None:
    (result,) = run(port, tmp_path / "out")
    assert result.error is None and result.record is not None
    path = tmp_path / "out" / f"{result.scene_id}.tif"
    check_pixels(path, [WEST, EAST])
    with open_scene(path) as scene:
        assert (scene.id, scene.acquired) == ("S2A_MSIL2A_20200301T022109_port", WHEN)
        assert scene.radiometry["B08"] == (1e-4, 0.0)
    assert result.record["products"] == [WEST.product(), EAST.product()]
    assert len(hub.asked(TOKEN_PATH)) == 1
    body = hub.requests[-1]
    assert body["input"]["bounds"]["properties"]["crs"].endswith("/32651")
    assert body["input"]["data"][0]["dataFilter"]["timeRange"] == {
        "from": "2020-03-01T02:27:11Z",
        "to": "2020-03-01T02:27:22Z",
    }


def test_nothing_is_fetched_twice(hub: Hub, port: Site, tmp_path: Path) -> None:
    run(port, tmp_path / "out")
    asked = len(hub.asked("process"))
    assert run(port, tmp_path / "out") == []
    assert len(hub.asked("process")) == asked


def test_offset_of_baseline_4_is_off(hub: Hub, port: Site, tmp_path: Path) -> None:
    """harmonizeValues; what is negative comes as 0, and is 1 here: 0 is no data."""
    dark = replace(
        WEST, box=box(0, 0, 12000, 4200), dark=(box(1600, 1600, 300, 200),), shift=1000, baseline="05.00"
    )
    hub.granules = [dark]
    (result,) = run(port, tmp_path / "out")
    check_pixels(tmp_path / "out" / f"{result.scene_id}.tif", [dark], shift=1000)


def test_zones_under_cloud(hub: Hub, port: Site, tmp_path: Path) -> None:
    whole = replace(WEST, box=box(0, 0, 12000, 4200))
    hub.granules = [
        replace(whole, cloud=(box(7000, 0, 5000, 4200),)),
        replace(whole, acquired=WHEN + timedelta(days=5), cloud=(whole.box,)),
    ]
    half, none = run(port, tmp_path / "out")
    assert half.record and none.record
    assert (half.record["zones"], none.record["status"]) == (["west"], "clouded")
    full = [body for body in hub.requests if len(body["output"]["responses"]) == 2]
    assert len(full) == 1 and full[0]["output"]["width"] == 512
    assert len((tmp_path / "out" / "looks.csv").read_text().splitlines()) == 5


def test_large_sites_are_split(hub: Hub, tmp_path: Path) -> None:
    long = load_site(write_site(tmp_path / "coast.geojson", {"coast": box(0, 1500, 27_000, 600)}))
    hub.granules = [replace(WEST, box=box(-1200, 0, 30_000, 4200))]
    (result,) = run(long, tmp_path / "out")
    assert result.error is None
    check_pixels(tmp_path / "out" / f"{result.scene_id}.tif", hub.granules)
    sizes = [
        (b["output"]["width"], b["output"]["height"])
        for b in hub.requests
        if len(b["output"]["responses"]) == 2
    ]
    assert len(sizes) == 2 and max(max(size) for size in sizes) <= MOST_PIXELS


@pytest.mark.parametrize("side", [1, 2500, 2501, 5000, 10_980])
def test_edges(side: int) -> None:
    edges = _edges(side)
    assert edges[0][0] == 0 and edges[-1][1] == side
    assert all(a[1] == b[0] for a, b in zip(edges, edges[1:], strict=False))
    assert max(last - first for first, last in edges) <= MOST_PIXELS


def test_catalog_pages(port: Site, tmp_path: Path) -> None:
    days = [replace(WEST, acquired=WHEN + timedelta(days=n)) for n in range(5)]
    with Hub(days, page=2) as server:
        import os

        os.environ["SH_PROFILE"] = "paged"
        config = (tmp_path / "sentinelhub" / "config.toml").read_text()
        other = (
            config.replace("default-profile", "paged")
            .replace("sh_base_url", "#")
            .replace("sh_token_url", "#")
        )
        urls = f"sh_base_url = {server.url!r}\nsh_token_url = {server.url + TOKEN_PATH!r}\n"
        (tmp_path / "sentinelhub" / "config.toml").write_text(config + other + urls)
        found = plan(port, "2020-02-01", "2020-03-31", "nowhere", open_source("sentinelhub", profile="paged"))
        os.environ.pop("SH_PROFILE")
        assert len(found.todo) == 5
        assert len(server.asked("catalog")) == 3


@pytest.mark.parametrize(
    ("where", "kind"),
    [
        ("process", "429"),
        ("process", "500"),
        ("process", "503"),
        ("process", "truncate"),
        ("process", "slow"),
        ("process", "redirect"),
        ("process", "html"),
        ("process", "short"),
        ("catalog", "429"),
        ("catalog", "502"),
        ("catalog", "truncate"),
        ("token", "500"),
    ],
)
def test_faults_that_pass(hub: Hub, port: Site, tmp_path: Path, where: str, kind: str) -> None:
    hub.fault(where, kind, times=2, headers={"Retry-After": "20"} if kind == "429" else {})
    (result,) = run(port, tmp_path / "out")
    assert result.error is None
    check_pixels(tmp_path / "out" / f"{result.scene_id}.tif", [WEST, EAST])


@pytest.mark.parametrize("kind", ["html", "short", "500", "400"])
def test_faults_that_stay(hub: Hub, port: Site, tmp_path: Path, kind: str) -> None:
    hub.fault("process", kind, times=100)
    (result,) = run(port, tmp_path / "out")
    assert isinstance(result.error, FetchError) and not isinstance(result.error, AccountError | QuotaError)
    assert not list((tmp_path / "out").glob("*.tif"))
    hub.faults.clear()
    (mended,) = run(port, tmp_path / "out")
    assert mended.error is None


def test_an_image_of_another_size_is_refused(hub: Hub, port: Site, tmp_path: Path) -> None:
    answer, small = hub.answer, {}

    def smaller(request):  # type: ignore[no-untyped-def]
        if "process" in request.path:
            body = request.json()
            body["output"] |= {"width": body["output"]["width"] - 1}
            import json

            request.body = json.dumps(body).encode()
        return answer(request)

    hub.answer = smaller  # type: ignore[method-assign]
    (result,) = run(port, tmp_path / "out")
    assert type(result.error) is FetchError and "was asked for" in str(result.error)
    assert not small and not list((tmp_path / "out").glob("*.tif"))


def test_rate_limit_without_end(hub: Hub, port: Site, tmp_path: Path) -> None:
    hub.fault("process", "429", times=100, headers={"Retry-After": "10"})
    (result,) = run(port, tmp_path / "out")
    assert isinstance(result.error, QuotaError) and "429" in str(result.error)
    assert len(hub.asked("process")) == 3


def test_a_used_up_quota_stops_the_run(hub: Hub, port: Site, tmp_path: Path) -> None:
    hub.granules = [replace(WEST, acquired=WHEN + timedelta(days=n)) for n in range(3)]
    body = b'{"error": {"status": 403, "message": "Monthly processing unit limit exceeded"}}'
    hub.fault("process", "403", times=100, body=body)
    results = run(port, tmp_path / "out")
    assert [type(result.error) for result in results] == [QuotaError] * 3
    assert "Monthly processing unit limit exceeded" in str(results[0].error)
    assert len(hub.asked("process")) == 1


def test_a_withdrawn_token_is_replaced(hub: Hub, port: Site, tmp_path: Path) -> None:
    source = open_source("sentinelhub")
    todo = plan(port, "2020-02-01", "2020-03-31", tmp_path / "out", source)
    hub.withdraw()
    (result,) = fetch(todo)
    assert result.error is None
    assert len(hub.asked(TOKEN_PATH)) == 2


def test_a_token_that_runs_out_is_renewed_before(port: Site, tmp_path: Path, profile: Settings) -> None:
    with Hub([WEST, EAST], lifetime=121) as server:  # sentinelhub-py renews two minutes before the end
        profile(sh_base_url=server.url, sh_token_url=server.url + TOKEN_PATH)
        source = open_source("sentinelhub")
        todo = plan(port, "2020-02-01", "2020-03-31", tmp_path / "out", source)
        import time

        time.sleep(2.5)  # more than the one second, which may be rounded up
        (result,) = fetch(todo)
        assert result.error is None
        assert len(server.asked(TOKEN_PATH)) >= 2
        assert not [entry for entry in server.log if entry[2] == 401]


def test_tokens_that_are_never_taken(hub: Hub, port: Site) -> None:
    hub.lifetime = -1
    with pytest.raises(AccountError, match="401"):
        plan(port, "2020-03-01", "2020-03-02", "nowhere", open_source("sentinelhub"))


def test_no_credentials(profile: Settings, tmp_path: Path) -> None:
    profile(sh_client_id="", sh_client_secret="")
    with pytest.raises(AccountError, match="SH_CLIENT_ID"):
        open_source("sentinelhub")
    (tmp_path / "sentinelhub" / "config.toml").unlink()
    with pytest.raises(AccountError, match="SH_CLIENT_ID"):
        open_source("sentinelhub")
    assert not (tmp_path / "sentinelhub" / "config.toml").exists(), "no file is left in the home of the user"
    with pytest.raises(AccountError, match="no profile"):
        open_source("sentinelhub", profile="work")


def test_services_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sentinelhub" / "config.toml").unlink()
    monkeypatch.setenv("SH_CLIENT_ID", CLIENT_ID)
    monkeypatch.setenv("SH_CLIENT_SECRET", SECRET)
    assert open_source("sentinelhub").name.startswith("https://sh.dataspace.copernicus.eu ")
    assert open_source("sentinelhub-commercial").name.startswith("https://services.sentinel-hub.com ")
    monkeypatch.setenv("SH_BASE_URL", "https://elsewhere.example")
    assert open_source("sentinelhub").name.startswith("https://elsewhere.example ")


def test_wrong_credentials(port: Site, profile: Settings) -> None:
    profile(sh_client_secret="wrong-but-secret")
    with pytest.raises(AccountError, match="refuses the credentials") as caught:
        plan(port, "2020-03-01", "2020-03-02", "nowhere", open_source("sentinelhub"))
    assert "wrong-but-secret" not in "".join(traceback.format_exception(caught.value))


def test_no_secret_is_shown_or_written(
    hub: Hub, port: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    texts = [repr(open_source("sentinelhub")), repr(open_source("sentinelhub").account)]  # type: ignore[attr-defined]
    hub.withdraw()
    echo = f'{{"error": {{"message": "bad key {SECRET} of {CLIENT_ID}"}}}}'.encode()
    for kind in ("none", "401", "403", "400", "500", "429", "truncate", "html"):
        hub.faults.clear()
        if kind != "none":
            hub.fault("process|catalog", kind, times=100, body=echo, headers={"Retry-After": "1"})
        try:
            results = run(port, tmp_path / "out", refetch=True)
        except FetchError as error:
            texts.append("".join(traceback.format_exception(error)))
            continue
        texts += ["".join(traceback.format_exception(r.error)) for r in results if r.error]
    tokens = list(hub.tokens) + ["token-secret"]
    written = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    streams = capfd.readouterr()
    texts += [caplog.text, streams.out, streams.err, written.decode("latin-1")]
    assert len(caplog.records) > 20, "the log was taken at DEBUG"
    for secret in (SECRET, CLIENT_ID, *tokens):
        assert not [text[max(0, text.find(secret) - 200) :][:400] for text in texts if secret in text]

"""Addresses of the page: unknown ones, the icon, and unknown parameters."""

from __future__ import annotations

from server.web.page.pages import assets
from tests.web.world import World

HTML = {"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}


async def test_an_unknown_address_gives_a_page_to_browsers_and_json_to_programs(world: World) -> None:
    for path in ("/nothing", "/tasks/x/y/z", "/hosts/a/b", "/new/old"):
        page = await world.get(path, token=False, headers=HTML)
        assert (page.status, page.headers["Content-Type"]) == (404, "text/html; charset=utf-8"), path
        assert "pages/missing.js" in page.data.decode() and page.headers["Content-Security-Policy"].startswith(
            "default-src 'none'"
        )
        assert (await world.get(path, token=False)).error["code"] == "route_not_found"
    for path in ("/api/v1/nothing", "/static/0/x.js"):
        assert (await world.get(path, headers=HTML)).error["code"] == "route_not_found", path
    chinese = await world.get("/nothing", token=False, headers=HTML | {"Accept-Language": "zh-CN"})
    assert "未找到" in chinese.data.decode()


async def test_the_icon_is_at_the_path_that_browsers_try(world: World) -> None:
    icon = await world.get("/favicon.ico", token=False)
    assert (icon.status, icon.headers["Content-Type"]) == (200, "image/svg+xml") and icon.data == assets()[1][
        "icon.svg"
    ]


async def test_a_page_ignores_unknown_query_parameters(world: World) -> None:
    for path in ("/tasks?utm_source=mail", "/hosts?select=", "/new?targets=a&targets=b"):
        assert (await world.get(path, token=False, headers=HTML)).status == 200, path
    assert (await world.get("/api/v1/tasks?utm_source=mail")).status == 422

"""URLs of remotes: their logins are taken out, their origins compared, and what git would make of them is known."""

from __future__ import annotations

import pytest

from gitcoord.core.errors import Refused
from gitcoord.store.git import url as git_url


@pytest.mark.parametrize(
    ("url", "login"),
    [
        ("https://h/x.git", ("https://h/x.git", "", "")),
        ("https://u:p@h/x.git", ("https://h/x.git", "u", "p")),
        ("HTTPS://u:p@H:8443/x", ("https://H:8443/x", "u", "p")),
        ("http://u:p@ss@h/x", ("http://h/x", "u", "p@ss")),
        ("https://a%40b:c%2Fd@h/x", ("https://h/x", "a@b", "c/d")),
        ("https://ghp_alone@h/x", ("https://h/x", "ghp_alone", "")),
        ("https://:p@h/x", ("https://h/x", "", "p")),
        ("https://h/x@y:z", ("https://h/x@y:z", "", "")),
        ("https://u:p@h?q", ("https://h?q", "u", "p")),
        ("git@h:x.git", ("git@h:x.git", "", "")),
        ("ssh://git@h/x", ("ssh://git@h/x", "", "")),
        ("/a/path:with@signs", ("/a/path:with@signs", "", "")),
    ],
)
def test_a_login_is_taken_out_of_a_url(url: str, login: tuple[str, str, str]) -> None:
    assert tuple(git_url.without_login(url)) == login


@pytest.mark.parametrize(
    "url",
    [
        "ssh://u:secret@h/x",
        "ftp://u:secret@h/x",
        "git+x://u:secret@h/",
        "ext::https://u:secret@h",
        "https://h/x?private_token=secret",
        "http://u:p@h/x?a=b&access_token=secret",
        "https://h/x#sig=secret",
    ],
)
def test_a_password_that_git_would_show_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(Refused) as caught:
        git_url.without_login(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://github.com/o/r", "https://github.com:443"),
        ("https://GitHub.com:443/o/r", "https://github.com:443"),
        ("http://u:p@h:80/x", "http://h:80"),
        ("http://[::1]:8080/x", "http://[::1]:8080"),
        ("http://good@evil/x", "http://evil:80"),
        ("http://h:/x", "http://h:80"),
        ("ssh://h/x", ""),
        ("/path", ""),
        ("git@h:x", ""),
    ],
)
def test_an_origin_has_one_spelling(url: str, origin: str) -> None:
    assert git_url.origin_of(url) == origin


@pytest.mark.parametrize(
    ("url", "clear"),
    [
        ("http://h/x", True),
        ("HTTP://10.0.0.1/x", True),
        ("http://127.evil.example/x", True),
        ("http://[::2]/x", True),
        ("http://localhost.evil.example/x", True),
        ("http://127.0.0.1@evil/x", True),
        ("http://127.0.0.1:3000/x", False),
        ("http://127.9.9.9/x", False),
        ("http://localhost/x", False),
        ("http://[::1]:80/x", False),
        ("https://h/x", False),
        ("ssh://h/x", False),
        ("/x", False),
    ],
)
def test_plain_http_beyond_this_machine_is_in_the_clear(url: str, clear: bool) -> None:
    assert git_url.is_in_the_clear(url) is clear


def test_an_insteadof_is_applied_as_git_does() -> None:
    listing = "global\0url.https://u:p@h/.insteadof\ngh:\0local\0url.https://i/.insteadof\ngh:in/\0local\0core.x\ny\0"
    for pushes in (False, True):
        assert git_url.rewritten("gh:o/r", listing, pushes=pushes) == "https://u:p@h/o/r"
        assert git_url.rewritten("gh:in/r", listing, pushes=pushes) == "https://i/r"
        assert git_url.rewritten("https://else/r", listing, pushes=pushes) == "https://else/r"
    listing += "local\0url.ssh://git@h/.pushinsteadof\ngh:o\0"
    assert git_url.rewritten("gh:o/r", listing, pushes=True) == "ssh://git@h//r"
    assert git_url.rewritten("gh:o/r", listing, pushes=False) == "https://u:p@h/o/r"
    assert git_url.rewritten("gh:in/r", listing, pushes=True) == "https://i/r"


def test_where_a_repository_moved_to_is_read_from_a_redirect_of_gits_first_request() -> None:
    assert git_url.moved_to("https://h/new.git/info/refs?service=git-upload-pack") == "https://h/new.git"
    assert git_url.moved_to("https://u:p@h/new/info/refs?service=git-upload-pack") == "https://h/new"
    assert git_url.moved_to("https://h/login?next=/x") == ""
    assert git_url.moved_to("file:///etc/info/refs?service=git-upload-pack") == ""
    assert git_url.with_login_of("https://u:p@h/old", "https://h/new") == "https://u:p@h/new"
    assert git_url.with_login_of("https://h/old", "https://h/new") == "https://h/new"

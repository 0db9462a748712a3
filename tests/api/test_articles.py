"""`/articles` as a client sees it."""

from tests.conftest import Caller


def make(editor: Caller, title: str = "Lakes", content: str = "Deep.") -> dict[str, object]:
    answer = editor.post("/articles", {"title": title, "content": content})
    assert answer.status_code == 201, answer.json
    return dict(answer.json or {})


def test_a_created_article_is_there_under_its_location(editor: Caller) -> None:
    answer = editor.post("/articles", {"title": "Lakes", "content": "Deep."})
    assert answer.status_code == 201
    found = editor.get(answer.headers["Location"])
    assert found.json == answer.json
    assert found.json["version"] == 1
    assert found.json["author_id"] == editor.get("/auth/me").json["id"]
    assert found.json["created_at"].endswith("Z")


def test_a_list_gives_pages_that_follow_each_other(editor: Caller) -> None:
    titles = [make(editor, f"t{number}")["title"] for number in range(7)]
    seen, url = [], "/articles?limit=3&select=title"
    while url:
        answer = editor.get(url)
        seen += [row["title"] for row in answer.json["data"]]
        assert all(set(row) == {"title"} for row in answer.json["data"])
        url = answer.json["next_url"]
    assert seen == titles


def test_filters_order_and_counts_apply(editor: Caller) -> None:
    for title in ("Ähre", "Birch", "birch", "Cedar"):
        make(editor, title)
    answer = editor.get("/articles?title=ilike.b*&order=title.desc&count=exact")
    assert sorted(row["title"] for row in answer.json["data"]) == ["Birch", "birch"]
    assert (answer.json["count"], answer.json["count_kind"]) == (2, "exact")
    assert [row["title"] for row in editor.get("/articles?title=like.b*").json["data"]] == ["birch"]


def test_an_unknown_filter_names_the_nearest_column(reader: Caller) -> None:
    answer = reader.get("/articles?titel=eq.x")
    assert answer.status_code == 400
    assert answer.json["did_you_mean"] == "title"
    assert answer.content_type == "application/problem+json"


def test_an_unknown_field_names_the_nearest_one(editor: Caller) -> None:
    answer = editor.post("/articles", {"titel": "x", "content": ""})
    assert answer.status_code == 400
    assert answer.json["did_you_mean"] == "title"
    assert {error["field"] for error in answer.json["errors"]} == {"title", "titel"}


def test_a_reader_cannot_write(reader: Caller) -> None:
    assert reader.post("/articles", {"title": "x", "content": ""}).status_code == 403


def test_put_replaces_and_patch_changes_a_part(editor: Caller) -> None:
    article = make(editor)
    path = f"/articles/{article['id']}"
    assert editor.put(path, {"title": "A"}).status_code == 400
    assert editor.put(path, {"title": "A", "content": "B"}).json["version"] == 2
    changed = editor.patch(path, {"content": "C"}).json
    assert (changed["title"], changed["content"], changed["version"]) == ("A", "C", 3)


def test_a_stale_etag_is_412_and_a_stale_version_409(editor: Caller) -> None:
    article = make(editor)
    path = f"/articles/{article['id']}"
    tag = editor.get(path).headers["ETag"]
    assert editor.patch(path, {"content": "new"}, headers={"If-Match": tag}).status_code == 200
    assert editor.patch(path, {"content": "newer"}, headers={"If-Match": tag}).status_code == 412
    assert editor.patch(path, {"content": "newer", "version": 1}).status_code == 409
    assert editor.delete(path, headers={"If-Match": tag}).status_code == 412
    assert editor.patch(path, {"content": "newest", "version": 2}).status_code == 200


def test_a_change_that_changes_nothing_keeps_the_version(editor: Caller) -> None:
    article = make(editor)
    assert editor.patch(f"/articles/{article['id']}", {"title": "Lakes"}).json["version"] == 1


def test_a_read_with_the_current_etag_is_304(editor: Caller) -> None:
    article = make(editor)
    for path in (f"/articles/{article['id']}", "/articles"):
        first = editor.get(path)
        again = editor.get(path, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")


def test_a_deleted_article_is_gone_and_deleting_it_again_is_404(editor: Caller) -> None:
    path = f"/articles/{make(editor)['id']}"
    assert editor.delete(path).status_code == 204
    assert editor.get(path).status_code == 404
    assert editor.delete(path).status_code == 404
    assert editor.put(path, {"title": "A", "content": "B"}).status_code == 404


def test_an_id_beyond_64_bits_is_404(reader: Caller) -> None:
    assert reader.get("/articles/99999999999999999999").status_code == 404


def test_articles_are_read_in_bulk_by_id(editor: Caller) -> None:
    ids = [make(editor)["id"] for _ in range(3)]
    answer = editor.get(f"/articles?id=in.({ids[0]},{ids[2]})&select=id")
    assert answer.json["data"] == [{"id": ids[0]}, {"id": ids[2]}]


def test_limit_per_cuts_a_list_for_each_author(editor: Caller, admin: Caller) -> None:
    for caller in (editor, admin):
        for number in range(3):
            make(caller, f"t{number}")
    answer = editor.get("/articles?limit_per=author_id&limit=2&select=author_id")
    authors = [row["author_id"] for row in answer.json["data"]]
    assert len(authors) == 4
    assert len(set(authors)) == 2
    assert answer.json["truncated"] is False
    assert "truncated" not in dict(editor.get("/articles?limit=2").json or {})


def test_a_repeated_post_with_its_key_has_one_effect(editor: Caller) -> None:
    headers = {"Idempotency-Key": "once"}
    first = editor.post("/articles", {"title": "A", "content": ""}, headers=headers)
    again = editor.post("/articles", {"title": "A", "content": ""}, headers=headers)
    assert (again.status_code, again.json) == (201, first.json)
    assert again.headers["Location"] == first.headers["Location"]
    assert editor.get("/articles?count=exact").json["count"] == 1
    assert editor.post("/articles", {"title": "B", "content": ""}, headers=headers).status_code == 422

"""`wordsight archive` on an object store: an S3 server on loopback (moto's), read by the real s3fs."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

pytestmark = [pytest.mark.scale("pyarrow", "s3fs", "moto")]
SECRET = "a-secret-that-nobody-may-find"


def environment(address):
    return {
        "AWS_ENDPOINT_URL": address, "AWS_ACCESS_KEY_ID": "someone", "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "2",
    }  # fmt: skip


@pytest.fixture(scope="module")
def server():
    from moto.server import ThreadedMotoServer

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "50")  # objects to a page of a listing, a thousand at AWS
        made = ThreadedMotoServer("127.0.0.1", 0)
        made.start()
        host, port = made.get_host_and_port()
        yield environment(f"http://{host}:{port}")
        made.stop()


@pytest.fixture
def bucket(server):
    """An empty bucket: its name, put(key, bytes), delete(key)."""
    import boto3

    client = boto3.client(
        "s3", endpoint_url=server["AWS_ENDPOINT_URL"], aws_access_key_id="someone", aws_secret_access_key=SECRET,
        region_name="us-east-1",
    )  # fmt: skip
    name = f"parts-{len(client.list_buckets()['Buckets'])}"
    client.create_bucket(Bucket=name)

    def put(key, data):
        client.put_object(Bucket=name, Key=key, Body=data)

    return SimpleNamespace(name=name, put=put, delete=lambda key: client.delete_object(Bucket=name, Key=key))


def test_a_bucket_is_scored_listed_once_and_held_against_its_listing(store, server, bucket):
    for number in range(120):  # more than the server lists at once
        key = f"2026/{number % 3}/part::{number:05d}.bmp"
        bucket.put(key, store.picture(number))
        store.know(f"s3://{bucket.name}/{key}", number)
    bucket.put("2026/notes.txt", b"no picture")
    bucket.put("2026/.hidden/part.bmp", store.picture(1))
    bucket.put("2026/cut.png", b"\x89PNG\r\n\x1a\n")
    bucket.put("other/part.bmp", store.picture(1))
    words = (f"s3://{bucket.name}/2026/", "--workers", 2, "--pictures-per-shard", 50)
    code, out, err = store.run(*words, **server)
    assert code == 1, err
    assert "scored 120, failed 1, passed over 1" in out
    assert [item["source"] for item in store.unread()] == [f"s3://{bucket.name}/2026/cut.png"]
    rows = store.check()
    assert all(row["modified"] is not None and row["size"] == len(store.picture(0)) for row in rows)
    written = [path.read_bytes() for path in store.out.rglob("*") if path.is_file()]
    assert not any(SECRET.encode() in content for content in [*written, out.encode(), err.encode()])

    bucket.put("2026/0/part::00003.bmp", store.picture(4))
    before = {path: path.read_bytes() for path in store.finished()}
    code, out, err = store.run(*words, **server)
    assert (code, len((out + err).splitlines())) == (2, 1)
    assert "0 added, 0 gone, 1 changed, first: " in err
    assert "its etag was" in err
    # A job of an array does not list again: it finds out when it reads.
    store.finished()[0].unlink()
    code, _, err = store.run(*words, "--shard", "0/2", **server)
    assert code == 1
    assert "changed since it was listed: its etag was" in err
    assert {path: path.read_bytes() for path in store.finished()[1:]} == dict(list(before.items())[1:])


def test_globs_and_parquet_in_a_bucket(store, server, bucket):
    import io

    import pyarrow
    import pyarrow.parquet

    for number in range(4):
        bucket.put(f"a/{number}.bmp", store.picture(number))
    code, _, err = store.run(f"s3://{bucket.name}/a/[12].bmp", "--workers", 1, **server)
    assert code == 0, err
    assert [row["source"] for row in store.rows()] == [f"s3://{bucket.name}/a/{number}.bmp" for number in (1, 2)]

    out = io.BytesIO()
    names = [f"cam/{number}.bmp" for number in range(30)]
    pictures = [store.picture(number) for number in range(30)]
    pyarrow.parquet.write_table(pyarrow.table({"image": pictures, "path": names}), out, row_group_size=7)
    bucket.put("p/all.parquet", out.getvalue())
    store.out = store.folder / "rows"
    code, _, err = store.run(f"s3://{bucket.name}/p/all.parquet", "--workers", 1, "--pictures-per-shard", 11, **server)
    assert code == 0, err
    assert [row["source"] for row in store.rows()] == names


def test_a_bucket_that_is_none_and_a_server_that_is_away(store, server):
    code, out, err = store.run("s3://nobodys/parts", **server)
    assert (code, len((out + err).splitlines())) == (2, 1)
    assert "no such bucket: s3://nobodys" in err
    code, out, err = store.run("s3://nobodys/parts", **environment("http://127.0.0.1:1"))
    assert (code, len((out + err).splitlines())) == (2, 1)
    assert "s3://nobodys/parts cannot be read: " in err
    assert not list(store.out.glob("run.json"))


class Expiring(BaseHTTPRequestHandler):
    """Speaks as much S3 as a listing and a reading take; after `left` readings the token has expired."""

    protocol_version = "HTTP/1.1"
    pictures: ClassVar[dict[str, bytes]] = {}
    left = 0

    def do_GET(self):
        url = urlsplit(self.path)
        if "list-type" in parse_qs(url.query):
            items = "".join(
                f"<Contents><Key>{key}</Key><Size>{len(data)}</Size><LastModified>2026-01-01T00:00:00Z</LastModified>"
                f"<ETag>&quot;{len(data)}&quot;</ETag></Contents>"
                for key, data in sorted(self.pictures.items())
                if key.startswith(parse_qs(url.query)["prefix"][0])
            )
            self.answer(200, f"<ListBucketResult><IsTruncated>false</IsTruncated>{items}</ListBucketResult>".encode())
            return
        data = self.pictures[url.path.split("/", 2)[2]]
        if type(self).left > 0:
            type(self).left -= 1
            self.answer(200, data, ETag=f'"{len(data)}"')
        else:
            self.answer(403, b"<Error><Code>ExpiredToken</Code><Message>The token has expired.</Message></Error>")

    def answer(self, status, body, **headers):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


def test_credentials_that_expire_end_it_in_one_line_and_new_ones_let_it_go_on(store):
    for number in range(60):
        key = f"parts/{number:03d}.bmp"
        Expiring.pictures[key] = store.picture(number)
        store.know(f"s3://bucket/{key}", number)
    Expiring.left = 35
    server = ThreadingHTTPServer(("127.0.0.1", 0), Expiring)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        words = ("s3://bucket/parts", "--workers", 1, "--pictures-per-shard", 10)
        known = environment(f"http://127.0.0.1:{server.server_port}")
        code, out, err = store.run(*words, **known)
        assert (code, len((out + err).splitlines())) == (2, 1), (out, err)
        assert "the credentials for s3://bucket have expired; renew them and run the same command again" in err
        assert not store.unread()  # no picture is called unreadable for it
        assert 0 < len(store.finished()) < 6
        Expiring.left = 10**6
        code, _, err = store.run(*words, **known)
        assert code == 0, err
        store.check()
    finally:
        server.shutdown()
        server.server_close()

from datetime import datetime, timedelta, timezone

from wordsight.runtime.line.events import event_id

AT = datetime(2026, 11, 26, 8, 30, 1, 250000, tzinfo=timezone.utc)


def test_the_id_is_that_of_the_documented_bytes():
    # sha-256 of each word behind its length in 8 bytes, computed by hand: ids on old disks must stay valid.
    import hashlib

    data = b""
    for word in (b"press-3", b"rtsp://cam3/", b"int", b"17", str(AT.timestamp()).encode()):
        data += len(word).to_bytes(8, "big") + word
    assert event_id("press-3", "rtsp://cam3/", 17, AT) == hashlib.sha256(data).hexdigest()[:32]


def test_whatever_differs_gives_another_id():
    base = event_id("a", "bc", 1, AT)
    others = [
        event_id("ab", "c", 1, AT),
        event_id("a", "bc", 2, AT),
        event_id("a", "bc", "1", AT),
        event_id("a", "bc", 1, AT + timedelta(microseconds=1)),
    ]
    assert len({base, *others}) == 5


def test_the_same_moment_in_another_zone_is_the_same_event():
    assert event_id("a", "b", 1, AT) == event_id("a", "b", 1, AT.astimezone(timezone(timedelta(hours=2))))

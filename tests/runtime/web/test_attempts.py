from wordsight.runtime.web.attempts import FREE, LONGEST_S, Attempts


def test_each_wrong_token_beyond_a_few_doubles_the_wait_up_to_a_minute(clock):
    attempts = Attempts(clock)
    assert [attempts.wrong("10.0.0.5") for _ in range(FREE - 1)] == list(range(1, FREE))
    assert attempts.wait_s("10.0.0.5") == 0
    waits = []
    for _ in range(9):
        attempts.wrong("10.0.0.5")
        waits.append(attempts.wait_s("10.0.0.5"))
        clock.now += waits[-1]
        assert attempts.wait_s("10.0.0.5") == 0
    assert waits == [1, 2, 4, 8, 16, 32, LONGEST_S, LONGEST_S, LONGEST_S]
    assert attempts.wait_s("10.0.0.6") == 0


def test_the_right_token_and_a_quarter_of_an_hour_forget(clock):
    attempts = Attempts(clock)
    for host in ("10.0.0.5", "10.0.0.6"):
        for _ in range(FREE - 1):
            attempts.wrong(host)
    attempts.right("10.0.0.5")
    assert attempts.wrong("10.0.0.5") == 1
    clock.now += 901
    assert attempts.wrong("10.0.0.6") == 1


def test_a_network_of_ipv6_is_one_address_and_what_is_remembered_is_bounded(clock):
    attempts = Attempts(clock)
    for at in range(FREE):
        attempts.wrong(f"2001:db8::{at:x}")
    assert attempts.wait_s("2001:db8::ffff") == 1
    assert attempts.wait_s("2001:db8:0:1::") == 0
    for at in range(2000):
        attempts.wrong(f"10.0.{at // 256}.{at % 256}")
    assert attempts.wait_s("2001:db8::ffff") == 0
    assert len(attempts._seen) == 1000

import numpy as np

from wordsight.runtime.line.frozen import FrozenWatch


def test_the_same_picture_is_held_back_from_the_limit_on_and_a_single_bit_ends_it():
    watch = FrozenWatch(2.0)
    image = np.full((64, 64, 3), 7, np.uint8)
    assert [watch.holds_back(image, t) for t in (0.0, 0.1, 1.9, 2.2, 9.0)] == [False, False, False, True, True]
    changed = image.copy()
    changed[33, 35, 1] ^= 1  # between the pixels of the first look
    assert not watch.holds_back(changed, 10.0)
    assert not watch.holds_back(changed, 11.0)
    assert watch.holds_back(changed, 12.5)


def test_pictures_that_differ_only_beside_the_first_look_are_alive():
    watch = FrozenWatch(1.0)
    rng = np.random.default_rng(0)
    image = np.zeros((64, 64, 3), np.uint8)
    for t in range(20):
        image[5, 5] = rng.integers(0, 255, 3)  # not on the lattice
        assert not watch.holds_back(image, float(t))


def test_another_shape_is_another_picture():
    watch = FrozenWatch(1.0)
    assert not watch.holds_back(np.zeros((32, 64, 3), np.uint8), 0.0)
    assert not watch.holds_back(np.zeros((64, 32, 3), np.uint8), 5.0)


def test_off():
    watch = FrozenWatch(0)
    image = np.zeros((8, 8, 3), np.uint8)
    assert not any(watch.holds_back(image, t) for t in (0.0, 100.0, 200.0))

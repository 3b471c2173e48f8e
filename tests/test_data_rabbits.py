from lmcourse.data.rabbits import RABBITS


def test_one_of_the_three_words_after_like_is_rabbits():
    after_like = [
        b
        for s in RABBITS
        for a, b in zip(s.split(), s.split()[1:], strict=False)
        if a == "like"
    ]
    assert after_like.count("rabbits") / len(after_like) == 1 / 3

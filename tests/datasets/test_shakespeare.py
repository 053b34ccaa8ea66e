from lossbench.datasets import shakespeare


def test_facts():  # 1.0 MB, 76 different characters, eight plays
    text = shakespeare.text()
    assert len(set(text)) == 76
    assert 1_000_000 <= len(text) <= 1_100_000
    assert text.count("by William Shakespeare") == 8
    assert "To be, or not to be,--that is the question:--" in text

import unittest

from words import count


class Count(unittest.TestCase):
    def test_two(self):
        self.assertEqual(count("two words"), 2)

    def test_extra_blanks(self):
        self.assertEqual(count("  two   words "), 2)


if __name__ == "__main__":
    unittest.main()

"""Variables of all expressions."""

VARIABLES = {
    "text": "Hello World",
    "empty": "",
    "words": "the quick brown-fox jumps",
    "words2": "Ünï çode\tand\u00a0SPACES\n",
    "spaced": " \t two  lines \r\n and\u001cmore \n",
    "numbers": [3, 1, 2, 10],
    "nested": {"a": {"b": [1, 2, {"c": "deep"}]}, "items": 5, "name": "n"},
    "strings": ["b", "A", "c", "a"],
    "pairs": [["x", 1], ["y", 2]],
    "person": {"name": "Ann", "age": 31, "tags": ["x", "y"], "none": None},
    "people": [{"name": "Ann", "age": 31}, {"name": "bob", "age": 25}, {"name": "Cy", "age": 31}],
    "mixed": [1, "a", None, 2.5, True, [1], {"k": "v"}],
}

"""The smallest corpus of the course: three sentences about animals, to be counted by hand."""

RABBITS: tuple[str, ...] = (
    "I like rabbits",
    "I like turtles",
    "I don't like snails",
)
"""Three sentences. After "like" come rabbits, turtles and snails, once each."""

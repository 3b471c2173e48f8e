"""The widgets of the course: alive in JupyterLab and in the published book, without a server."""

from lmcourse.widgets.base import CourseWidget, site_scripts
from lmcourse.widgets.exercise_card import ExerciseCard
from lmcourse.widgets.markov_explorer import MarkovExplorer
from lmcourse.widgets.quiz_card import QuizCard
from lmcourse.widgets.shannon_game import ShannonGame, shannon_bounds

__all__ = [
    "CourseWidget",
    "ExerciseCard",
    "MarkovExplorer",
    "QuizCard",
    "ShannonGame",
    "shannon_bounds",
    "site_scripts",
]

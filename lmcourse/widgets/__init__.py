"""The widgets of the course: alive in JupyterLab and in the published book, without a server."""

from lmcourse.widgets.alignment_viewer import AlignmentViewer
from lmcourse.widgets.attention_steps import AttentionSteps
from lmcourse.widgets.base import (
    CourseWidget,
    ModelsWidget,
    ModelWidget,
    site_scripts,
    weights_scripts,
)
from lmcourse.widgets.bottleneck_explorer import BottleneckExplorer
from lmcourse.widgets.encoder_attention import EncoderAttention
from lmcourse.widgets.exercise_card import ExerciseCard
from lmcourse.widgets.fill_blank import FillBlank
from lmcourse.widgets.head_viewer import HeadViewer
from lmcourse.widgets.markov_explorer import MarkovExplorer
from lmcourse.widgets.qkv_stepper import QKVStepper
from lmcourse.widgets.quiz_card import QuizCard
from lmcourse.widgets.rnn_stepper import RNNStepper
from lmcourse.widgets.scoreboard_explorer import ScoreboardExplorer
from lmcourse.widgets.shannon_game import ShannonGame, shannon_bounds
from lmcourse.widgets.stack_viewer import StackViewer

__all__ = [
    "AlignmentViewer",
    "AttentionSteps",
    "BottleneckExplorer",
    "CourseWidget",
    "EncoderAttention",
    "ExerciseCard",
    "FillBlank",
    "HeadViewer",
    "MarkovExplorer",
    "ModelWidget",
    "ModelsWidget",
    "QKVStepper",
    "QuizCard",
    "RNNStepper",
    "ScoreboardExplorer",
    "ShannonGame",
    "StackViewer",
    "shannon_bounds",
    "site_scripts",
    "weights_scripts",
]
